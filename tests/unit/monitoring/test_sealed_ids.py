"""Prediction ids: short, unreadable, joined by any server with the key, and never forged."""

import re
from itertools import pairwise
from random import Random
from string import ascii_letters, digits

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st
from labelled import (
    ANOMALY,
    CHURN,
    CLASSES,
    NOW_S,
    OUTPUTS,
    QUANTILES,
    SECRET,
    VALUE,
    WHOLE_CLASSES,
    Predicting,
)

from serve_app.contract import ModelSpec
from serve_app.errors import InvalidLabel, UnknownPrediction
from serve_app.monitoring.labels.carried import (
    N_BYTES,
    carried_of,
    head_of,
    plain_of,
    plains_of,
    run_code,
    version_code,
    version_of,
)
from serve_app.monitoring.labels.seal import NotSealed, Seal
from serve_app.monitoring.labels.sealed_ids import FEW
from serve_app.monitoring.labels.shapes import Shaper
from serve_app.monitoring.labels.siv import ManySiv
from serve_app.serving.answer import Assignment

OTHER = bytes(32)
LETTERS = ascii_letters + digits + "-_"
numbers = st.floats(-(2.0**99), 2.0**99, width=32)


def refused(server: Predicting, prediction_id: object) -> str:
    """Why an id is refused."""
    with pytest.raises(UnknownPrediction) as error:
        server.ids.open(prediction_id)
    return error.value.detail


@given(
    at_s=st.integers(0, 2**32 - 1),
    unique=st.integers(0, 2**32 - 1),
    row=st.integers(0, 100_000),
    run=st.integers(0, 2**16 - 1),
    phase=st.integers(0, 255),
    is_positive=st.booleans(),
    three=st.tuples(numbers, numbers, numbers),
)
def test_what_is_carried_comes_out_again(
    at_s: int,
    unique: int,
    row: int,
    run: int,
    phase: int,
    is_positive: bool,
    three: tuple[float, float, float],
) -> None:
    """All whole numbers as they were, the others with 16 bits and more of their digits."""
    head = head_of(1, at_s, unique, version_code("1.2.3"), run, phase, b"abc")
    plain = plain_of(head, row, is_positive, three)
    assert len(plain) == N_BYTES
    found = carried_of(plain)
    assert found is not None
    assert (found.at_s, found.unique, found.row) == (at_s, unique, row)
    assert (found.run, found.phase, found.is_positive) == (run, phase, is_positive)
    assert version_of(found.version, {}) == "1.2.3"
    assert found.numbers == pytest.approx(three, rel=2**-16, abs=1e-37)


def test_a_number_beyond_all_bounds_is_carried_as_none() -> None:
    """A score that no id can hold costs its label, not the answer."""
    found = carried_of(plain_of(head_of(1, 0, 0, 0, 0, 0, b"abc"), 0, False, (1e300, 1.0, 1.0)))
    assert found is not None
    assert np.isnan(found.numbers[0])


@pytest.mark.parametrize("version", ["0.0.0", "1.2.3", "63.1023.32767"])
def test_a_plain_version_needs_no_memory_of_it(version: str) -> None:
    """The id itself says it, however old it is."""
    assert version_of(version_code(version), {}) == version


@pytest.mark.parametrize("version", ["64.0.0", "1.1024.0", "1.0.32768", "1.0.0-rc.1"])
def test_another_version_is_known_by_its_digest(version: str) -> None:
    """Where its name is known; else nobody says which it was."""
    code = version_code(version)
    assert version_of(code, {code: version}) == version
    assert version_of(code, {}) is None


@given(
    rows=st.lists(st.integers(0, 10_000_000), min_size=1, max_size=20),
    numbers=st.lists(st.floats(), min_size=3, max_size=3),
    is_positive=st.booleans(),
)
def test_many_rows_are_carried_as_each_one_is(
    rows: list[int], numbers: list[float], is_positive: bool
) -> None:
    """Also numbers that no float32 holds, and places beyond those that fit."""
    head = head_of(1, 2, 3, 4, 5, 6, b"abc")
    many = plains_of(
        head,
        np.array(rows),
        np.full(len(rows), is_positive),
        np.tile(np.array(numbers), (len(rows), 1)),
    )
    given_three = (numbers[0], numbers[1], numbers[2])
    for row, found in zip(rows, many, strict=True):
        expected = carried_of(plain_of(head, row, is_positive, given_three))
        # NaN is no equal of NaN, and their texts are.
        assert repr(carried_of(found.tobytes())) == repr(expected)


@given(st.binary(min_size=32, max_size=32), st.integers(1, 300), st.randoms(use_true_random=False))
def test_many_contents_are_sealed_to_the_bytes_of_the_library(
    key: bytes, n_contents: int, rng: Random
) -> None:
    """AES-SIV by steps of all contents is AES-SIV: every id opens with the library."""
    plains = np.frombuffer(rng.randbytes(32 * n_contents), np.uint8).reshape(-1, 32)
    library = AESSIV(key)
    expected = [library.encrypt(plain.tobytes(), None) for plain in plains]
    assert [one.tobytes() for one in ManySiv(key).seal(plains)] == expected


def test_a_counter_of_ones_carries_as_in_the_library() -> None:
    """The tag whose last bits are all ones is where adding one goes wrong first."""
    key = bytes(range(32))
    library = AESSIV(key)
    plains = np.frombuffer(Random(5).randbytes(32 * 200_000), np.uint8).reshape(-1, 32)
    sealed = ManySiv(key).seal(plains)
    tags = sealed[:, :2].copy().view(np.uint8).reshape(-1, 16)
    (carrying,) = np.nonzero((tags[:, 14:] == 255).all(axis=1))
    assert len(carrying)
    for place in carrying:
        assert sealed[place].tobytes() == library.encrypt(plains[place].tobytes(), None)


@pytest.mark.parametrize("n_rows", [1, FEW, FEW + 1, 100])
def test_ids_of_few_and_of_many_rows_open_alike(n_rows: int) -> None:
    """Each with its own place and number."""
    server = Predicting()
    found = [server.ids.open(one)[0] for one in server.answer(np.linspace(0, 1, n_rows).tolist())]
    assert [one.row for one in found] == list(range(n_rows))
    assert [one.numbers[0] for one in found] == pytest.approx(np.linspace(0, 1, n_rows), rel=2**-16)


@pytest.mark.parametrize("spec", [CHURN, VALUE, ANOMALY], ids=["binary", "value", "anomaly"])
def test_one_row_is_carried_as_in_a_matrix(spec: ModelSpec) -> None:
    """Also at the threshold, and where it failed."""
    shaper = Shaper(spec)
    assert shaper.has_one_number
    parameters = {"threshold": 0.25, "half_width": 3.0}
    scores = np.array([0.1, 0.25, 0.9, np.nan])
    is_positive, numbers = shaper.answers(scores, parameters)
    found = [shaper.answer_of_one(score, parameters) for score in scores.tolist()]
    assert [one for one, _ in found] == is_positive.tolist()
    assert np.array_equal([three for _, three in found], numbers, equal_nan=True)


def test_an_id_has_64_characters_that_say_nothing() -> None:
    """Of two ids of the same request hardly any place has the same letter."""
    server = Predicting()
    found = server.answer([0.25] * 50)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{64}", one) for one in found)
    same = sum(a == b for a, b in zip(found[0], found[1], strict=True))
    assert same < 12  # one letter in 64 is the same by chance: P(12 or more) < 1e-9
    assert "1.0.0" not in found[0]


def test_ids_are_unique_also_of_equal_answers_in_one_second() -> None:
    """Same key, score, version and time: a number that counts on tells them apart."""
    server = Predicting()
    found = [one for _ in range(200) for one in server.answer([0.5, 0.5])]
    assert len(set(found)) == 400


def test_any_server_of_the_model_joins_a_label_90_days_later() -> None:
    """It shares the secret, and nothing else."""
    answering = Predicting()
    answering.now_s -= 90 * 86_400
    (prediction_id,) = answering.answer([0.875], version="2.3.4", key="bob")
    joining = Predicting()
    joining.feedback.add(prediction_id, 1)
    (label,) = joining.feedback.take()
    assert label.version == "2.3.4"
    assert label.at_s == int(NOW_S - 90 * 86_400)
    assert label.numbers[0] == pytest.approx(0.875, rel=2**-16)
    assert label.truth == (1.0,)


@given(st.text() | st.none() | st.integers() | st.text(LETTERS, min_size=64, max_size=64))
def test_whatever_is_sent_as_an_id_is_refused_with_a_reason(found: object) -> None:
    """It never raises anything else, and the reason does not repeat it."""
    reason = refused(Predicting(), found)
    assert reason.startswith("prediction_id: ")
    if isinstance(found, str) and len(found) > 20:
        assert found not in reason


@given(st.integers(0, 63), st.sampled_from(LETTERS))
def test_a_changed_id_is_refused(place: int, letter: str) -> None:
    """Whichever of its letters is another one."""
    server = Predicting()
    (prediction_id,) = server.answer([0.5])
    changed = prediction_id[:place] + letter + prediction_id[place + 1 :]
    if changed != prediction_id:
        assert "not sealed for this model" in refused(server, changed)


def test_an_id_of_another_model_or_secret_is_refused() -> None:
    """A model has keys of its own, derived from the one secret."""
    (of_churn,) = Predicting().answer([0.5])
    (of_value,) = Predicting(VALUE).answer([0.5])
    assert "not sealed" in refused(Predicting(), of_value)
    assert "not sealed" in refused(Predicting(secrets=[OTHER]), of_churn)


def test_the_ids_of_an_earlier_release_are_refused_with_what_is_expected() -> None:
    """32 hexadecimal digits, with the place in a batch behind."""
    for old in ("3671e56ca0000c96c284e88cbc2f684d", "3671e56ca0000c96c284e88cbc2f684d-0"):
        assert "expected 64 letters" in refused(Predicting(), old)


def test_a_rotated_secret_seals_with_the_first_and_opens_what_any_of_them_sealed() -> None:
    """Nothing is lost while both are there; the old one may go when its labels have come."""
    (old,) = Predicting(secrets=[SECRET]).answer([0.5])
    both = Predicting(secrets=[OTHER, SECRET])
    (new,) = both.answer([0.5])
    for one in (old, new):
        both.feedback.add(one, 0)
    assert len(both.feedback.take()) == 2
    newest = Predicting(secrets=[OTHER])
    newest.feedback.add(new, 0)
    assert "not sealed" in refused(newest, old)


def test_a_rotation_in_two_steps_leaves_no_id_that_a_server_cannot_open() -> None:
    """A new secret opens first, and seals once all have it: servers are one step apart at most."""
    steps = ([SECRET], [SECRET, OTHER], [OTHER, SECRET])
    for before, after in pairwise(steps):
        servers = (Predicting(secrets=before), Predicting(secrets=after))
        for answering in servers:
            for labelling in servers:
                labelling.feedback.add(answering.answer([0.5])[0], 1)
    (too_early,) = Predicting(secrets=steps[2]).answer([0.5])
    assert "not sealed" in refused(Predicting(secrets=steps[0]), too_early)


def test_a_seal_needs_a_secret() -> None:
    """And says so, instead of sealing with none."""
    with pytest.raises(ValueError, match="at least one"):
        Seal([], "churn")
    with pytest.raises(NotSealed):
        Seal([SECRET], "churn").open("")


def test_a_format_that_is_not_known_yet_is_refused() -> None:
    """A newer release made it, and its bytes mean something else."""
    server = Predicting()
    plain = b"\x63" + bytes(31)
    assert "another release" in refused(server, server.seal.seal(plain))


def test_only_the_arm_that_a_rollout_chose_and_that_answered_counts_for_it() -> None:
    """Where stable stood in, the label says nothing of either; nor where a caller chose."""
    server = Predicting()
    run = "1.0.0-1.1.0-3f9a2c41-run1"
    chosen = Assignment("1.1.0", run, 7)
    ids = [
        *server.answer([0.5], version="1.1.0", assigned=chosen),
        *server.answer([0.5], version="1.0.0", assigned=chosen),
        *server.answer([0.5], version="1.1.0", assigned=Assignment("1.1.0")),
    ]
    for one in ids:
        server.feedback.add(one, 1)
    found = [(label.run, label.phase) for label in server.feedback.take()]
    assert found == [(run_code(run), 7), (0, 0), (0, 0)]


def test_a_failed_row_has_an_id_that_says_that_it_failed() -> None:
    """A label of it is taken, and adds nothing."""
    server = Predicting()
    good, bad = server.answer([0.5, np.nan])
    for one in (good, bad):
        server.feedback.add(one, 1)
    first, second = server.feedback.take()
    assert not np.isnan(first.numbers[0])
    assert np.isnan(second.numbers[0])


@pytest.mark.parametrize(
    ("spec", "scores", "good", "bad"),
    [
        (CLASSES, [[0.1, 0.2, 0.7]], ["low", "high"], ["other", 3, None, 1]),
        (WHOLE_CLASSES, [[0.1, 0.2, 0.7]], [1, "2", 3.0], [4, "x" * 2_000, 10**400]),
        (VALUE, [12.5], [3, 4.5, -1e10], ["3", True, None, float("nan"), 10**400, 1e39]),
        (
            OUTPUTS,
            [[1.0, 2.0]],
            [{"grams": 1, "metres": 2.5}],
            [1, {"grams": 1}, {"grams": 1, "metres": "2"}, {"grams": 1, "metres": 2, "x": 3}],
        ),
    ],
    ids=["classes", "whole classes", "value", "outputs"],
)
def test_each_kind_takes_what_may_come_true_and_refuses_the_rest(
    spec: ModelSpec, scores: list[object], good: list[object], bad: list[object]
) -> None:
    """With a reason that says what is expected."""
    server = Predicting(spec)
    for actual in good:
        server.feedback.add(server.answer(scores)[0], actual)
    for actual in bad:
        with pytest.raises(InvalidLabel, match="expected"):
            server.feedback.add(server.answer(scores)[0], actual)
    assert len(server.feedback.take()) == len(good)


def test_an_anomaly_score_has_no_truth_and_says_so() -> None:
    """Whatever is sent for one of its rows."""
    server = Predicting(ANOMALY)
    (prediction_id,) = server.answer([-0.25])
    for actual in (True, 1, None):
        with pytest.raises(InvalidLabel, match="no truth"):
            server.feedback.add(prediction_id, actual)


def test_scores_that_cannot_be_carried_cost_no_answer() -> None:
    """The id is there all the same; a label of it adds nothing."""
    server = Predicting(QUANTILES)
    (prediction_id,) = server.answer([0.5])
    server.feedback.add(prediction_id, 1.0)
    assert np.isnan(server.feedback.take()[0].numbers[0])
