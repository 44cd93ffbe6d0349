"""The answers that a model gets when its author writes none: one shape for each kind of model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

# A class of a classifier, as its author and its clients write it.
Label = str | int | bool
Parameters = Mapping[str, float]
# What a score, or the scores of a row, and the parameters of a bundle make.
Answer = Callable[[Any, Parameters], "Prediction"]


class Prediction(BaseModel):
    """One answer; a NaN or infinity in it is an error of the model."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


def threshold_of(parameters: Parameters, default: float) -> float:
    """Where a version cuts its probability: at its bundle's threshold, else at this one."""
    return parameters.get("threshold", default)


def binary_answers(
    name: str, classes: Sequence[Label], positive: Label, threshold: float
) -> tuple[type[Prediction], Answer]:
    """`label` and the `probability` of the positive class; `threshold` for a bundle without one."""
    [negative] = [label for label in classes if label != positive]
    type_ = _prediction(name, label=_one_of(classes), probability=_share(f"Of {positive}"))

    def answer(score: float, parameters: Parameters) -> Any:
        is_positive = score >= threshold_of(parameters, threshold)
        return type_(label=positive if is_positive else negative, probability=score)

    return type_, answer


def class_answers(name: str, classes: Sequence[Label]) -> tuple[type[Prediction], Answer]:
    """`label`, its `probability`, and the `probabilities` by class.

    The most probable class wins; of equally probable ones the first in sorted order, which is the
    order of scikit-learn.
    """
    type_ = _prediction(
        name,
        label=_one_of(classes),
        probability=_share("Of the label"),
        probabilities=dict[str, _share("Of the class")],  # type: ignore[misc]
    )
    names = [str(label) for label in classes]
    places = _sorted_places(classes)

    def answer(scores: Sequence[float], parameters: Parameters) -> Any:
        best = max(places, key=scores.__getitem__)
        return type_(
            label=classes[best],
            probability=scores[best],
            probabilities=dict(zip(names, scores, strict=True)),
        )

    return type_, answer


def _sorted_places(classes: Sequence[Label]) -> list[int]:
    """The positions of the classes in the order of their labels, numbers before texts."""
    return sorted(
        range(len(classes)),
        key=lambda i: (isinstance(classes[i], str), classes[i]),
    )


def value_answers(name: str) -> tuple[type[Prediction], Answer]:
    """`value`, and the interval `low` to `high` that holds the truth for a share `coverage`.

    The interval is null for a bundle without one.
    """
    type_ = _prediction(
        name, value=float, low=float | None, high=float | None, coverage=float | None
    )

    def answer(score: float, parameters: Parameters) -> Any:
        width = parameters.get("half_width")
        if width is None:
            return type_(value=score, low=None, high=None, coverage=None)
        coverage = parameters["coverage"]
        return type_(value=score, low=score - width, high=score + width, coverage=coverage)

    return type_, answer


def outputs_answers(name: str, outputs: Sequence[str]) -> tuple[type[Prediction], Answer]:
    """A field for each output, with its value."""
    type_ = _prediction(name, **dict.fromkeys(outputs, float))

    def answer(scores: Sequence[float], parameters: Parameters) -> Any:
        return type_(**dict(zip(outputs, scores, strict=True)))

    return type_, answer


def anomaly_answers(name: str) -> tuple[type[Prediction], Answer]:
    """`score` of scikit-learn's `decision_function`, and `is_anomaly` where it is below zero."""
    score_type = Annotated[float, Field(description="The lower, the more unusual")]
    type_ = _prediction(name, score=score_type, is_anomaly=bool)

    def answer(score: float, parameters: Parameters) -> Any:
        return type_(score=score, is_anomaly=score < 0)

    return type_, answer


def _prediction(name: str, **types: Any) -> Any:
    """A type of answers with these required fields."""
    fields: dict[str, Any] = {field: (type_, ...) for field, type_ in types.items()}
    return create_model(f"{name}Prediction", __base__=Prediction, **fields)


def _one_of(classes: Sequence[Label]) -> Any:
    return Literal[tuple(classes)]


def _share(description: str) -> Any:
    return Annotated[float, Field(ge=0, le=1, description=description)]
