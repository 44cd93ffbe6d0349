"""Rows as two matrices: what a model sees is what the client sent, cell by cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import MISSING_CATEGORY, Block, Layout

CONTRACT = (
    Feature(name="age", dtype="int", minimum=0.0, maximum=99.0, nullable=True),
    Feature(name="plan", dtype="category", choices=("a", "b"), nullable=True),
    Feature(name="price", dtype="float", minimum=0.0, maximum=9.0, nullable=True),
    Feature(name="region", dtype="category", choices=("north", "south")),
)
NUMBERS_ONLY = (CONTRACT[0], CONTRACT[2])
CATEGORIES_ONLY = (CONTRACT[1], CONTRACT[3])
ROWS = [
    {"age": 3, "plan": "a", "price": 1.5, "region": "north"},
    {"age": None, "plan": None, "price": 0.0, "region": "south"},
    {"age": 0, "plan": "b", "price": None, "region": "north"},
]


def assert_same(one: Block, other: Block) -> None:
    """The same cells, NaN where the other has NaN."""
    np.testing.assert_array_equal(one.numbers, other.numbers)
    np.testing.assert_array_equal(one.categories, other.categories)
    assert len(one) == len(other)


def test_each_field_goes_to_its_column_and_missing_stays_missing() -> None:
    """Numbers with NaN, text with an empty one, in the order of the contract and not of the row; 0
    is not missing.
    """
    block = Layout(CONTRACT).block([dict(reversed(row.items())) for row in ROWS])
    np.testing.assert_array_equal(block.numbers, [[3, 1.5], [np.nan, 0], [0, np.nan]])
    assert block.categories.tolist() == [
        ["a", "north"],
        [MISSING_CATEGORY, "south"],
        ["b", "north"],
    ]
    assert block.numbers.dtype == np.float64
    assert len(block) == 3


def test_a_contract_of_numbers_alone_has_an_empty_second_matrix() -> None:
    """Both matrices always have a row for each row."""
    block = Layout(NUMBERS_ONLY).block(ROWS)
    assert block.numbers.shape == (3, 2)
    assert block.categories.shape == (3, 0)


def test_a_contract_of_categories_alone_has_an_empty_first_matrix() -> None:
    """The length of a block does not depend on its having numbers."""
    block = Layout(CATEGORIES_ONLY).block(ROWS)
    assert block.numbers.shape == (3, 0)
    assert block.categories.shape == (3, 2)
    assert len(block) == 3


def test_a_field_that_a_row_lacks_is_an_error() -> None:
    """Never a silent shift of the columns."""
    with pytest.raises(KeyError, match="price"):
        Layout(CONTRACT).block([{"age": 1, "plan": "a", "region": "north"}])


def test_every_example_keeps_its_values(spec: ModelSpec) -> None:
    """What is read back from the columns is the row that was sent, for every registered model."""
    layout = Layout(spec.contract)
    rows = [example.row.model_dump() for example in spec.examples]
    block = layout.block(rows)
    for index, row in enumerate(rows):
        found = dict(zip(layout.number_names, block.numbers[index].tolist(), strict=True))
        found |= dict(zip(layout.category_names, block.categories[index].tolist(), strict=True))
        assert found == row


@given(sizes=st.lists(st.integers(0, 6), min_size=1, max_size=6), data=st.data())
def test_blocks_that_were_joined_come_apart_again(sizes: list[int], data: st.DataObject) -> None:
    """concat, then slices at the same places, gives the blocks as they were: nobody gets another's
    rows.
    """
    number = st.none() | st.integers(0, 99)
    row = st.fixed_dictionaries(
        {
            "age": number,
            "plan": st.sampled_from(["a", "b", None]),
            "price": number,
            "region": st.just("north"),
        }
    )
    layout = Layout(CONTRACT)
    whole = layout.block([data.draw(row) for _ in range(sum(sizes) + 1)])
    ends = np.cumsum(sizes).tolist()
    parts = [whole[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    joined = Block.concat(parts)
    assert_same(joined, whole[: ends[-1]])
    for part, end, size in zip(parts, ends, sizes, strict=True):
        assert_same(joined[end - size : end], part)


def test_one_block_alone_is_not_copied() -> None:
    """The usual case without load costs nothing."""
    block = Layout(CONTRACT).block(ROWS)
    assert Block.concat([block]) is block
