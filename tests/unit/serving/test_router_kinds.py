"""Every kind of model gets its answers from the router, and a failed row costs itself only."""

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from every_kind import ANOMALY, CLASSIFIER, EXAMPLE, KINDS, OUTPUTS, YES_NO
from fakes import FakeScorer, opened, table

from serve_app.contract import ModelSpec
from serve_app.contract.block import Block
from serve_app.serving.answer import Answered
from serve_app.serving.coalescer import Coalescer
from serve_app.serving.member import Opened
from serve_app.serving.router import Router
from serve_app.serving.versions import Versions
from serve_app.settings import Table, VersionEntry

NAN = math.nan


async def answered(spec: ModelSpec, scores: list[Any], **parameters: float) -> Answered:
    """What a router says of rows that the model gives these scores; the amount numbers the rows."""
    found = opened(FakeScorer(lambda amount: scores[int(amount)]))
    object.__setattr__(found.manifest, "parameters", parameters)

    async def open_version(version: str, entry: VersionEntry, of: Table) -> Opened:
        return found

    versions = Versions(open_version)
    await versions.start(table())
    rows = [EXAMPLE.row.model_copy(update={"amount": float(n)}) for n in range(len(scores))]
    return await Router(spec, versions).predict(rows, "key", None)


async def test_a_classifier_answers_with_the_most_probable_class() -> None:
    """Each row has its own probabilities, and a row that lacks one has no answer."""
    found = await answered(CLASSIFIER, [[0.1, 0.7, 0.2], [0.5, NAN, 0.5], [0.6, 0.3, 0.1]])
    first, second, third = found.predictions
    assert first is not None
    assert first.model_dump() == {
        "label": "in time",
        "probability": 0.7,
        "probabilities": {"late": 0.1, "in time": 0.7, "early": 0.2},
    }
    assert second is None
    assert third is not None
    assert third.model_dump()["label"] == "late"
    assert found.n_failed == 1


async def test_several_outputs_have_a_field_each() -> None:
    """A value that is not finite has no answer either."""
    found = await answered(OUTPUTS, [[3.0, 49.5], [math.inf, 1.0]])
    assert found.predictions[0] is not None
    assert found.predictions[0].model_dump() == {"days": 3.0, "cost_usd": 49.5}
    assert found.predictions[1] is None


async def test_labels_are_cut_at_the_bundles_threshold() -> None:
    """The pipeline's own threshold is a parameter of the bundle, and decides the label."""
    found = await answered(YES_NO, [0.2, 0.1, NAN], threshold=0.2)
    labels = [one and one.model_dump()["label"] for one in found.predictions]
    assert labels == ["yes", "no", None]


async def test_an_anomaly_score_says_whether_it_is_one() -> None:
    """Below zero is unusual, as scikit-learn has it."""
    found = await answered(ANOMALY, [-0.01, 0.0])
    assert [one and one.model_dump()["is_anomaly"] for one in found.predictions] == [True, False]


@pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)
async def test_a_request_of_failed_rows_alone_has_no_answers(spec: ModelSpec) -> None:
    """Whatever the shape of the scores, NaN is no answer and no fault of the router."""
    failed = NAN if spec.n_scores == 1 else [NAN] * spec.n_scores
    found = await answered(spec, [failed, failed])
    assert list(found.predictions) == [None, None]
    assert found.n_failed == 2


async def test_coalesced_blocks_get_their_own_rows_of_scores() -> None:
    """Several scores of a row are split between callers by row, never by column."""

    n_asked = []

    async def send(block: Block) -> Any:
        n_asked.append(len(block))
        await asyncio.sleep(0)
        return np.column_stack([block.numbers[:, 0], -block.numbers[:, 0]])

    coalescer = Coalescer(send, max_rows=100, max_in_flight=lambda: 1)
    columns = [[0.0], [1.0, 2.0], [7.0]]
    blocks = [Block(np.array([c]).T, np.empty((len(c), 0), dtype=object)) for c in columns]
    found = await asyncio.gather(*(coalescer.score(block) for block in blocks))
    assert n_asked == [1, 3], "what came during the first call left together"
    assert [scores.tolist() for scores in found] == [[[0, 0]], [[1, -1], [2, -2]], [[7, -7]]]
