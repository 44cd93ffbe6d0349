"""The image's recipe, as far as it can be looked at without an engine.

`make image-test` builds and runs it.
"""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from documents import blocks_of, pages

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TARGETS = ("serve", "sklearn", "boosters", "train")


def stage(name: str) -> str:
    """A stage of the Dockerfile, from its FROM on."""
    stages = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)
    [found] = [text for text in stages if re.match(rf"FROM \S+ AS {re.escape(name)}\n", text)]
    return found


def test_hadolint_finds_nothing() -> None:
    """The linter has not one warning and not one hint about style."""
    done = subprocess.run(
        [HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False, timeout=300
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
    source = stage("source")
    assert "COPY ${REQUIREMENTS} yours/requirements.txt" in source
    assert "COPY ${PACKAGES} yours/${PACKAGES}" in source
    for target in TARGETS:
        assert "install.sh requirements" in stage(f"yours-{target}")
    for code in ("code", "code-train"):
        assert "COPY --from=source /src ./" in stage(code)
        assert "install.sh code" in stage(code)


def test_libraries_requirements_and_code_are_layers_of_their_own() -> None:
    """A change of code ships the last one alone, and downloads no requirement again."""
    for target in TARGETS:
        copied = re.findall(r"^COPY --from=(\S+) (\S+) (\S+)$", stage(target), re.MULTILINE)
        assert copied == [
            (f"libraries-{target}", "/opt/sluice", "/opt/sluice"),
            (f"yours-{target}", "/opt/added", "/opt/sluice"),
            ("code-train" if target == "train" else "code", "/opt/code", "/opt/code"),
        ]
        for name in (f"libraries-{target}", f"yours-{target}"):
            assert "/src ./" not in stage(name), f"{name} would be built again for each change"


def test_the_base_has_a_digest_and_can_be_another_one() -> None:
    """A tag of a registry moves; compose takes the same base."""
    [base] = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11-slim\S*@sha256:[0-9a-f]{64}", base)
    foreign = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    named = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert set(foreign) - named == {"${BASE}"}
    assert f"FROM {base}\n" in (ROOT / "compose.yaml").read_text()


def run_install(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run docker/install.sh in `folder`, with the programs of its `bin` first."""
    env = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "VENV": str(folder / "venv"),
        "ADDED": str(folder / "added"),
        "CODE": str(folder / "code"),
    }
    return subprocess.run(
        ["bash", ROOT / "docker/install.sh", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def program(folder: Path, name: str, text: str) -> None:
    """A program that is found before others of its name."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("docker/nothing", ""),
        ("shop", ""),
        ("./parts/shop/", ""),
        ("my-shop", "expected a folder whose name Python can import"),
        ("serve_app", "there is a package serve_app already"),
        ("numpy", "there is a package numpy already"),
    ],
)
def test_a_package_of_the_users_is_copied_where_python_finds_it(
    tmp_path: Path, folder: str, said: str
) -> None:
    """Under its own name, over nothing that is there, and readable for the image's user."""
    (tmp_path / "code" / "serve_app").mkdir(parents=True)
    (tmp_path / "site" / "numpy").mkdir(parents=True)
    (tmp_path / "yours" / folder).mkdir(parents=True)
    (tmp_path / "yours" / "package.txt").write_text(f"{folder}\n")
    shutil.copy(ROOT / "docker" / "no_pip.sh", tmp_path)
    contracts = tmp_path / "yours" / folder / "contracts.py"
    contracts.touch(0o600)
    program(tmp_path, "python", f"echo {tmp_path / 'site'}")
    program(tmp_path, "pip", "exit 0")
    done = run_install(tmp_path, "code")
    assert said in done.stdout and (done.returncode != 0) == bool(said), done
    copied = list((tmp_path / "code").rglob("contracts.py"))
    if said or folder == "docker/nothing":
        assert copied == []
    else:
        assert copied == [tmp_path / "code" / "shop" / "contracts.py"]
        assert copied[0].stat().st_mode & 0o044 == 0o044


@pytest.mark.parametrize("adds", [True, False])
def test_what_a_users_requirements_add_is_kept_apart_from_the_libraries(
    tmp_path: Path, adds: bool
) -> None:
    """Only new files, at their places; without requirements none, and no error."""
    (tmp_path / "venv" / "lib").mkdir(parents=True)
    (tmp_path / "venv" / "lib" / "locked.py").touch()
    new = tmp_path / "venv" / "lib" / "theirs" / "new.py"
    makes = f"[ $1 = freeze ] || {{ mkdir -p {new.parent}; echo x = 1 > {new}; }}"
    program(tmp_path, "pip", makes if adds else "exit 0")
    done = run_install(tmp_path, "requirements")
    assert done.returncode == 0, done.stderr
    added = {path.relative_to(tmp_path / "added") for path in (tmp_path / "added").rglob("*.py")}
    assert added == ({Path("lib/theirs/new.py")} if adds else set())
    dates = {path.stat().st_mtime for path in (tmp_path / "added").rglob("*")}
    assert len(dates) <= 1, "equal sources would not make an equal layer"


@pytest.mark.parametrize("name", ["pip", "pip3", "pip3.11"])
def test_pip_in_the_image_says_how_a_library_gets_in(tmp_path: Path, name: str) -> None:
    """The base's own would install where nothing looks, and say that all is well."""
    path = tmp_path / name
    shutil.copy(ROOT / "docker" / "no_pip.sh", path)
    path.chmod(0o755)
    done = subprocess.run(
        [path, "install", "lightgbm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert (
        f"Found {name} install lightgbm; expected a build with --build-arg REQUIREMENTS=FILE"
        in (done.stderr)
    )
    [names] = re.findall(r"for name in (.+?);", (ROOT / "docker" / "install.sh").read_text())
    assert name in names.split()
    [path_of] = re.findall(r"^ENV PATH=(\S+)", DOCKERFILE, re.MULTILINE)
    assert path_of.startswith("/opt/code/bin:"), "before the base's"
    assert "PATH=/opt/code/bin:" in stage("runtime"), "in KubeRay's login shell too"


def test_code_for_other_peoples_graphics_cards_is_zeros(tmp_path: Path) -> None:
    """224 of the 277 MB of CatBoost's library; what stands before and after stays."""
    library = tmp_path / "lib/python3.11/site-packages/catboost/_catboost.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"a" * 4_096 + b"b" * 8_192 + b"c" * 100)
    section = "[10] .nv_fatbin PROGBITS 0000000000001000 001000 002000 00 A 0 0 8"
    program(tmp_path, "readelf", f"echo '  {section}'")
    program(tmp_path, "strip", "exit 0")
    done = subprocess.run(
        ["bash", ROOT / "docker/slim.sh", tmp_path],
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert library.read_bytes() == b"a" * 4_096 + b"\0" * 8_192 + b"c" * 100


def test_the_image_test_says_that_nothing_was_checked_where_there_is_no_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends with 2: a pipeline of CI must not take it for a success."""
    monkeypatch.syspath_prepend(ROOT / "docker")
    image_test = importlib.import_module("image_test")
    monkeypatch.setattr(image_test, "find_engine", lambda: None)
    monkeypatch.setattr(sys, "argv", ["image_test.py"])
    assert image_test.main() == 2
    assert "nothing was checked" in capsys.readouterr().out


def test_measured_sizes_go_into_the_table_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both numbers of each target; the rest of the page stays."""
    monkeypatch.syspath_prepend(ROOT / "docker")
    checks = importlib.import_module("build_checks")
    assert set(checks.MOST_MB) == set(TARGETS)
    page = (ROOT / "docs" / "deploy.md").read_text()
    found = checks.with_sizes(page, {"serve": (111.4, 99.6), "train": (222.2, None)})
    [serve] = re.findall(r"^\| `serve`.*$", found, re.MULTILINE)
    [train] = re.findall(r"^\| `train`.*$", found, re.MULTILINE)
    assert "| 111 MB | 100 MB |" in serve
    assert "| 222 MB | – |" in train
    changed = set(found.splitlines()) - set(page.splitlines())
    assert changed == {serve, train}
    assert len(found.splitlines()) == len(page.splitlines())


def test_every_documented_container_has_time_to_end() -> None:
    """Docker kills after 10 s, and open requests may take longer: exit code 137, not 0."""
    for page in pages():
        for block in blocks_of(page):
            for command in block.commands if block.needs == "docker" else ():
                if "docker run" in command and "--rm" not in command:
                    assert "--stop-timeout 60" in command, f"{block.place}: {command}"
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert compose["services"]["sluice"]["stop_grace_period"] == "60s"


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
    """One command in a fresh clone: trained, pushed, served; hardened, on this machine alone."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    app, push, train, s3 = (services[name] for name in ("sluice", "push", "train", "s3"))
    assert push["depends_on"]["train"]["condition"] == "service_completed_successfully"
    assert train["build"]["target"] == "train"
    assert [*train["entrypoint"], *train["command"]][1:] == [
        "-m",
        "training.missing",
        "serve_config.yaml",
    ]
    volume = {mount.split(":")[0] for mount in (*train["volumes"], *push["volumes"])}
    assert volume == set(compose["volumes"]), "no folder that a fresh clone lacks"
    assert app["ports"] == ["127.0.0.1:8000:8000"]
    assert app["read_only"] is True and app["cap_drop"] == ["all"]
    assert app["depends_on"]["push"]["condition"] == "service_completed_successfully"
    own = {"KEYS_PATH": "disabled", "SLUICE_METRICS_PORT": "8080"}
    assert app["environment"] == push["environment"] | own
    assert app["environment"]["MODEL_PATH"].startswith("s3://sluice/")
    assert "requirements/s3.txt" in s3["build"]["dockerfile_inline"]
    assert json.dumps(push["command"]).count("sluice push") == 1


def test_each_image_of_compose_is_built_by_one_service() -> None:
    """Compose builds at the same time, and the second one found its tag taken. Who only runs an
    image that another builds must not ask a registry for it, and comes after that one's build: all
    are built before any is started.
    """
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    built = [each["image"] for each in services.values() if "build" in each and "image" in each]
    assert len(built) == len(set(built))
    sharing = [each for each in services.values() if "build" not in each]
    assert [each["image"] for each in sharing] == ["sluice:serve"]
    assert all(each["image"] in built and each["pull_policy"] == "never" for each in sharing)


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
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    script = tmp_path / "container_build.sh"
    script.write_text("""echo '"label":"Churned"'; echo "healthy $*" >&2""")
    monkeypatch.setattr(checks, "SCRIPT", script)
    monkeypatch.setattr(checks, "MODELS", ("-v", "store:/models:ro"))
    monkeypatch.setattr(checks, "context", lambda: nullcontext(tmp_path))
    said = checks.built_as_it_is(SimpleNamespace(program="podman"))
    assert f"healthy {tmp_path} -v store:/models:ro -e KEYS_PATH=disabled" in said
    changed = (tmp_path / "Dockerfile").read_text().splitlines()
    lines = zip(DOCKERFILE.splitlines(), changed, strict=True)
    assert [now for before, now in lines if before != now] == [
        "ARG BASE=localhost/python:3.11-slim"
    ]


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
