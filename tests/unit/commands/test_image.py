"""The image's recipe, as far as it can be looked at without an engine.

`make image-test` builds and runs it.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
HADOLINT = Path(sys.executable).with_name("hadolint")
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing() -> None:
    """The linter has not one warning and not one hint about style."""
    done = subprocess.run(
        [HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_last_target_is_the_slim_one_and_runs_as_nobody_that_matters() -> None:
    """`docker build .` takes the last stage; it must hold neither scikit-learn nor training."""
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert stages[-1] == ("runtime", "serve")
    assert {"sklearn", "boosters", "train"} < {name for _, name in stages}
    runtime = DOCKERFILE[DOCKERFILE.index("AS runtime") :]
    assert "USER 10001:0" in runtime
    assert "HEALTHCHECK" in runtime
    assert "ENTRYPOINT" in runtime, "PID 1 is what drains"


def test_what_is_copied_into_a_build_is_let_through_by_dockerignore() -> None:
    """A folder of yours, too, with no line there; .git, tests, docs, the environment stay out."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = [line for line in lines if not line.startswith("#")]

    def stays_out(name: str) -> bool:
        parts = Path(name).parts
        names = [Path(*parts[:n]) for n in range(1, len(parts) + 1)]
        return any(path.match(line.removeprefix("**/")) for path in names for line in ignored)

    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
    for words in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in words.split():
            name = re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], source)
            assert (ROOT / name).exists(), name
            assert not stays_out(name), f"{name} would be missing"
    assert not any(map(stays_out, ("shop", "shop/contracts.py", "shop/requirements.txt")))
    assert not stays_out("model_store")
    for name in (".git", ".venv", ".env", "shop/.env", "shop/__pycache__", "tests", "docs"):
        assert stays_out(name), name


def test_each_target_takes_a_file_of_requirements_and_a_package_of_the_users() -> None:
    """Whichever target a bundle needs, its own code can come along."""
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    [code] = [stage for stage in stages if stage.startswith("base AS code")]
    assert "COPY ${REQUIREMENTS} yours/requirements.txt" in code
    assert "COPY ${PACKAGES} yours/${PACKAGES}" in code
    built = [stage for stage in stages if re.match(r"\S+ AS built", stage)]
    assert len(built) == 4
    for stage in built:
        requirements = stage.index("install.sh requirements")
        assert requirements < stage.index("COPY --from=code /src ./"), (
            "a change of code would download them again"
        )
        assert stage.index("COPY --from=code /src ./") < stage.index("install.sh code")


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("docker/nothing", ""),
        ("shop", ""),
        ("./parts/shop/", ""),
        ("my-shop", "expected a folder whose name Python can import"),
        ("serve_app", "there is a package serve_app already"),
    ],
)
def test_a_package_of_the_users_is_copied_where_python_finds_it(
    tmp_path: Path, folder: str, said: str
) -> None:
    """Under its own name, over nothing that is there, and readable for the image's user."""
    site = tmp_path / "site"
    (site / "serve_app").mkdir(parents=True)
    (tmp_path / "yours" / folder).mkdir(parents=True)
    (tmp_path / "yours" / "package.txt").write_text(f"{folder}\n")
    (tmp_path / "slim.sh").touch()
    contracts = tmp_path / "yours" / folder / "contracts.py"
    contracts.touch(0o600)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in (("python", f"echo {site}"), ("pip", "exit 0")):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / "docker/install.sh", "code"],
        cwd=tmp_path,
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in done.stdout and (done.returncode != 0) == bool(said), done
    copied = list(site.rglob("contracts.py"))
    if said or folder == "docker/nothing":
        assert copied == []
    else:
        assert copied == [site / "shop" / "contracts.py"]
        assert copied[0].stat().st_mode & 0o044 == 0o044


def test_the_slim_targets_packages_are_those_of_serving() -> None:
    """Scikit-learn and what it needs belong to the second target, pandas too.

    Ray imports pandas where it is installed.
    """
    names = {re.split(r"[=\[]", line)[0] for line in _locked("serve")}
    assert {"ray", "fastapi", "numpy", "onnxruntime"} <= names
    assert not names & {
        "pandas",
        "scikit-learn",
        "scipy",
        "joblib",
        "skl2onnx",
        "matplotlib",
        "pytest",
    }
    assert {"scikit-learn", "pandas"} <= {
        re.split(r"[=\[]", line)[0] for line in _locked("sklearn")
    }


def test_every_package_is_pinned_with_a_hash_and_alike_in_all_sets() -> None:
    """The same version of a package wherever it is."""
    pins: dict[str, str] = {}
    for name in ("serve", "sklearn", "boosters", "train", "parquet", "dev"):
        text = (ROOT / f"requirements/{name}.txt").read_text()
        assert "://" not in text, "an index or a URL in a lock file"
        for block in re.split(r"\n(?=\S)", text.strip()):
            if not block.startswith("#"):
                package, _, version = block.split()[0].partition("==")
                assert version and "--hash=sha256:" in block, block
                assert pins.setdefault(package, version) == version, f"{package} in {name}"


def test_compose_says_what_the_readme_promises() -> None:
    """The app waits for its bundles and is hardened, on this machine alone, with the tests' S3."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    app, push, s3 = (compose["services"][name] for name in ("sluice", "push", "s3"))
    assert app["ports"] == ["127.0.0.1:8000:8000"]
    assert app["read_only"] is True and app["cap_drop"] == ["all"]
    assert app["depends_on"]["push"]["condition"] == "service_completed_successfully"
    assert app["environment"] == push["environment"] | {"KEYS_PATH": "disabled"}
    assert app["environment"]["MODEL_PATH"].startswith("s3://sluice/")
    assert "requirements/s3.txt" in s3["build"]["dockerfile_inline"]
    assert json.dumps(push["command"]).count("sluice push") == 1


def test_the_image_wants_a_key_file_since_it_listens_on_every_address() -> None:
    """Without one it refuses: whoever wants to be open writes KEYS_PATH=disabled out."""
    runtime = DOCKERFILE[DOCKERFILE.index("AS runtime") :]
    assert "SLUICE_HOST=0.0.0.0" in runtime
    assert "KEYS_PATH=/keys/keys.yaml" in runtime


def test_the_image_is_run_by_the_script_with_a_word_on_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses to start otherwise, and nothing of `make image-test` would be built."""
    monkeypatch.syspath_prepend(ROOT / "docker")
    checks = importlib.import_module("build_checks")
    script = tmp_path / "container_build.sh"
    script.write_text("""echo '"label":"Churned"'; echo "healthy $*" >&2""")
    monkeypatch.setattr(checks, "SCRIPT", script)
    monkeypatch.setattr(checks, "MODELS", ("-v", "store:/models:ro"))
    monkeypatch.setattr(checks, "context", lambda: nullcontext(tmp_path))
    said = checks.built_as_it_is(SimpleNamespace(program="podman"))
    assert f"healthy {tmp_path} -v store:/models:ro -e KEYS_PATH=disabled" in said


def test_boosters_come_when_they_are_asked_for_and_without_cuda() -> None:
    """Training a plain pipeline downloads none of them, and nothing of NVIDIA's comes at all."""
    boosters = {"lightgbm", "xgboost-cpu", "catboost"}
    found = {
        name: {re.split(r"[=\[]", line)[0] for line in _locked(name)}
        for name in ("serve", "sklearn", "train", "boosters", "dev")
    }
    assert boosters <= found["boosters"] and boosters | {"onnxmltools", "pyarrow"} <= found["dev"]
    for name in ("serve", "sklearn", "train"):
        assert not found[name] & (boosters | {"pyarrow"}), name
    for name, packages in found.items():
        assert not [package for package in packages if package.startswith("nvidia")], name


def _locked(name: str) -> list[str]:
    lines = (ROOT / f"requirements/{name}.txt").read_text().splitlines()
    return [line for line in lines if line and line[0] not in "# "]
