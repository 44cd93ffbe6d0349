"""How numbers enter a graph: counts of cuts below them, exactly as float64 compares."""

import numpy as np

from serve_app.bundle.runtimes.number_code import CodedColumn, NumberCode

CUTS = np.array([-1.0, 0.1, 16_777_217.01, 1.7e9])
CODE = NumberCode((CodedColumn(1, CUTS), CodedColumn(0), CodedColumn(1)))


def around(cuts: np.ndarray) -> np.ndarray:
    """(n, 2) numbers with each cut, its neighbours and a missing value in the second column."""
    values = np.concatenate(
        [cuts, np.nextafter(cuts, np.inf), np.nextafter(cuts, -np.inf), [np.nan]]
    )
    return np.column_stack([np.arange(len(values), dtype=np.float64), values])


def test_a_number_is_at_most_a_cut_exactly_when_its_count_is() -> None:
    """The graph compares small whole numbers, and no float64 changes its side."""
    numbers = around(CUTS)
    counts = CODE.encoded(numbers)[:, 0]
    known = ~np.isnan(numbers[:, 1])
    for place, cut in enumerate(CUTS):
        assert np.array_equal(counts[known] <= place, numbers[known, 1] <= cut)
    assert np.isnan(counts[~known]).all()


def test_one_row_is_encoded_as_it_is_among_many() -> None:
    """Few rows go another way, which is faster, and get the same numbers."""
    numbers = around(CUTS)
    alone = np.concatenate([CODE.encoded(numbers[i : i + 1]) for i in range(len(numbers))])
    assert np.array_equal(alone, CODE.encoded(numbers), equal_nan=True)
    assert alone.dtype == np.float64


def test_columns_without_cuts_are_the_numbers_themselves() -> None:
    """A field may enter twice: counted for the trees, and as it is for a sum."""
    numbers = around(CUTS)
    assert np.array_equal(CODE.encoded(numbers)[:, 1:], numbers, equal_nan=True)


def test_a_code_is_the_same_after_it_was_kept_as_text() -> None:
    """No digit of a cut is lost in the metadata of a graph."""
    again = NumberCode.from_text(CODE.to_text())
    numbers = around(CUTS)
    assert np.array_equal(again.encoded(numbers), CODE.encoded(numbers), equal_nan=True)


def test_no_code_leaves_the_numbers_alone() -> None:
    """Graphs that were made without a code go on to work."""
    numbers = around(CUTS)
    assert np.array_equal(NumberCode.from_text("").encoded(numbers), numbers, equal_nan=True)
