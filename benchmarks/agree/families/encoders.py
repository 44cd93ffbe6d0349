"""Encoders of texts and of categories."""

from collections.abc import Iterator

from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler, TargetEncoder

from benchmarks.agree.case import TEXTS, WHOLE, Case
from benchmarks.agree.parts import (
    columns,
    filled_with_missing,
    forest,
    hist,
    imputed,
    logistic,
    one_hot,
)


def encoder_cases() -> Iterator[Case]:
    """Every encoder with every way to meet what it has not seen, and what is missing."""

    def case(name: str, text: object, model: object = None, **words: object) -> Case:
        last = logistic() if model is None else model
        return Case(
            name,
            lambda: make_pipeline(columns(WHOLE, TEXTS, number=StandardScaler(), text=text), last),
            (*WHOLE, *TEXTS),
            **words,  # type: ignore[arg-type]
        )

    yield case("one-hot, unseen raises", one_hot(handle_unknown="error"))
    yield case("one-hot, unseen warns", one_hot(handle_unknown="warn", min_frequency=0.1))
    yield case("one-hot, first dropped", one_hot(drop="first"))
    yield case("one-hot, sparse", one_hot(sparse_output=True))
    yield case(
        "one-hot, rare by share", one_hot(handle_unknown="infrequent_if_exist", min_frequency=0.15)
    )
    yield case(
        "one-hot, at most two", one_hot(handle_unknown="infrequent_if_exist", max_categories=2)
    )
    yield case("one-hot, rare, unseen is nothing", one_hot(min_frequency=0.15))
    yield case("one-hot, gaps are None", one_hot(), texts="none")
    yield case("one-hot, categories by pandas", one_hot(), texts="category")
    yield case("one-hot, gaps never seen", one_hot(), fit_gaps=False)
    yield case(
        "one-hot, the most frequent for a gap",
        make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()),
    )
    yield case(
        "one-hot, the most frequent for None",
        make_pipeline(SimpleImputer(missing_values=None, strategy="most_frequent"), one_hot()),
        texts="none",
    )
    yield case(
        "one-hot, a word for a gap",
        make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), one_hot()),
    )
    yield case(
        "one-hot, a word for a gap, with an indicator",
        make_pipeline(
            SimpleImputer(strategy="constant", fill_value="missing", add_indicator=True), one_hot()
        ),
    )
    yield case(
        "one-hot, a word for a gap by a function",
        make_pipeline(FunctionTransformer(filled_with_missing), one_hot()),
    )
    yield case("ordinal, unseen raises", OrdinalEncoder(), hist())
    yield case(
        "ordinal, unseen is a number",
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        hist(),
    )
    yield case(
        "ordinal, unseen and gaps are numbers",
        OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        ),
        forest(max_depth=8),
        texts="none",
    )
    yield case(
        "ordinal, rare",
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=9, min_frequency=0.15),
        hist(),
    )
    yield case("target encoder", TargetEncoder(cv=StratifiedKFold(5)), hist())
    yield case("target encoder, None", TargetEncoder(cv=StratifiedKFold(5)), texts="none")
    yield case("target encoder, three classes", TargetEncoder(cv=StratifiedKFold(5)), target="tier")
    yield Case(
        "columns chosen by type, categories",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("texts", one_hot(), make_column_selector(dtype_include="category")),
                    ("numbers", imputed(), make_column_selector(dtype_include="number")),
                ]
            ),
            logistic(),
        ),
        texts="category",
    )
    yield Case(
        "one-hot of floats and of whole numbers",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("kinds", one_hot(min_frequency=20), ["visits", "store", "age"]),
                    ("numbers", StandardScaler(), ["amount"]),
                ]
            ),
            logistic(),
        ),
        ("amount", "visits", "store", "age"),
    )
