"""The files of a new model: written next to serve_config.yaml, imported, trained and listed."""

import importlib
import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from serve_app.bundle.loading import load
from serve_app.bundle.store import Store
from serve_app.bundle.stores import open_store
from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.errors import SluiceError
from training.bundling import Written, require_new
from training.errors import TrainingError
from training.foreign import columns_of, read_pipeline
from training.new.contract_text import Guess, contract_text
from training.new.look import Wishes, look
from training.new.names import folder_of, require_model_name, require_package_name
from training.new.source import find_source
from training.new.training_text import training_text
from training.new.yaml_text import (
    application_text,
    application_there,
    read_config,
    route_of,
    with_application,
)
from training.recipe import Training
from training.run import Step, bundle, silent, train

VERSION = "1.0.0"


@dataclass(frozen=True)
class Order:
    """What `sluice new` is asked for."""

    name: str
    data: Path
    config: Path
    package: str
    store: str | None = None
    pipeline: Path | None = None
    overwrite: bool = False
    wishes: Wishes = field(default_factory=Wishes)


@dataclass(frozen=True)
class Made:
    """What came of it. `files` are those that were written, `answer` is to the row of `request`."""

    guess: Guess
    written: Written
    files: tuple[Path, ...]
    url: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any]


def make(order: Order, step: Step = silent) -> Made:
    """Guess, write the files, train or bundle version 1.0.0, and add the model to the file.

    The application is added last: a file of configuration never names what has no version. Raises
    TrainingError, BundleError or SettingsError; before the training nothing was written then.
    """
    require_model_name(order.name)
    require_package_name(order.package)
    module = f"{order.package}.{order.name}"
    text, config = read_config(order.config)
    store_uri = order.store or _store_of(config)
    store = open_store(_from(order.config, store_uri))
    _require_new(order, config, module, store)

    step(f"Looking at {order.data.name}")
    wanted = None
    if order.pipeline is not None:
        wanted = columns_of(read_pipeline(order.pipeline), order.pipeline)
    guess, rows = look(find_source(order.data), order.name, order.package, order.wishes, wanted)
    files: tuple[Path, ...] = _files(order)
    _write(files[0], contract_text(guess, rows))
    _write(files[1], training_text(guess, is_fitted_elsewhere=order.pipeline is not None))
    try:
        spec, training = load_model(files[0].parent, order.name)
        written = _run(order, training, spec, store, step)
    except SluiceError as error:
        raise type(error)(f"{error}{_advice(order, files, module)}") from None
    served = application_there(config, order.name, module)
    if served is None:
        application = application_text(order.name, module, store_uri, VERSION)
        order.config.write_text(
            with_application(text, application, str(order.config)), encoding="utf-8"
        )
        files = (*files, order.config)
    request, answer = _first_answer(spec, store)
    return Made(guess, written, files, _url(config, order.name), request, answer)


def load_model(folder: Path, name: str) -> tuple[ModelSpec, Training]:
    """The SPEC and the TRAINING of a model in a folder of modules. Raises TrainingError."""
    package = folder.name
    for known in [key for key in sys.modules if key == package or key.startswith(f"{package}.")]:
        # One of the same name may have been imported from elsewhere, or before it was written.
        del sys.modules[known]
    parent = str(folder.parent)
    if parent not in sys.path:
        sys.path.insert(0, parent)
    importlib.invalidate_caches()
    module = _imported(f"{package}.{name}", folder)
    training = _imported(f"{package}.{name}_training", folder)
    return module.SPEC, training.TRAINING


def _imported(name: str, folder: Path) -> ModuleType:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        # Whatever is wrong with a file of a person's own.
        raise TrainingError(
            f"{name}: cannot be imported ({type(error).__name__}: {error}); correct the file in "
            f"{folder}"
        ) from error
    where = Path(module.__file__ or "").resolve().parent
    if where != folder.resolve():
        raise TrainingError(
            f"--package {folder.name}: found a package of this name in {where}, expected it in "
            f"{folder}; choose another name"
        )
    return module


def _run(order: Order, training: Training, spec: ModelSpec, store: Store, step: Step) -> Written:
    if order.pipeline is None:
        return train(training, spec, VERSION, store, order.data, step)
    return bundle(training, spec, VERSION, store, order.pipeline, order.data, step)


def _require_new(order: Order, config: Mapping[str, Any], module: str, store: Store) -> None:
    """Refuse what is there already, with what to do. Raises TrainingError or BundleError."""
    next_version = f"python -m training {module} --version 1.1.0 --data {order.data}"
    files = [path for path in _files(order) if path.exists()]
    there = application_there(config, order.name, module)
    if order.overwrite:
        files = []
        if there and "serves the model" in there:
            there = None
    if there or files:
        what = f"{order.config}: {there}" if there else f"{files[0]}: exists already"
        raise TrainingError(
            f"{what}. Train the next version ({next_version}), choose another name, or write its "
            "files again with --overwrite"
        )
    if VERSION in store.versions(order.name):
        require_new(store, order.name, VERSION)


def _files(order: Order) -> tuple[Path, Path]:
    folder = folder_of(order.config, order.package)
    return folder / f"{order.name}.py", folder / f"{order.name}_training.py"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    first = path.parent / "__init__.py"
    if not first.exists():
        first.write_text('"""Models of our own, each with its contract and its training."""\n')
    path.write_text(text, encoding="utf-8")


def _advice(order: Order, files: tuple[Path, ...], module: str) -> str:
    """What to do with the files that stay after training has failed."""
    listed = " and ".join(str(path) for path in files)
    return (
        f"\n{listed} stay as they were guessed: correct them, then add --overwrite to begin "
        f"again from {order.data.name}, or train what they say: python -m training {module} "
        f"--version {VERSION} --data {order.data}"
    )


def _store_of(config: Mapping[str, Any]) -> str:
    """The store that the file's other applications name."""
    for application in config.get("applications") or []:
        store = (application.get("args") or {}).get("store")
        if store:
            return str(store)
    return "model_store"


def _from(config: Path, store: str) -> str:
    """A relative folder is meant from where `sluice up` is started: next to the file."""
    if "://" in store:
        return store
    return str(config.resolve().parent / store)


def _url(config: Mapping[str, Any], model: str) -> str:
    http = config.get("http_options") or {}
    host = http.get("host", "127.0.0.1")
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://{host}:{http.get('port', 8000)}{route_of(model)}"


def _first_answer(spec: ModelSpec, store: Store) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first example as JSON, and what the new version answers to it."""
    row = spec.examples[0].row.model_dump(mode="json")
    predictor = load(store, spec, VERSION)
    scores = predictor.score(Layout(spec.contract).block([row]))
    answer = spec.answer(scores[0].tolist(), predictor.manifest.parameters)
    found: dict[str, Any] = json.loads(answer.model_dump_json())
    return row, found
