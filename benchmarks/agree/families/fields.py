"""Free text, open text, dates, truth values, numbers without bounds."""

from collections.abc import Iterator

from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder

from benchmarks.agree.case import Case
from benchmarks.agree.parts import (
    as_float,
    columns,
    day_numbers,
    forest,
    hist,
    hist_values,
    imputed,
    logistic,
    of_texts,
    one_hot,
)

DATES = ("signup", "seen_at")


def field_cases() -> Iterator[Case]:
    """Fields of other types."""
    yield Case(
        "free text",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("words", TfidfVectorizer(), "note"),
                    ("numbers", StandardScaler(), ["amount"]),
                ]
            ),
            logistic(),
        ),
        ("note", "amount"),
    )
    yield Case(
        "free text alone, pairs of letters",
        lambda: make_pipeline(
            FunctionTransformer(of_texts),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), max_features=200),
            logistic(),
        ),
        ("note",),
        "tier",
    )
    yield Case(
        "open text, one-hot",
        lambda: make_pipeline(
            columns(("amount",), ("city",), text=one_hot(min_frequency=20)), logistic()
        ),
        ("amount", "city"),
    )
    yield Case(
        "open text, rare together",
        lambda: make_pipeline(
            columns(
                ("amount",),
                ("city",),
                text=one_hot(handle_unknown="infrequent_if_exist", min_frequency=0.1),
            ),
            logistic(),
        ),
        ("amount", "city"),
        texts="none",
    )
    yield Case(
        "open text, target encoder",
        lambda: make_pipeline(
            columns(("amount",), ("city",), text=TargetEncoder(cv=StratifiedKFold(5))), hist()
        ),
        ("amount", "city"),
    )
    yield Case(
        "open text, unseen raises",
        lambda: make_pipeline(
            columns(("amount",), ("city",), text=one_hot(handle_unknown="error")), logistic()
        ),
        ("amount", "city"),
    )
    yield Case(
        "dates, boosted",
        lambda: make_pipeline(
            ColumnTransformer(
                [("days", FunctionTransformer(day_numbers), list(DATES))], remainder="passthrough"
            ),
            hist_values(),
        ),
        (*DATES, "amount"),
        "price",
    )
    yield Case(
        "dates, linear",
        lambda: make_pipeline(FunctionTransformer(day_numbers), imputed(), logistic()),
        DATES,
        "answer",
    )
    yield Case("truth values, as they are", lambda: logistic(), ("share", "is_new"))
    yield Case(
        "truth values with gaps",
        lambda: make_pipeline(
            ColumnTransformer(
                [("truths", FunctionTransformer(as_float), ["is_new", "has_card"])],
                remainder="passthrough",
            ),
            hist(),
        ),
        ("is_new", "has_card", "amount"),
    )
    yield Case(
        "truth values with gaps, one-hot",
        lambda: make_pipeline(columns(("amount",), ("is_new", "has_card")), logistic()),
        ("is_new", "has_card", "amount"),
    )
    yield Case(
        "numbers without bounds, linear",
        lambda: make_pipeline(StandardScaler(), logistic()),
        ("income", "share"),
    )
    yield Case(
        "numbers without bounds, forest", lambda: forest(max_depth=4), ("income", "share", "amount")
    )
    yield Case("large whole numbers, boosted", hist, ("account", "store", "amount"))
    yield Case("large whole numbers, forest", forest, ("account", "since", "amount"))
