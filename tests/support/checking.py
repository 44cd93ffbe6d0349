"""What the tests of `sluice check` share: the shipped file, changed in one place, and a report on
it.
"""

import importlib.metadata
import re
import warnings
from pathlib import Path

import pytest

from serve_app.bundle.manifest import MANIFEST, File, GoldenRow, Manifest
from serve_app.bundle.store import FolderStore
from serve_app.models import MODELS, get_spec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own models warn when they are imported
    from serve_app.commands.check.report import Report, check_file

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "serve_config.yaml").read_text()
SERVER = "applications[churn].deployments[Server]"
TABLE = f"{SERVER}.user_config"
ISOLATED = "applications[churn-1.1.0]"


def uncommented(text: str) -> str:
    """The shipped file with its commented example: version 1.1.0 as an application of its own."""
    lines, inside = [], False
    for line in text.splitlines():
        inside = bool(
            re.match(r'# - name: churn-1\.1\.0| +# "1\.1\.0":', line)
            or (inside and re.match(" *# ", line))
        )
        lines.append(line.replace("# ", "", 1) if inside else line)
    return "\n".join(line for line in lines if "manifest_sha256: ..." not in line) + "\n"


def manifest_of(model: str, version: str, **changes: object) -> bytes:
    """The smallest manifest that fits a model's contract."""
    spec = get_spec(model)
    manifest = Manifest(
        format=1,
        model=model,
        version=version,
        kind=spec.kind,
        runtime="onnx",
        runtime_reason="compiled",
        features=list(spec.contract),
        references={},
        parameters={},
        metrics={},
        training_data_sha256="0" * 64,
        n_training_rows=1,
        created_at="2025-01-01T00:00:00Z",
        libraries={"scikit-learn": importlib.metadata.version("scikit-learn")},
        files={"model.onnx": File(sha256="0" * 64, size_bytes=0)},
        golden_rows=[GoldenRow(row=spec.examples[0].row.model_dump(), score=0.5)],
    )
    return manifest.model_copy(update=changes).model_dump_json().encode()


def store_of_manifests(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *versions: str
) -> FolderStore:
    """A store in place of the one that the shipped file names: of each version of every model it
    has the manifest.
    """
    store = FolderStore(folder)
    for model in MODELS:
        for version in versions:
            store.write(model, version, {MANIFEST: manifest_of(model, version)})
    monkeypatch.setenv("MODEL_PATH", str(store.root))
    return store


def report_on(folder: Path, text: str, **options: object) -> Report:
    """The report on a file with this text."""
    path = folder / "serve_config.yaml"
    path.write_text(text)
    return check_file(path, **options)  # type: ignore[arg-type]


def changed(text: str, old: str, new: str) -> tuple[str, int]:
    """The text with the first `old` replaced, and the line of the `§` in `new`, or of its end."""
    assert old in text, f"the shipped file has no {old!r} any more"
    before = text[: text.index(old)] + (new.partition("§")[0] if "§" in new else new.rstrip("\n"))
    return text.replace(old, new.replace("§", ""), 1), before.count("\n") + 1
