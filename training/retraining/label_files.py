"""Labels by the id of their prediction, from CSV files as `sluice label` takes them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serve_app.bundle.objects import (
    NoSuchObject,
    ObjectFault,
    ObjectTooLarge,
    is_object_uri,
    open_objects,
)
from serve_app.commands.label import ACTUAL, ID, labels_in
from serve_app.contract import ModelSpec
from serve_app.errors import HttpError
from serve_app.monitoring.labels.shapes import Shaper
from training.errors import InvalidData

RETRY_S = 30.0
TIMEOUT_S = 60.0
MOST_BYTES = 1024**3


def read_labels(files: Sequence[str], spec: ModelSpec) -> dict[str, Any]:
    """What came true for each prediction id; of several labels of an id the first counts.

    A file is on this machine or in an object store. Raises SettingsError for one that cannot be
    read, and InvalidData for a label that is none of this model.
    """
    if spec.is_anomaly_score:
        raise InvalidData(
            f"--labels: {spec.name} scores how unusual a row is, so that nothing comes true for "
            "it; expected --data FILE.csv"
        )
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="sluice-labels-") as folder:
        for file in files:
            path = _fetched(file, Path(folder)) if is_object_uri(file) else Path(file)
            _add(found, path, file, spec)
    return found


def _add(found: dict[str, Any], path: Path, said: str, spec: ModelSpec) -> None:
    shaper = Shaper(spec)
    for line, label in labels_in(path, spec):
        try:
            shaper.truth_of(label[ACTUAL])
        except HttpError as error:
            raise InvalidData(
                f"{said} {line}: found {label[ACTUAL]!r}: {error.detail} Correct or drop this "
                "label."
            ) from None
        found.setdefault(label[ID], label[ACTUAL])


def _fetched(uri: str, folder: Path) -> Path:
    """A copy of an object. Raises InvalidData."""
    place, _, name = uri.rpartition("/")
    try:
        data = open_objects(place, retry_s=RETRY_S, timeout_s=TIMEOUT_S).get(name, MOST_BYTES)
    except (NoSuchObject, ObjectFault, ObjectTooLarge, ValueError, OSError) as error:
        raise InvalidData(
            f"--labels: {uri} cannot be read ({type(error).__name__}: {error}); expected a CSV "
            "file there"
        ) from None
    path = folder / "labels.csv"
    path.write_bytes(data)
    return path
