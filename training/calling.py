"""How a fitted pipeline has to be called, found out by asking it; refused if it cannot answer."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.call import Method, PipelineCall
from serve_app.contract import ModelSpec
from serve_app.contract.block import MISSING_CATEGORY
from training.errors import InvalidPipeline
from training.estimators import walk
from training.reading import name_of_class
from training.table import Table

# How text columns may look to a pipeline, the way pandas reads them first.
TEXT_FORMS: tuple[dict[str, Any], ...] = (
    {"texts": "str"},
    {"texts": "category"},
    {"texts": "object"},
)
MISSING_FORMS: tuple[dict[str, Any], ...] = (
    {"missing_text": "nan"},
    {"missing_text": "none"},
    {"missing_text": "value", "missing_value": MISSING_CATEGORY},
)
PROBABILITY_SLACK = 1e-6


def method_of(spec: ModelSpec) -> Method:
    """The method whose answer is served."""
    if spec.is_anomaly_score:
        return "decision_function"
    return "predict_proba" if spec.is_classifier else "predict"


def find_call(pipeline: Any, rows: Table, missing_text: str | None = None) -> PipelineCall:
    """How to call a pipeline so that it answers all `rows`, which are valid.

    A text column is handed over as pandas reads it, as a category where the pipeline asks for that.
    A missing text is NaN, unless the pipeline was fitted on another form: `missing_text` names it
    (`nan`, `none`, or `=TEXT`), else the pipeline's own encoders and imputers are asked, and then
    each form is tried. Raises InvalidPipeline.
    """
    spec = rows.spec
    method = method_of(spec)
    if not callable(getattr(pipeline, method, None)):
        wanted = "anomaly detector" if spec.is_anomaly_score else spec.kind
        raise InvalidPipeline(
            f"pipeline: found a {type(pipeline).__name__} without {method}(), expected a fitted "
            f"{wanted}{_advice(method)}"
        )
    require_known_texts(pipeline, spec)
    base = PipelineCall(method=method, columns=_columns(pipeline, spec))
    call = _form(pipeline, rows, base, missing_text)
    _require_scores(answer_of(pipeline, rows, call), rows, call)
    return call


def answer_of(pipeline: Any, rows: Table, call: PipelineCall) -> NDArray[np.float64]:
    """What the pipeline's method gives for rows, as an array. Raises whatever it raises."""
    return np.asarray(getattr(pipeline, call.method)(rows.frame_for(call)), dtype=np.float64)


def _advice(method: Method) -> str:
    return "; wrap an SVC in CalibratedClassifierCV" if method == "predict_proba" else ""


def _columns(pipeline: Any, spec: ModelSpec) -> list[int] | None:
    """Which columns of the answer are meant, in the contract's order."""
    if not spec.is_classifier:
        return list(range(len(spec.outputs))) or None
    found = [name_of_class(label) for label in getattr(pipeline, "classes_", ())]
    expected = [name_of_class(label) for label in spec.classes]
    if not found:
        raise InvalidPipeline(
            f"pipeline: found a {type(pipeline).__name__} without classes_, which has not been "
            f"fitted; expected a fitted {spec.kind}"
        )
    if sorted(found) != sorted(expected):
        listed = ", ".join(str(label) for label in getattr(pipeline, "classes_", ()))
        raise InvalidPipeline(
            f"pipeline: found the classes {listed}, expected "
            f"{', '.join(str(label) for label in spec.classes)}: name the classes in the contract "
            "(ModelSpec(classes=…, positive=…)) as the pipeline was fitted on them"
        )
    if spec.kind == "binary_classifier":
        return [found.index(name_of_class(spec.positive))]
    return [found.index(name) for name in expected]


def _form(pipeline: Any, rows: Table, base: PipelineCall, missing_text: str | None) -> PipelineCall:
    """The first form of texts with which the pipeline answers all rows."""
    first_error: Exception | None = None
    for call in _forms(pipeline, rows.spec, base, missing_text):
        try:
            answer_of(pipeline, rows, call)
            return call
        except Exception as error:
            # Whatever a foreign estimator raises says that this is not its form.
            first_error = first_error or error
    columns = ", ".join(f.name for f in rows.spec.contract)
    raise InvalidPipeline(
        f"pipeline: {base.method}() failed on valid rows with the columns {columns}: "
        f"{type(first_error).__name__}: {' '.join(str(first_error).split())[:300]}"
    )


def _forms(
    pipeline: Any, spec: ModelSpec, base: PipelineCall, missing_text: str | None
) -> list[PipelineCall]:
    if not any(feature.is_text for feature in spec.contract):
        return [base]
    hint = fitted_form(pipeline) if missing_text is None else asked_form(missing_text)
    forms = []
    for missing, texts in product([hint] if hint else MISSING_FORMS, TEXT_FORMS):
        # The other types of pandas make None NaN, which is another value to an encoder.
        if missing["missing_text"] != "none" or texts["texts"] == "object":
            forms.append(base.model_copy(update={**texts, **missing}))
    return forms


def asked_form(text: str) -> dict[str, Any]:
    """The form of a missing text that a person names: `nan`, `none` or `=TEXT`.

    Raises InvalidPipeline.
    """
    if text in ("nan", "none"):
        return {"missing_text": text}
    if text.startswith("="):
        return {"missing_text": "value", "missing_value": text[1:]}
    raise InvalidPipeline(
        f"--missing-text: found {text!r}, expected nan, none, or =TEXT (such as =unknown, or = for "
        "the empty text)"
    )


def fitted_form(pipeline: Any) -> dict[str, Any] | None:
    """The form of a missing text that the pipeline's encoders and imputers were fitted on.

    None where they say nothing, or saw NaN as pandas reads it.
    """
    for part in walk(pipeline):
        if hasattr(part, "statistics_") and hasattr(part, "missing_values"):
            # An imputer replaces this one value.
            if part.missing_values is None:
                return {"missing_text": "none"}
            if isinstance(part.missing_values, str):
                return {"missing_text": "value", "missing_value": part.missing_values}
        for categories in _categories(part):
            known = list(categories)
            if any(value is None for value in known):
                return {"missing_text": "none"}
            has_nan = any(isinstance(value, float) and np.isnan(value) for value in known)
            if not has_nan and MISSING_CATEGORY in known:
                return {"missing_text": "value", "missing_value": MISSING_CATEGORY}
    return None


def _categories(part: Any) -> list[Any]:
    found = getattr(part, "categories_", None)
    return list(found) if isinstance(found, list) else []


def require_known_texts(pipeline: Any, spec: ModelSpec) -> None:
    """Refuse an encoder that knows none of the values that the contract allows.

    Store codes that are texts in the contract and were ints in the fitted frame would all be
    "unknown" to it, and every row would get the same made-up answer. Raises InvalidPipeline.
    """
    closed = {f.name: f for f in spec.contract if f.is_text and f.choices is not None}
    for part in walk(pipeline):
        for name, encoder in _encoded_columns(part):
            feature = closed.get(name)
            if feature is None or any(choice in set(encoder) for choice in feature.choices or ()):
                continue
            known = ", ".join(repr(value) for value in list(encoder)[:5])
            raise InvalidPipeline(
                f"pipeline: {name}: its encoder knows none of the contract's values "
                f"({feature.allowed}); it was fitted on {known}. Fit it on texts, or make the "
                "field an int with Choice in the contract"
            )


def _encoded_columns(part: Any) -> list[tuple[str, Any]]:
    """(field, categories) of each column of a ColumnTransformer that goes through an encoder."""
    found = []
    for _, transformer, columns in getattr(part, "transformers_", ()):
        if isinstance(columns, str):
            columns = [columns]
        names = _names_of(columns, getattr(part, "feature_names_in_", None))
        for step in walk(transformer):
            categories = _categories(step)
            if names and len(categories) == len(names):
                found += list(zip(names, categories, strict=True))
                break
    if not hasattr(part, "transformers_") and hasattr(part, "feature_names_in_"):
        categories = _categories(part)
        if len(categories) == len(part.feature_names_in_):
            found += list(zip(part.feature_names_in_, categories, strict=True))
    return found


def _names_of(columns: Any, names: Any) -> list[str]:
    """The names of columns that a ColumnTransformer was given by name, position or mask."""
    try:
        listed = list(columns)
        if all(isinstance(column, str) for column in listed):
            return listed
        return [str(name) for name in np.asarray(names)[np.asarray(listed)]]
    except (TypeError, IndexError, ValueError):
        return []


def _require_scores(answer: NDArray[np.float64], rows: Table, call: PipelineCall) -> None:
    """Refuse a wrong shape, range or type. Raises InvalidPipeline."""
    spec = rows.spec
    n_rows = len(rows)
    allowed: list[tuple[int, ...]] = [(n_rows,), (n_rows, 1)]
    if spec.is_classifier:
        allowed = [(n_rows, len(spec.classes))]
    elif spec.outputs:
        allowed = [(n_rows, len(spec.outputs))]
    if answer.shape not in allowed:
        raise InvalidPipeline(
            f"pipeline: {call.method}() gave the shape {answer.shape}, expected {allowed[0]} for a "
            f"{spec.kind} and {n_rows} rows"
        )
    if not np.isfinite(answer).all():
        raise InvalidPipeline(
            f"pipeline: {call.method}() gave {int((~np.isfinite(answer)).sum())} answers that are "
            "not finite, expected none"
        )
    is_probability = (answer.min() >= -PROBABILITY_SLACK) & (answer.max() <= 1 + PROBABILITY_SLACK)
    if spec.is_classifier and not is_probability:
        raise InvalidPipeline(
            f"pipeline: found probabilities from {answer.min():.4g} to {answer.max():.4g}, "
            "expected 0 to 1"
        )
