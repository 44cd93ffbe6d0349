"""The targets with more libraries: uncompiled bundles, code of a user's own, training."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from container import HARDENED, STORE, readable, running, wait_until
from engine import ROOT, Engine, context

from training.bundling import COMPILERS

GUIDE = ROOT / "docs" / "your-model.md"
# What the shop of the guide needs besides, as a user's code may: the image has it by REQUIREMENTS
# alone, this machine by the tools of the tests.
REQUIREMENT = "sortedcontainers"
SHOP = {"city": "Porto", "branch": "books", "opened_on": "2019-05-01", "has_website": True}
# Each library predicts, without what was taken out; the system has what LightGBM asks for.
BOOSTERS = """
import catboost, lightgbm, numpy, pandas, xgboost
rows = pandas.DataFrame({"n": numpy.arange(200.0)})
text = pandas.DataFrame({"n": rows.n, "c": ["a", "b"] * 100})
y = rows.n > 100
quiet = {"verbose": 0, "allow_writing_files": False, "cat_features": ["c"]}
for model, x in (
    (lightgbm.LGBMClassifier(n_estimators=5, verbose=-1), rows),
    (xgboost.XGBClassifier(n_estimators=5), rows),
    (catboost.CatBoostClassifier(iterations=5, **quiet), text),
):
    assert model.fit(x, y).predict_proba(x)[-1, 1] > 0.5, model
print("three libraries predict")
"""


def uncompiled(engine: Engine) -> str:
    """An uncompiled bundle: the slim image names the target, and that one serves it."""
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "store"
        shutil.copytree(STORE, store)
        as_if_uncompiled(store / "churn" / "1.0.0")
        config = Path(name) / "serve_config.yaml"
        shutil.copy(ROOT / config.name, config)
        pin(config, store / "churn" / "1.0.0")
        readable(Path(name))
        options: tuple[str, ...] = (*HARDENED, "-v", f"{store}:/models:ro")
        options += ("-v", f"{config}:/app/serve_config.yaml:ro")
        with running(engine, "sluice:serve", *options) as container:
            wait_until(
                lambda: "--target sklearn" in container.logs(),
                60,
                "the sentence that names the target",
            )
        with running(engine, engine.build("sklearn"), *options) as container:
            container.until_ready()
            assert container.predict()["label"] == "Churned"
    return "refused by serve with the target's name, served by sklearn"


def as_if_uncompiled(bundle: Path) -> None:
    """Let the manifest say that the pipeline itself serves, which then needs no compilers."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["runtime"] = "sklearn"
    for name in COMPILERS:
        manifest["libraries"].pop(name, None)
    path.write_text(json.dumps(manifest))


def pin(config: Path, bundle: Path) -> None:
    """Write into the first table which manifest is meant.

    The store is the folder of whoever calls this. Where that is not root, the container's user
    takes no code from it without a pin (decision 26).
    """
    values = yaml.safe_load(config.read_text())
    table = values["applications"][0]["deployments"][0]["user_config"]
    digest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    versions = table.setdefault("versions", {})
    versions.setdefault(bundle.name, {})["manifest_sha256"] = digest
    config.write_text(yaml.safe_dump(values, sort_keys=False))


def boosters(engine: Engine) -> str:
    """All three predict, and a LightGBM pipeline is served with code and requirements of a user's.

    The code is that of docs/your-model.md, word for word: a contract, and a step of the pipeline.
    """
    with context() as folder:
        write_the_guides_shop(folder)
        fit_and_bundle(folder)
        as_if_uncompiled(folder / "store" / "plans" / "1.0.0")
        pin(folder / "plans.yaml", folder / "store" / "plans" / "1.0.0")
        given = ("REQUIREMENTS=shop/requirements.txt", "PACKAGES=shop")
        options = [word for argument in given for word in ("--build-arg", argument)]
        tag = engine.build("boosters", *options, context=folder, tag="sluice:shop")
        words = ("--entrypoint", "python", tag, "-W", "ignore", "-c", BOOSTERS)
        said = engine.call("run", "--rm", *HARDENED, *words)
        assert "three libraries predict" in said, said
        readable(folder)
        mounts: tuple[str, ...] = ("-v", f"{folder}/store:/models:ro")
        mounts += ("-v", f"{folder}/plans.yaml:/app/serve_config.yaml:ro")
        with running(engine, tag, *HARDENED, *mounts) as container:
            container.until_ready()
            answers = [
                container.predict(json.dumps({**SHOP, "revenue_eur": revenue}).encode())["label"]
                for revenue in (5_000.0, 900_000.0)
            ]
    assert answers == ["bronze", "gold"], answers
    return "three libraries predict; the guide's LightGBM, with its own step, answers over HTTP"


def write_the_guides_shop(folder: Path) -> None:
    """Write what the guide's reader writes: a package, `fit.py`, and the application's YAML."""
    blocks = re.findall(r"^```python run\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    (folder / "shop").mkdir()
    for block in blocks:
        named = re.match(r"# (shop/\w+\.py)\n", block)
        if named is not None:
            (folder / named[1]).write_text(block)
        elif "plans.joblib" in block:
            (folder / "fit.py").write_text(block)
    (folder / "shop" / "__init__.py").write_text(f"import {REQUIREMENT}\n")
    (folder / "shop" / "requirements.txt").write_text(f"{REQUIREMENT}\n")
    application = {
        "name": "plans",
        "route_prefix": "/",
        "import_path": "serve_app.app:server",
        "args": {"model": "shop.plans", "store": "store"},
        "deployments": [
            {
                "name": "Server",
                "ray_actor_options": {"num_cpus": 0.2},
                "user_config": {"stable": "1.0.0"},
            }
        ],
    }
    (folder / "plans.yaml").write_text(yaml.safe_dump({"applications": [application]}))


def fit_and_bundle(folder: Path) -> None:
    """Run the guide's two commands. The bundle goes into `store`."""
    bundle = ("-m", "training", "bundle", "shop.plans", "--pipeline", "plans.joblib")
    data = ("--data", "plans.csv", "--version", "1.0.0", "--store", "store")
    for words in (("fit.py",), (*bundle, *data)):
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def training(engine: Engine) -> str:
    """The last target trains a version into a mounted store."""
    tag = engine.build("train")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        words = ("delivery_time", "--version", "1.2.0", "--store", "/models")
        options: tuple[object, ...] = (*HARDENED, *as_caller(), "-v", f"{name}:/models")
        engine.call("run", "--rm", *options, tag, *words, timeout_s=300)
        files = {path.name for path in (Path(name) / "delivery_time" / "1.2.0").iterdir()}
    assert {"manifest.json", "model.onnx", "report.html"} <= files
    return "delivery_time 1.2.0 written"


def as_caller() -> tuple[str, ...]:
    """The container's user is whoever calls this, who must be able to remove what it writes.

    Root removes what anybody wrote, and keeps the unknown user of HARDENED: of two `--user` the
    later one counts.
    """
    return ("--user", f"{os.getuid()}:0") if os.getuid() != 0 else ()
