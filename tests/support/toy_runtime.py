"""A third runtime that only its record makes known: a file of JSON whose one number is multiplied
by active days.
"""

import json
from typing import Any

import numpy as np
from checking import manifest_of

from serve_app.bundle.manifest import MANIFEST, File, GoldenRow, Manifest, sha256_of
from serve_app.bundle.runtimes.record import RuntimeRecord
from serve_app.bundle.store import Store
from serve_app.contract.block import Block, Scores
from serve_app.models import get_spec

PER_DAY = 0.03
MODEL_FILE = "days.json"


class Days:
    """Scores a row by its active days."""

    def __init__(self, per_day: float) -> None:
        self._per_day = per_day

    def score(self, block: Block) -> Scores:
        """(n_rows,) active days times the number of the file."""
        return block.numbers[:, 0] * self._per_day


def _open(data: bytes, manifest: Manifest) -> Days:
    assert manifest.contract[0].name == "monthly_active_days"
    return Days(json.loads(data)["per_day"])


def toy(**changes: Any) -> RuntimeRecord:
    """The record, with what a test needs to be otherwise."""
    return RuntimeRecord(
        **{"name": "toy", "file": MODEL_FILE, "runs_code": False, "open": _open} | changes
    )


def write_toy(store: Store, version: str = "1.0.0", **changes: Any) -> str:
    """Write a churn bundle of the toy; the sha256 of its manifest, in which `changes` stand."""
    model = json.dumps({"per_day": PER_DAY}).encode()
    rows = [example.row.model_dump() for example in get_spec("churn").examples]
    manifest = manifest_of(
        "churn",
        version,
        **{
            "runtime": "toy",
            "files": {MODEL_FILE: File(sha256=sha256_of(model), size_bytes=len(model))},
            "golden_rows": [
                GoldenRow(row=row, score=row["monthly_active_days"] * PER_DAY) for row in rows
            ],
        }
        | changes,
    )
    store.write("churn", version, {MANIFEST: manifest, MODEL_FILE: model})
    return sha256_of(manifest)


def expected_scores(*active_days: int) -> list[float]:
    """What the toy gives."""
    return (np.array(active_days) * PER_DAY).tolist()
