"""Rows of every kind come out of the log as they were sent, with what they were answered."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from every_kind import EXAMPLE, KINDS
from hypothesis import given
from hypothesis import strategies as st
from logging_server import MANIFEST, answered

from serve_app.contract import ModelSpec
from serve_app.contract.block import Layout
from serve_app.models import get_spec
from serve_app.monitoring.log.heard import HeardAnswers
from serve_app.monitoring.log.line import Line, LineWriter, Origin, Pseudonyms, parse
from serve_app.monitoring.log.reading import rows_of
from serve_app.settings import LogOptions

ROW = EXAMPLE.row.model_dump(mode="json")
SPEC = KINDS["value"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.fixed_dictionaries(
    {
        "amount": FINITE,
        "n_items": st.integers(1, 100),
        "weight_kg": st.none() | st.floats(0, 50, exclude_min=True),
        "priority": st.sampled_from([1, 2, 3]),
        "channel": st.sampled_from(["web", "shop", "phone", None]),
        "city": TEXTS,
        "is_gift": st.booleans(),
        "is_member": st.none() | st.booleans(),
        "birthday": st.none() | st.dates(),
        "ordered_at": st.datetimes(),
    }
)


def lines_of(
    spec: ModelSpec, heard: Sequence[Any], secret: str = "secret", **options: Any
) -> list[Line]:
    """The answers after writing and reading."""
    answers = HeardAnswers(spec.name)
    answers.options = LogOptions(**options)
    for one in heard:
        answers.heard(one)
    writer = LineWriter(
        Origin(spec.name, "app", "server"),
        Layout(spec.contract),
        Pseudonyms(secret),
        lambda version: MANIFEST,
    )
    return [parse(line) for _, line in writer.lines(answers.taken(), answers.options)]


def sent(row: dict[str, Any]) -> dict[str, Any]:
    """A row with dates as ISO texts, between the years that a contract takes."""
    texts = dict(row)
    for name in ("birthday", "ordered_at"):
        if texts[name] is not None:
            texts[name] = texts[name].replace(year=2000 + texts[name].year % 100 // 4 * 4)
            texts[name] = texts[name].isoformat()
    return texts


@given(st.lists(ROWS, min_size=1, max_size=5), st.data())
def test_every_row_comes_out_of_the_log_as_it_was_sent(
    rows: list[Any], data: st.DataObject
) -> None:
    """Numbers to the last bit, missing values, dates, and texts of any script; and its scores."""
    plain = [sent(row) for row in rows]
    scores = data.draw(st.lists(FINITE, min_size=len(rows), max_size=len(rows)))
    [line] = lines_of(SPEC, [answered(SPEC, plain, scores)])
    assert rows_of(line, SPEC.contract) == plain
    assert line.scores.tolist() == scores


SCORES: dict[str, list[Any]] = {
    "classes": [[0.2, 0.3, 0.5], [np.nan, np.nan, np.nan]],
    "labels": [0.25, np.nan],
    "outputs": [[3.5, -1e9], [np.nan, 2.0]],
    "quantiles": [[1.0, 2.0, 3.0], [np.nan, np.nan, np.nan]],
    "anomaly score": [-0.125, np.nan],
    "value": [1e300, np.nan],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_scores_of_every_kind_of_model_come_out_and_a_failed_row_says_so(kind: str) -> None:
    """One number a row, or one for each class or output."""
    spec = KINDS[kind]
    [line] = lines_of(spec, [answered(spec, [ROW, ROW], SCORES[kind])])
    np.testing.assert_array_equal(line.scores, np.array(SCORES[kind]))
    assert line.outcomes == ["answered", "failed"]


def test_a_line_says_who_was_assigned_who_answered_when_and_how_fast() -> None:
    """Answers of two versions stand in two lines, and a fallback is called one."""
    lines = lines_of(
        SPEC,
        [
            answered(SPEC, [ROW], [1.0], ids=["one"]),
            answered(SPEC, [ROW], [2.0], ids=["two"], assigned="1.1.0"),
            answered(SPEC, [ROW], [3.0], ids=["three"], assigned="1.1.0", version="1.1.0"),
        ],
    )
    assert [(line.version, line.ids, line.assigned, line.outcomes) for line in lines] == [
        ("1.0.0", ["one", "two"], ["1.0.0", "1.1.0"], ["answered", "fallback"]),
        ("1.1.0", ["three"], ["1.1.0"], ["answered"]),
    ]
    for line in lines:
        assert line.manifest_sha256 == MANIFEST
        assert set(line.ms) == {1.5}
        assert all(at_us > 1.7e15 for at_us in line.at_us)


def test_a_key_is_a_pseudonym_the_same_for_the_same_customer_with_the_same_secret() -> None:
    """So that rows of a customer can be joined, and the key is nowhere."""
    heard = [answered(SPEC, [ROW], [1.0], key=key) for key in ("ann@example.com", "bob", "bob")]
    [line] = lines_of(SPEC, heard)
    ann, bob, again = line.keys
    assert bob == again != ann
    assert "example" not in ann
    [other] = lines_of(SPEC, heard, secret="another")
    assert other.keys[0] != ann


def test_what_is_left_out_or_hashed_is_nowhere_in_the_line() -> None:
    """A missing text stays missing, so that its share can still be counted."""
    heard = [answered(SPEC, [ROW, {**ROW, "channel": None}], [1.0, 2.0])]
    [line] = lines_of(SPEC, heard, leave_out=["amount"], hashed=["city", "channel"])
    assert "amount" not in line.features
    assert "Zürich" not in str(line)
    assert line.features["city"][0] == line.features["city"][1] != "Zürich"
    assert [bool(text) for text in line.features["channel"]] == [True, False]
    assert line.hashed == ("city", "channel")
    assert "amount" not in rows_of(line, SPEC.contract)[0]


def test_a_large_batch_is_cut_into_short_lines_and_loses_no_row() -> None:
    """Nobody else runs while a line is made: it is a millisecond's work, whatever came."""
    n_rows = 5_000
    rows = [{**ROW, "n_items": 1 + i % 100} for i in range(n_rows)]
    scores = np.arange(n_rows, dtype=float)
    scores[7] = np.nan
    lines = lines_of(SPEC, [answered(SPEC, rows, scores)])
    assert max(len(line) for line in lines) < 1_000
    np.testing.assert_array_equal(np.concatenate([line.scores for line in lines]), scores)
    assert [name for line in lines for name in line.ids] == [f"id-{i}" for i in range(n_rows)]
    assert [one for line in lines for one in line.outcomes].index("failed") == 7


def test_the_rows_of_a_customer_are_kept_or_none_of_them_and_about_the_share_that_is_asked() -> (
    None
):
    """By the routing key, whatever server answers: two of them keep the same customers."""
    spec = get_spec("churn")
    row = spec.examples[0].row.model_dump(mode="json")
    heard = [
        answered(spec, [row], [0.5], ids=[f"{key}"], key=f"customer-{key}")
        for key in [*range(1_000), *range(1_000)]
    ]
    first, second = HeardAnswers("churn"), HeardAnswers("churn")
    kept = []
    for answers in (first, second):
        answers.options = LogOptions(sample_percent=20)
        for one in heard:
            answers.heard(one)
        kept.append([entry.ids[0] for entry in answers.taken()])
    assert kept[0] == kept[1]
    assert all(kept[0].count(name) == 2 for name in kept[0])
    # A binomial with n = 1,000 and p = .2 is farther than 5 deviations off once in a million.
    assert abs(len(kept[0]) / 2 - 200) < 5 * 12.7


def test_a_share_of_nothing_keeps_nothing() -> None:
    """To stop a log for the time being needs no new process."""
    assert lines_of(SPEC, [answered(SPEC, [ROW], [1.0])], sample_percent=0) == []


def test_a_line_of_a_newer_format_is_refused_with_what_was_expected() -> None:
    """An older server does not read half of what a newer one wrote."""
    with pytest.raises(ValueError, match="found format 2, expected 1"):
        parse(b'{"format": 2}')


def a_line(**changes: Any) -> bytes:
    """A line as it is written, changed."""
    answers = HeardAnswers(SPEC.name)
    answers.heard(answered(SPEC, [ROW, ROW], [0.5, 0.25], ids=["a", "b"]))
    writer = LineWriter(
        Origin(SPEC.name, "app", "server"), Layout(SPEC.contract), Pseudonyms("s"), lambda _: "m"
    )
    [(_, line)] = writer.lines(answers.taken(), answers.options)
    return json.dumps(json.loads(line) | changes).encode()


LINE = a_line()


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000,
        b'{"format":1,"id":' + b"[" * 200_000,
        b"\xff",
        b"3",
        a_line(scores=[[10**400, 1]]),
        a_line(scores=[]),
        a_line(scores=[[0.5]]),
        a_line(at_us=[1.5, "x"]),
        a_line(at_us=7),
        a_line(features=[]),
        a_line(features={"amount": [1.0]}),
        a_line(id=None),
    ],
)
def test_what_is_no_line_is_one_kind_of_error(line: bytes) -> None:
    """Commands make a sentence of it, with the part in which it stands."""
    with pytest.raises(ValueError, match=r"\S"):
        parse(line)


@given(
    st.binary(max_size=40)
    | st.tuples(st.integers(0, len(LINE) - 1), st.binary(max_size=6)).map(
        lambda at: LINE[: at[0]] + at[1] + LINE[at[0] + len(at[1]) :]
    )
)
def test_any_bytes_are_a_line_or_that_error(line: bytes) -> None:
    """Of a line all columns have as many rows as there are ids."""
    try:
        found = parse(line)
    except ValueError:
        return
    assert {len(column) for column in (found.at_us, found.scores, found.keys)} == {len(found)}
