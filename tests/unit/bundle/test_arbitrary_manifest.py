"""Whatever lies in a store as a manifest is one, or a sentence that says why it is none."""

import json
from typing import Any

from arbitrary import mutated
from hypothesis import given
from hypothesis import strategies as st

from serve_app.bundle.loading import kind_fault
from serve_app.bundle.manifest import parse
from serve_app.contract.feature import differences
from serve_app.errors import BundleError
from serve_app.models import get_spec

SPEC = get_spec("delivery_time")
DIGEST = "a" * 64
DOCUMENT: dict[str, Any] = {
    "format": 2,
    "model": SPEC.name,
    "version": "1.0.0",
    "kind": SPEC.kind,
    "runtime": "onnx",
    "runtime_reason": "agrees with the pipeline",
    "features": [feature.model_dump(mode="json") for feature in SPEC.contract],
    "references": {"a": {"share_missing": 0.1, "counts": [1, 2], "edges": [0.5], "values": None}},
    "parameters": {"half_width": 4.5},
    "metrics": {"mae": {"value": 1.0, "low": 0.5, "high": 1.5}},
    "training_data_sha256": DIGEST,
    "n_training_rows": 10,
    "created_at": "2026-11-28T18:30:00Z",
    "libraries": {"onnxruntime": "1.0"},
    "files": {"model.onnx": {"sha256": DIGEST, "size_bytes": 1}},
    "golden_rows": [{"row": SPEC.examples[0].row.model_dump(mode="json"), "score": 30.5}],
    "tolerance": 1e-5,
}


def looked_at(data: bytes) -> bool:
    """Whether it is a manifest. Everything that is asked before a model is opened has an answer."""
    try:
        manifest = parse(data, "store/delivery_time/1.0.0")
    except BundleError as error:
        assert str(error).startswith("store/delivery_time/1.0.0/manifest.json: ")
        return False
    assert all(isinstance(line, str) for line in differences(SPEC.contract, manifest.contract))
    assert all(feature.allowed for feature in manifest.contract)
    kind_fault(SPEC, manifest)
    assert manifest.model_file
    for name in manifest.files:
        assert "/" not in name
        assert name not in (".", "..")
    return True


def test_the_manifest_that_is_changed_is_sound() -> None:
    """Else the test below would try refusals alone."""
    assert looked_at(json.dumps(DOCUMENT).encode())


@given(mutated(DOCUMENT, most=3))
def test_a_changed_manifest_is_compared_or_refused(document: Any) -> None:
    """Also one whose contract contradicts itself: a store may be written by others."""
    looked_at(json.dumps(document).encode())


@given(data=st.data())
def test_a_contract_that_contradicts_itself_is_compared_or_refused(data: Any) -> None:
    """Bounds without their other end, choices of another type: the comparison has an answer."""
    features = list(DOCUMENT["features"])
    i = data.draw(st.integers(0, len(features) - 1))
    features[i] = data.draw(mutated(features[i], most=3))
    looked_at(json.dumps(DOCUMENT | {"features": features}).encode())


@given(st.binary(max_size=100))
def test_any_bytes_for_a_manifest_are_refused(data: bytes) -> None:
    """A file that was cut off or replaced is no reason for a traceback."""
    assert not looked_at(data)
