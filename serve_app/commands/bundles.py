"""`sluice push`, `versions`, `keygen` and `sign`: bundles in a store, as a person handles them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words
from serve_app.commands.target import (
    CONFIG,
    STORE,
    ConfigOption,
    ModelOption,
    StoreOption,
    take_model,
)

if TYPE_CHECKING:
    from serve_app.bundle.manifest import Manifest

ModelAndVersion = Annotated[
    list[str],
    typer.Argument(
        metavar="[MODEL] VERSION",
        help="The model, such as churn, or a module with its SPEC; a version such as 1.1.0.",
    ),
]
# Never a path: what is removed is a folder below the model's.
VERSION = r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?"
# A list has room for one metric: the first of these that a version has.
HEADLINES = ("auc", "accuracy", "mae", "relative_mae", "share_flagged")


def push(
    words: ModelAndVersion,
    store: Annotated[
        str, typer.Option("--store", help="Where to: folder, or s3://, gs://, az:// URI.")
    ],
    source: Annotated[str, typer.Option("--from", help="Where it is now.")] = STORE,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Copy a version to another store, verified. Other bytes under its name there are refused.

    Exit code 1: it cannot be read, or was refused.
    """
    from serve_app.bundle.push import push as push_version
    from serve_app.bundle.stores import open_store
    from serve_app.models import name_of

    with errors_in_words():
        name, [version] = take_model(words, 1, model, config)
        pushed = push_version(open_store(source), open_store(store), name_of(name), version)
    what = f"{pushed.n_files} files, {pushed.n_bytes / 1e6:.1f} MB"
    if pushed.was_there:
        what = "was there already"
    typer.echo(f"{pushed.where}: {what}\nmanifest_sha256: {pushed.manifest_sha256}")


def versions(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL] [VERSION]", help="The version is for --remove alone."),
    ] = None,
    store: StoreOption = STORE,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take VERSION out of the store, for good.")
    ] = False,
    model: ModelOption = None,
    config: Annotated[
        list[Path],
        typer.Option("--config", help="Files that may still name it; more than once for several."),
    ] = [CONFIG],  # noqa: B006 - typer copies it
) -> None:
    """List the versions of a model that a store has, or remove one that nobody names any more.

    Exit code 1: the store cannot be read, or a file still names the version.
    """
    from serve_app.errors import SettingsError

    with errors_in_words():
        found = words or []
        n_words = len(found) + (model is not None)
        if (n_words == 2 and not remove) or (n_words == 1 and remove and model is None):
            raise SettingsError(
                "versions: found only one of --remove and a version; expected both, as in "
                "`sluice versions --remove churn 1.0.0`, or none to list them"
            )
        name, more = take_model(found, 1 if remove else 0, model, config[0])
        if remove:
            typer.echo(_removed(name, more[0], store, config))
            return
    _list(name, store)


def _removed(model: str, version: str, store: str, files: list[Path]) -> str:
    """Remove a version, and say so. Raises SettingsError when a file names it, and BundleError."""
    from serve_app.bundle.stores import open_store
    from serve_app.commands.target import named_versions, read_config
    from serve_app.errors import SettingsError
    from serve_app.models import name_of

    name = name_of(model)
    if not re.fullmatch(VERSION, version):
        raise SettingsError(f"versions: found {version!r}, expected a version such as 1.0.0")
    for path in files:
        where = named_versions(read_config(path), name).get(version)
        if where is not None:
            raise SettingsError(
                f"{path}: {where} still names {name} {version}; take it out there and deploy that "
                "before you remove it"
            )
    place = open_store(store)
    place.remove(name, version)
    looked_at = ", ".join(str(path) for path in files)
    return f"{place.uri}/{name}/{version}: removed; {looked_at} did not name it"


def _list(model: str, store: str) -> None:
    from rich.table import Table

    from serve_app.bundle.push import listed, signatures_of
    from serve_app.bundle.stores import open_store
    from serve_app.commands.terminal import Terminal
    from serve_app.models import name_of

    with errors_in_words():
        model = name_of(model)
        place = open_store(store)
        found = [
            (manifest, digest, bool(signatures_of(place, model, manifest.version)))
            for manifest, digest in listed(place, model)
        ]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("version", "made (UTC)", "runtime", "", "MB", "signed", "manifest_sha256"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=True)
    for manifest, digest, is_signed in found:
        n_bytes = sum(file.size_bytes for file in manifest.files.values())
        table.add_row(
            manifest.version,
            manifest.created_at[:16],
            manifest.runtime,
            _headline(manifest),
            f"{n_bytes / 1e6:.1f}",
            "yes" if is_signed else "no",
            digest,
        )
    # Wide enough for the hash, which is there to be copied: it is never cut.
    console = Terminal(highlight=False, markup=False, width=160)
    console.print(table if found else f"{place.uri}: no version of {model}")


def keygen(
    path: Annotated[
        Path,
        typer.Argument(help="Where to write the private key; never into a repository or an image."),
    ],
) -> None:
    """Make a key that signs bundles, and print the line for serve_config.yaml that trusts it.

    Exit code 1: the key cannot be written.
    """
    from serve_app.bundle.signature import make_key

    with errors_in_words():
        public = make_key(path)
    typer.echo(
        f"{path}: written, for your eyes only. In `args` of the applications that are to trust it:"
    )
    typer.echo(f'public_keys: ["{public}"]')


def sign(
    words: ModelAndVersion,
    key: Annotated[Path, typer.Option("--key", help="The private key of `sluice keygen`.")],
    store: StoreOption = STORE,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Sign a version's manifest, which holds the hashes of all its files.

    Earlier signatures stay. Exit code 1: key or version cannot be read, or the store refuses.
    """
    from serve_app.bundle.manifest import MANIFEST, SIGNATURE
    from serve_app.bundle.push import signatures_of
    from serve_app.bundle.signature import public_key_of, read_key
    from serve_app.bundle.signature import sign as signature_of
    from serve_app.bundle.stores import open_store
    from serve_app.bundle.verified import read_manifest
    from serve_app.models import name_of

    with errors_in_words():
        private = read_key(key)
        given, [version] = take_model(words, 1, model, config)
        name = name_of(given)
        place = open_store(store)
        read_manifest(place, name, version)
        before = signatures_of(place, name, version).decode().split()
        mine = signature_of(private, place.read(name, version, MANIFEST))
        # A key that signs twice leaves one line: a dict keeps the first of equal keys.
        lines = dict.fromkeys([*before, mine])
        text = "".join(f"{line}\n" for line in lines)
        place.put(name, version, SIGNATURE, text.encode())
    typer.echo(f"{place.uri}/{name}/{version}: signed by {public_key_of(private)}")


def _headline(manifest: "Manifest") -> str:
    for name in HEADLINES:
        if name in manifest.metrics:
            return f"{name} {manifest.metrics[name].value:.3f}"
    return ""
