"""A runtime as a record: what manifests, pins, checks, status and training know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from serve_app.bundle.runtimes.needs import first_fault, installed_version

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
    that says how to get it. Where opening runs code, so must every other library and module that
    the manifest names. `open(data, manifest)` imports what it needs when it is called: a replica
    imports nothing for runtimes that it does not use.
    """

    name: str
    file: str
    runs_code: bool
    open: Open
    libraries: Mapping[str, str] = field(default_factory=dict)

    def needs_fault(self, manifest: "Manifest") -> str | None:
        """Why a model cannot be opened with what is installed here; None when it can.

        Nothing is imported to find that out.
        """
        for library, advice in self.libraries.items():
            expected = manifest.libraries.get(library, "none")
            found = installed_version(library)
            if found is None:
                return f"its runtime {self.name} needs {library} {expected}, found none. {advice}"
            if expected != found:
                return (
                    f"needs {library} {expected}, found {found}. Bundle it again with the "
                    f"{library} that serves it."
                )
        # Bundles of format 1 name the libraries of training, which serving does not have.
        if not self.runs_code or manifest.format == 1:
            return None
        return first_fault(manifest.libraries, manifest.modules)
