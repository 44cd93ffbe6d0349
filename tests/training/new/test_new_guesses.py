"""What `sluice new` guesses of a column, of a target and of a file: pure, without training."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serve_app.contract.date_parts import date_parts
from training import columns
from training.errors import InvalidData, TrainingError
from training.new.field import Field, LeftOut, Marks
from training.new.guess import guess_field
from training.new.leaks import leaks
from training.new.names import field_names, find_column, require_model_name
from training.new.number import bounds_with_room
from training.new.source import find_source
from training.new.summary import Summary
from training.new.target import guess_target
from training.new.values import examples, read_fields, read_target

N_ROWS = 600
UNSAID = Marks()


def summary(values: Iterable[object], name: str = "x", n_rows: int = N_ROWS) -> Summary:
    """A column of `n_rows` texts that begins again where the values end."""
    given = [str(value) for value in values]
    found = Summary(name)
    found.add(pd.Series([given[i % len(given)] for i in range(n_rows)], dtype=object))
    return found


def field(values: Iterable[object], marks: Marks = UNSAID, **options: object) -> Field:
    """The field of such a column; it must not be left out."""
    guessed = guess_field(summary(values, **options), "x", marks)  # type: ignore[arg-type]
    assert isinstance(guessed, Field), guessed
    return guessed


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2, 3], "int"),
        (["1.5", "2", "3"], "float"),
        (["1.0", "2.0", ""], "int"),
        (["true", "False"], "bool"),
        (["Yes", "No"], "category"),
        (["2025-01-31", "2024-12-01"], "date"),
        (["2025-01-31 08:15", "2024-12-01T09:00:00Z"], "datetime"),
        (["31.12.2024", "01.02.2025"], "date"),
        (["12/31/2024 10:00", "01/02/2025 11:30"], "datetime"),
        ([f"place {i}" for i in range(200)], "text"),
        (["00123", "04567", "12345"], "category"),
        ([str(10**17), str(10**17 + 1)], "category"),
        (["1,5", "2,25"], "float"),
        (["1,234.50", "12.00"], "float"),
        (["1.234,5", "7"], "float"),
    ],
)
def test_the_type_of_a_column_is_seen_from_its_texts(values: list[object], dtype: str) -> None:
    """All rows count, and what no number can hold exactly is no number."""
    assert field(values).dtype == dtype


@pytest.mark.parametrize("blank", ["", " ", "NA", "?", "null"])
def test_blanks_and_words_for_no_value_are_missing_in_numbers(blank: str) -> None:
    """As in TotalCharges of the Telco file; the comment says in how many rows."""
    found = field(["1.5", "2.5", blank])
    assert (found.dtype, found.nullable) == ("float", True)
    assert "missing in 200 rows" in found.why


def test_a_word_such_as_none_is_a_choice_where_the_others_are_texts() -> None:
    """Only blanks are missing in a column of texts."""
    found = field(["None", "Full", " "])
    assert found.choices == ("Full", "None")
    assert found.nullable


def test_bounds_have_room_and_what_was_never_negative_stays_so() -> None:
    """Half of the span on each side, in round numbers."""
    assert bounds_with_room(0, 72) == (0, 110)
    assert bounds_with_room(18.25, 118.75) == (0, 200)
    assert bounds_with_room(1990, 2020) == (1970, 2040)
    assert bounds_with_room(-5, 5) == (-10, 10)
    assert bounds_with_room(7, 7) == (3, 11)
    assert bounds_with_room(0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("values", "name", "reason"),
    [
        ([f"c{i:05d}" for i in range(N_ROWS)], "customerID", "in one row only"),
        (range(N_ROWS), "Unnamed: 0", "in one row only"),
        (range(N_ROWS), "x", "in one row only"),
        (["same"], "x", "'same' in every row"),
        ([""], "x", "no value"),
    ],
)
def test_what_only_names_its_row_or_never_changes_is_left_out(
    values: Iterable[object], name: str, reason: str
) -> None:
    """And each says why, in the contract and on the screen."""
    guessed = guess_field(summary(values, name), "x", Marks())
    assert isinstance(guessed, LeftOut)
    assert reason in guessed.why
    assert isinstance(guess_field(summary(values, name), "x", Marks(), keep=True), Field)


def test_whole_numbers_that_happen_to_be_unique_are_kept() -> None:
    """An income is not an id, although no two people have the same."""
    values = np.random.default_rng(1).permutation(np.arange(20_000, 20_000 + 7 * N_ROWS, 7))
    assert field(values, name="income").dtype == "int"


def test_long_texts_of_several_words_are_free_text() -> None:
    """They are no ids, although each comes once."""
    found = field([f"the bill number {i} was wrong again" for i in range(N_ROWS)])
    assert found.dtype == "text"
    assert found.is_free_text


@pytest.mark.parametrize(
    ("values", "advice"),
    [(["1,234", "5,678"], "--decimal , or --thousands ,"), (["05/06/2024"] * 2, "--day-first")],
)
def test_what_can_be_read_in_two_ways_is_asked_for(values: list[str], advice: str) -> None:
    """A guess would be wrong in silence for half of the people."""
    with pytest.raises(InvalidData, match="column x") as refusal:
        field(["1,234", "5,678"] if "," in values[0] else ["05/06/2024", "07/08/2024"])
    assert advice in str(refusal.value)


def test_what_a_person_says_of_numbers_and_dates_decides() -> None:
    """The same texts, read as they are meant."""
    assert field(["1,234", "5,678"], Marks(thousands=",")).maximum == 8_000
    assert field(["1,234", "5,678"], Marks(decimal=",")).maximum == 8
    found = field(["05/06/2024", "07/08/2024"], Marks(day_first=False))
    assert found.reading is not None
    assert dict(found.reading.arguments) == {"pattern": "%m/%d/%Y"}


@pytest.mark.parametrize(
    ("values", "kind", "classes", "positive"),
    [
        (["No", "No", "Yes"], "binary_classifier", ("No", "Yes"), "Yes"),
        (["stay", "stay", "gone"], "binary_classifier", ("gone", "stay"), "gone"),
        ([1, 2, 2], "binary_classifier", (1, 2), 1),
        (["True", "False"], "binary_classifier", (False, True), True),
        (["a", "b", "c"], "classifier", ("a", "b", "c"), None),
        ([0, 1, 2], "classifier", (0, 1, 2), None),
        ([1.5, 2, 3], "regressor", (), None),
        (range(100), "regressor", (), None),
    ],
)
def test_the_kind_of_a_model_is_seen_from_its_target(
    values: Iterable[object], kind: str, classes: tuple[object, ...], positive: object
) -> None:
    """Of two classes the one that is named so, or the rarer one, is asked for."""
    target = guess_target(summary(values), Marks(), None, None)
    assert (target.kind, target.classes, target.positive) == (kind, classes, positive)


def test_a_person_can_name_the_positive_class_and_the_kind() -> None:
    """What is not there is refused with what is."""
    assert guess_target(summary(["No", "Yes"]), Marks(), "No", None).positive == "No"
    assert guess_target(summary([1, 2, 3]), Marks(), None, "regressor").kind == "regressor"
    with pytest.raises(InvalidData, match="'yes', expected a value of x: No, Yes"):
        guess_target(summary(["No", "Yes"]), Marks(), "yes", None)
    with pytest.raises(InvalidData, match="expected numbers for a regressor"):
        guess_target(summary(["a", "b", "c"]), Marks(), None, "regressor")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["one"], "one value only"),
        ([f"t{i}" for i in range(200)], "3 to 50 for a classifier"),
        (["2025-01-31", "2025-02-01"], "found dates"),
    ],
)
def test_a_target_that_nothing_can_be_learned_of_is_refused(values: list[str], words: str) -> None:
    """With what was found and what is expected."""
    with pytest.raises(InvalidData, match=words):
        guess_target(summary(values), Marks(), None, None)


def test_a_column_that_gives_the_target_away_is_found_and_a_good_one_is_kept() -> None:
    """A copy under other words, and a number that follows; noise and a mere hint stay."""
    rng = np.random.default_rng(3)
    churn = rng.choice(["No", "Yes"], N_ROWS)
    sample = pd.DataFrame(
        {
            "left on": np.where(churn == "Yes", "gone", "here"),
            "refund": np.where(churn == "Yes", rng.integers(50, 99, N_ROWS), 0).astype(str),
            "hint": np.where(rng.random(N_ROWS) < 0.8, churn, "No"),
            "noise": rng.integers(0, 50, N_ROWS).astype(str),
            "Churn": churn,
        }
    ).astype(object)
    target = guess_target(summary(churn, "Churn"), Marks(), None, None)
    fields = []
    for name in list(sample)[:-1]:
        guessed = guess_field(summary(sample[name], name), name, Marks())
        assert isinstance(guessed, Field)
        fields.append(guessed)
    values = read_fields(sample, fields)
    found = leaks(fields, values, target, read_target(sample, target))
    assert list(found) == ["left on", "refund"]
    assert "gives Churn away" in found["refund"].why


def test_examples_are_typical_rows_without_texts_that_name_a_person() -> None:
    """One of each class, near the middle of it; a text of few rows is not shown."""
    sample = pd.DataFrame(
        {
            "age": [str(20 + i) for i in range(60)],
            "street": [f"{i} Main Street of a town" for i in range(60)],
            "label": ["no"] * 40 + ["yes"] * 20,
        }
    ).astype(object)
    fields = [Field("age", "age", "int", "", minimum=0, maximum=99)]
    fields.append(Field("street", "street", "text", "", max_length=50))
    target = guess_target(summary(sample["label"], "label", 60), Marks(), None, None)
    values = read_fields(sample, fields)
    positive, negative = examples(fields, values, target, read_target(sample, target))
    assert positive.values["age"] in range(65, 75)
    assert negative.values["age"] in range(35, 45)
    assert positive.values["street"] == "an example"


def test_names_of_columns_become_names_of_python() -> None:
    """Words of Python and of pydantic, blanks and doubles included."""
    names = field_names(
        ["Monthly Charges ($)", "class", "copy", "_x", "2nd", "a b", "a-b", "%", "model_dump", "Ä"]
    )
    assert list(names.values()) == [
        "monthly_charges",
        "class_",
        "copy_",
        "x",
        "column_2nd",
        "a_b",
        "a_b_2",
        "column",
        "the_model_dump",
        "Ä",
    ]


@pytest.mark.parametrize("name", ["Telco-Churn", "1st", "class", "churn", "a/b"])
def test_a_name_that_cannot_be_a_model_is_refused(name: str) -> None:
    """It is a module, a folder of the store and a part of a URL."""
    with pytest.raises(TrainingError, match="NAME"):
        require_model_name(name)


def test_a_column_that_is_not_there_is_refused_with_the_nearest() -> None:
    """Somebody writes it in small letters."""
    with pytest.raises(InvalidData, match="did you mean Churn"):
        find_column("churn", ["tenure", "Churn"], "--target")


@pytest.mark.parametrize(
    ("data", "encoding", "separator"),
    [
        (b"a,b\n1,2\n", "utf-8", ","),
        (b"\xef\xbb\xbfa,b\n1,2\n", "utf-8-sig", ","),
        ("größe;b\n1,5;2\n".encode("latin-1"), "cp1252", ";"),
        ("a\tb\n1\t2\n".encode("utf-16"), "utf-16", "\t"),
        (b"a|b\n1|2,5\n", "utf-8", "|"),
    ],
)
def test_how_a_file_is_written_is_found_out(
    data: bytes, encoding: str, separator: str, tmp_path: Path
) -> None:
    """Encoding and separator, with the values that pandas then reads."""
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    source = find_source(path)
    assert (source.encoding, source.separator) == (encoding, separator)
    [chunk] = source.chunks()
    assert chunk.shape == (1, 2)
    assert "\ufeff" not in chunk.columns[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\x03\x04rest", "workbook"),
        (b"PAR1rest", "Parquet"),
        (b"\x1f\x8brest", "gzip"),
        (b"", "0 lines"),
        (b"a\n1\n2\n", "no separator"),
        (b"1,2\n3,4\n", "header"),
        (b"a,b\n\x00\x00,2\n", "no text"),
    ],
)
def test_what_is_no_csv_file_is_refused_in_a_sentence(
    data: bytes, words: str, tmp_path: Path
) -> None:
    """With what it is, where that can be told."""
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    with pytest.raises(InvalidData, match=words):
        find_source(path)


def test_a_line_with_too_many_values_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """The sentence keeps the line that pandas names."""
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n3,4\n1,2,3\n")
    with pytest.raises(InvalidData, match="line 4"):
        list(find_source(path).chunks())


def test_the_functions_of_map_columns_say_which_text_of_which_line_they_cannot_read() -> None:
    """They are what a person changes, so their errors have to help."""
    raw = pd.Series(["1,5", " ", "n/a", "x"], name="price")
    with pytest.raises(ValueError, match="price: found 'x' in line 5, expected a number"):
        columns.numbers(raw, decimal=",")
    assert columns.numbers(raw[:3], decimal=",").tolist()[0] == 1.5
    with pytest.raises(ValueError, match="expected a date"):
        columns.dates(raw)
    with pytest.raises(ValueError, match="expected one of"):
        columns.truths(raw)
    zoned = columns.dates(pd.Series(["2025-01-31T01:30:00+02:00", ""]))
    assert zoned.iloc[0] == pd.Timestamp("2025-01-30T23:30")
    assert columns.texts(pd.Series([" a ", " "])).tolist() == ["a", None]


def test_dates_become_the_numbers_that_trees_can_cut() -> None:
    """Days since 1970, month, day, weekday and hour; a missing date has none of them."""
    moments = pd.DataFrame({"at": pd.to_datetime(["2026-11-28T18:30", "1969-12-31T00:00", None])})
    found = date_parts(moments)
    assert found[0].tolist() == [20_785.0, 11.0, 28.0, 5.0, 18.0]
    assert found[1].tolist() == [-1.0, 12.0, 31.0, 2.0, 0.0]
    assert np.isnan(found[2]).all()
