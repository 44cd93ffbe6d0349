"""Pins: a table may allow one manifest only, and must do so for what runs code from elsewhere."""

from serve_app.bundle.manifest import Manifest
from serve_app.bundle.runtimes.registry import record_of


def fits_pin(pin: str | None, digest: str) -> bool:
    """Whether a manifest with this sha256 may be used under a pin; without a pin any may."""
    return pin is None or pin == digest


def missing_pin(manifest: Manifest, digest: str, *, doubt: str, is_pinned: bool) -> str | None:
    """Why a version may not be opened without a pin; None when it may.

    `doubt` is the store's: where it comes from, if others may have put it there.
    """
    record = record_of(manifest.runtime)
    if not record.runs_code or not doubt or is_pinned:
        return None
    return (
        f"is not compiled, and opening {record.file} runs the code inside: from {doubt} "
        f"expected manifest_sha256 in the table, found none. After a look at it, pin {digest}"
    )
