"""A row is taken exactly when the contract takes each of its values."""

import json
from typing import Any

from arbitrary import json_values
from every_kind import CLASSIFIER
from hypothesis import given
from hypothesis import strategies as st

from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.contract.rows import RowReader
from serve_app.errors import HttpError
from serve_app.models import get_spec

SPECS: tuple[ModelSpec, ...] = (CLASSIFIER, get_spec("churn"), get_spec("delivery_time"))
READERS = {spec.name: RowReader(spec) for spec in SPECS}
NEAR = st.sampled_from(
    [
        *(1, 2, 3, 100, 101, 0.5, 50, 50.1, 0, -1, 1.0, True, None, "web", "WEB", "", "x" * 40),
        *("x" * 41, "1990-02-28", "1990-02-30", "1677-12-31", "2262-01-01", "2026-11-28T18:30"),
        *("2026-11-28 18:30:00.123456", "2026-11-28T18:30:00+00:00", "2026-W48-6", "20261128T1830"),
    ]
)


@given(data=st.data())
def test_a_row_is_taken_when_the_contract_takes_its_values(data: Any) -> None:
    """The types that read a row and the contract that is kept with a bundle say the same; and what
    was taken has a place in the block that a model gets.
    """
    spec = data.draw(st.sampled_from(SPECS))
    row = dict(spec.examples[0].row.model_dump(mode="json"))
    names = data.draw(st.lists(st.sampled_from(list(row)), min_size=1, max_size=3))
    for name in names:
        row[name] = data.draw(NEAR | json_values)
    expected = all(feature.accepts(row[feature.name]) for feature in spec.contract)
    body = json.dumps(row).encode()
    try:
        read = READERS[spec.name].one(body)
    except HttpError as error:
        assert error.status == 422
        assert not expected, row
    else:
        assert expected, row
        assert len(Layout(spec.contract).block([read.__dict__])) == 1
