"""`python -m training.missing serve_config.yaml`: trains what the file serves and a store lacks.

For `make serve` in a fresh copy of the project: a model whose training makes its own rows
(`make_rows`) is trained as the version that is `stable` in the file. Every other version that is
missing is named, with the command that makes it.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from serve_app.bundle.objects import is_object_uri
from serve_app.bundle.stores import open_store, served_uri
from serve_app.errors import SettingsError, SluiceError
from serve_app.models import name_of

SERVER = "serve_app.app:server"
DEFAULT_STORE = "model_store"


@dataclass(frozen=True)
class Wanted:
    """A stable version that the file names: `model` is what `args.model` says."""

    model: str
    version: str
    store: str


def wanted_by(config: Mapping[str, Any]) -> Iterator[Wanted]:
    """The stable version of each server in a configuration; a table without one is passed over."""
    for application in config.get("applications") or []:
        if application.get("import_path") != SERVER:
            continue
        args = application.get("args") or {}
        for deployment in application.get("deployments") or []:
            stable = (deployment.get("user_config") or {}).get("stable")
            if "model" in args and stable is not None:
                store = served_uri(str(args.get("store", DEFAULT_STORE)))
                yield Wanted(str(args["model"]), str(stable), store)


def train_missing(path: Path) -> list[str]:
    """Train what is missing and has a recipe; a sentence for each version that is still missing.

    An object store is left alone: what is in it is nobody's scratch. Raises SluiceError for a file
    that cannot be read, and whatever stops a training.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(config, dict):
        raise SettingsError(f"{path}: found no mapping, expected a file as `sluice up` takes it")
    left = []
    for wanted in dict.fromkeys(wanted_by(config)):
        if is_object_uri(wanted.store):
            continue
        store = open_store(wanted.store)
        if wanted.version in store.versions(name_of(wanted.model)):
            continue
        if not _trained(wanted):
            left.append(
                f"{wanted.model} {wanted.version}: not in {wanted.store}, and its training makes "
                f"no rows; expected it there: python -m training {wanted.model} --version "
                f"{wanted.version} --data FILE.csv"
            )
    return left


def _trained(wanted: Wanted) -> bool:
    """Train one version where its rows can be made, and say so."""
    # Here, because training takes seconds to import, and mostly nothing is missing.
    from serve_app.models import get_spec
    from training.recipe import get_training
    from training.run import train

    training = get_training(wanted.model)
    if training.make_rows is None:
        return False
    typer.echo(f"training {wanted.model} {wanted.version} ...")
    written = train(training, get_spec(wanted.model), wanted.version, open_store(wanted.store))
    typer.echo(f"  {written.where}")
    return True


def main(path: Path) -> int:
    """Exit code 1 when something is still missing, or cannot be made."""
    try:
        left = train_missing(path)
    except SluiceError as error:
        left = [str(error)]
    for line in left:
        typer.echo(line, err=True)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "serve_config.yaml")))
