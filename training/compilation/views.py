"""What an estimator sees of rows: they are behind some steps, or some of the columns."""

from typing import Any

from training.compilation.asker import View


def flat_steps(pipeline: Any) -> list[Any]:
    """The steps of a pipeline, and of pipelines in it."""
    steps = []
    for _, step in pipeline.steps:
        if hasattr(step, "steps"):
            steps += flat_steps(step)
        elif step is not None and step != "passthrough":
            steps.append(step)
    return steps


def through(view: View, steps: list[Any]) -> View:
    """What rows are after these steps."""

    def seen(rows: Any) -> Any:
        rows = view(rows)
        for step in steps:
            rows = step.transform(rows)
        return rows

    return seen


def chosen(view: View, places: Any) -> View:
    """Some columns of a view."""

    def seen(rows: Any) -> Any:
        shown = view(rows)
        if hasattr(shown, "iloc"):
            return shown.iloc[:, places]
        return shown[:, places]

    return seen
