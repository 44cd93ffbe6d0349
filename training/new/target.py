"""The column to predict: which kind of model it makes, its classes, and which one is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from serve_app.contract import Kind, Label
from training.errors import InvalidData
from training.new.field import Field, Marks, Reading, Target
from training.new.guess import typed_field
from training.new.number import numbers_of
from training.new.summary import Summary

MOST_CLASSES = 50
# Whole numbers with at most so many values, all next to each other, are classes as a target.
MOST_WHOLE_CLASSES = 10
POSITIVE_WORDS = ("yes", "y", "true", "t", "1", "positive", "pos", "bad", "churned", "default")


def guess_target(summary: Summary, marks: Marks, positive: str | None, kind: Kind | None) -> Target:
    """What the column to predict is, and what kind of model that makes. Raises InvalidData."""
    field = typed_field(summary, summary.name, marks)
    if field.dtype in ("date", "datetime"):
        raise InvalidData(f"--target {summary.name}: found dates, expected classes or numbers")
    if summary.n_values < 2:
        raise InvalidData(f"--target {summary.name}: found one value only, expected at least two")
    is_text = field.dtype in ("category", "text")
    n_missing = summary.n_blank
    if not is_text:
        # Words between numbers stand for "missing".
        n_missing += summary.n_words
    classes = _classes(summary, field)
    wanted = kind or _kind(field, classes)
    if wanted == "regressor":
        _require_numbers(summary, is_text, positive)
        why = f"{field.why}: a value to predict"
        return Target(summary.name, wanted, why, n_missing=n_missing, reading=field.reading)

    _require_classes(summary, wanted, classes, summary.n_rows - n_missing)
    counts = _counts_by_class(summary, classes)
    listed = ", ".join(f"{label} ({n:,})" for label, n in counts.items())
    target = Target(
        summary.name,
        wanted,
        f"{len(classes)} classes: {listed}",
        classes,
        n_missing=n_missing,
        reading=Reading("texts") if is_text and summary.n_padded else None,
        is_text=is_text,
    )
    if wanted == "classifier":
        if positive is not None:
            raise InvalidData(
                f"--positive {positive}: found {len(classes)} classes, expected it with two only"
            )
        return target
    label, reason = _positive(counts, positive, summary.name)
    return replace(target, positive=label, why=f"{target.why}; {label} is asked for: {reason}")


def _require_numbers(summary: Summary, is_text: bool, positive: str | None) -> None:
    """Refuse what no regressor can have. Raises InvalidData."""
    if is_text:
        example = next(iter(summary.counts or ["?"]))
        raise InvalidData(
            f"--target {summary.name}: found texts such as {example!r}, expected numbers for a "
            "regressor"
        )
    if positive is not None:
        raise InvalidData(
            f"--target {summary.name}: found numbers, expected two classes for --positive"
        )


def _require_classes(summary: Summary, kind: Kind, classes: Sequence[Label], n_known: int) -> None:
    """Refuse too few classes or too many. Raises InvalidData."""
    is_binary = kind == "binary_classifier"
    if len(classes) >= 2 and is_binary == (len(classes) == 2):
        return
    n_found = str(len(classes)) if classes else f"more than {MOST_CLASSES}"
    raise InvalidData(
        f"--target {summary.name}: found {n_found} different values in {n_known:,} rows, expected "
        f"2 for a binary classifier, 3 to {MOST_CLASSES} for a classifier, or numbers"
    )


def _kind(field: Field, classes: Sequence[Label]) -> Kind:
    if len(classes) == 2:
        return "binary_classifier"
    if field.dtype in ("category", "text"):
        return "classifier"
    numbers = [label for label in classes if isinstance(label, int)]
    if field.dtype != "int" or not 2 < len(numbers) <= MOST_WHOLE_CLASSES:
        return "regressor"
    is_dense = max(numbers) - min(numbers) == len(numbers) - 1
    return "classifier" if is_dense else "regressor"


def _classes(summary: Summary, field: Field) -> tuple[Label, ...]:
    """The different values as labels; none where they are too many or no labels."""
    values = summary.counts
    if values is None or len(values) > MOST_CLASSES + 1:
        return ()
    if field.dtype == "bool":
        return (False, True)
    if field.dtype in ("category", "text"):
        return tuple(sorted(values)) if len(values) <= MOST_CLASSES else ()
    numbers = numbers_of(values)
    if not all(number.is_integer() for number in numbers) or len(numbers) > MOST_CLASSES:
        return ()
    return tuple(sorted(int(number) for number in numbers))


def _counts_by_class(summary: Summary, classes: Sequence[Label]) -> dict[Label, int]:
    counts: dict[Label, int] = dict.fromkeys(classes, 0)
    by_name = {str(label).lower(): label for label in classes}
    for value, n in (summary.counts or {}).items():
        label: Label | None = value if value in counts else by_name.get(value.lower())
        if label is None and value.removesuffix(".0") in by_name:
            label = by_name[value.removesuffix(".0")]
        if label is not None:
            counts[label] += n
    return counts


def _positive(counts: Mapping[Label, int], asked: str | None, column: str) -> tuple[Label, str]:
    """The class whose probability is asked for, and how it was chosen."""
    by_name = {str(label): label for label in counts}
    if asked is not None:
        if asked not in by_name:
            raise InvalidData(
                f"--positive: found {asked!r}, expected a value of {column}: {', '.join(by_name)}"
            )
        return by_name[asked], "--positive says so"
    for name, label in by_name.items():
        if name.lower() in POSITIVE_WORDS:
            return label, "by its name"
    rarer = min(counts, key=counts.__getitem__)
    return rarer, "the rarer one"
