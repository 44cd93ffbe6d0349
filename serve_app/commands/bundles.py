"""`sluice push`, `versions`, `keygen` and `sign`: bundles in a store, as a person handles them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from serve_app.bundle.manifest import Manifest
    from serve_app.bundle.store import Store

T = TypeVar("T")
Model = Annotated[str, typer.Argument(help="The model, such as churn.")]
Version = Annotated[str, typer.Argument(help="Its version, such as 1.1.0.")]
Place = Annotated[
    str, typer.Option("--store", envvar="MODEL_PATH", help="Folder, or s3://, gs://, az:// URI.")
]
HERE = "model_store"
HEADLINES = ("auc", "mae")  # the metric that a list has room for: whichever a version has


def push(
    model: Model,
    version: Version,
    store: Annotated[
        str, typer.Option("--store", help="Where to: folder, or s3://, gs://, az:// URI.")
    ],
    source: Annotated[str, typer.Option("--from", help="Where it is now.")] = HERE,
) -> None:
    """Copy a version to another store, verified. Other bytes under a version that is there are refused."""
    from serve_app.bundle.push import push as push_version

    pushed = _done(lambda: push_version(_open(source), _open(store), model, version))
    what = (
        "was there already"
        if pushed.was_there
        else f"{pushed.n_files} files, {pushed.n_bytes / 1e6:.1f} MB"
    )
    typer.echo(f"{pushed.where}: {what}\nmanifest_sha256: {pushed.manifest_sha256}")


def versions(model: Model, store: Place = HERE) -> None:
    """The versions of a model that a store has."""
    from rich.console import Console
    from rich.table import Table

    from serve_app.bundle.push import listed, signatures_of

    place = _done(lambda: _open(store))
    found = _done(
        lambda: [
            (*item, signatures_of(place, model, item[0].version)) for item in listed(place, model)
        ]
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("version", "made (UTC)", "runtime", "", "MB", "signed", "manifest_sha256"):
        table.add_column(heading, justify="right" if heading == "MB" else "left", no_wrap=True)
    for manifest, digest, signatures in found:
        megabytes = f"{sum(file.size_bytes for file in manifest.files.values()) / 1e6:.1f}"
        signed = "yes" if signatures else "no"
        table.add_row(
            manifest.version,
            manifest.created_at[:16],
            manifest.runtime,
            _headline(manifest),
            megabytes,
            signed,
            digest,
        )
    console = Console(
        highlight=False, markup=False, width=160
    )  # the hash is there to be copied: never cut
    console.print(table if found else f"{place.uri}: no version of {model}")


def keygen(
    path: Annotated[
        Path,
        typer.Argument(help="Where to write the private key; never into a repository or an image."),
    ],
) -> None:
    """Make a key that signs bundles, and print the line for serve_config.yaml that trusts it."""
    from serve_app.bundle.signature import make_key

    public = _done(lambda: make_key(path))
    typer.echo(
        f"{path}: written, for your eyes only. In `args` of the applications that shall trust it:"
    )
    typer.echo(f'public_keys: ["{public}"]')


def sign(
    model: Model,
    version: Version,
    key: Annotated[Path, typer.Option("--key", help="The private key of `sluice keygen`.")],
    store: Place = HERE,
) -> None:
    """Sign a version's manifest, which holds the hashes of all its files. Earlier signatures stay."""
    from serve_app.bundle.manifest import MANIFEST, SIGNATURE
    from serve_app.bundle.push import signatures_of
    from serve_app.bundle.signature import public_key_of, read_key
    from serve_app.bundle.signature import sign as signature_of
    from serve_app.bundle.verified import read_manifest

    def add() -> str:
        private, place = read_key(key), _open(store)
        read_manifest(place, model, version)
        lines = signatures_of(place, model, version).decode().split()
        mine = signature_of(private, place.read(model, version, MANIFEST))
        place.put(
            model,
            version,
            SIGNATURE,
            "".join(f"{line}\n" for line in dict.fromkeys([*lines, mine])).encode(),
        )
        return f"{place.uri}/{model}/{version}: signed by {public_key_of(private)}"

    typer.echo(_done(add))


def _open(store: str) -> "Store":
    from serve_app.bundle.stores import open_store

    return open_store(store)


def _headline(manifest: "Manifest") -> str:
    name = next((name for name in HEADLINES if name in manifest.metrics), None)
    return f"{name} {manifest.metrics[name].value:.3f}" if name else ""


def _done(work: Callable[[], T]) -> T:
    """The result; a refusal is one sentence in red, and exit code 1."""
    from rich.console import Console

    from serve_app.errors import SluiceError

    try:
        return work()
    except SluiceError as error:
        Console(stderr=True, soft_wrap=True).print(
            str(error), style="red", markup=False, highlight=False
        )
        raise typer.Exit(1) from None
