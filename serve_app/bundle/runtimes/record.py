"""A runtime as a record: what manifests, pins, checks, status and training know of it."""

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # For types only: who reads a table or a manifest needs no numpy.
    from serve_app.bundle.manifest import Manifest
    from serve_app.contract.block import Block, Scores


class Runtime(Protocol):
    """An opened model."""

    def score(self, block: "Block") -> "Scores":
        """(n_rows,) scores, or (n_rows, n_outputs) for several of a row; may raise."""


Open = Callable[[bytes, "Manifest"], Runtime]


@dataclass(frozen=True)
class RuntimeRecord:
    """One way to open a model.

    `name` is what a manifest says, and `file` the one file of the bundle that is opened. Where
    opening `runs_code`, a bundle from an object store must be pinned. `libraries` must have the
    versions that the manifest names, since the file is only defined for those; each has a sentence
    that says how to get it. `open(data, manifest)` imports what it needs when it is called: a
    replica imports nothing for runtimes that it does not use.
    """

    name: str
    file: str
    runs_code: bool
    open: Open
    libraries: Mapping[str, str] = field(default_factory=dict)

    def library_fault(self, wanted: Mapping[str, str]) -> str | None:
        """Why a model cannot be opened with the libraries installed here; None when it can.

        `wanted` has the versions that the manifest names.
        """
        for library, advice in self.libraries.items():
            expected = wanted.get(library, "none")
            try:
                found = importlib.metadata.version(library)
            except importlib.metadata.PackageNotFoundError:
                return f"its runtime {self.name} needs {library} {expected}, found none. {advice}"
            if expected != found:
                return (
                    f"needs {library} {expected}, found {found}. Bundle it again with the "
                    f"{library} that serves it."
                )
        return None
