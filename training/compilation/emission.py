"""Fitted estimators as nodes of a graph: the ones that nest others, and those that stand inside."""

from collections.abc import Callable
from typing import Any

import numpy as np

from training.compilation import boosters
from training.compilation.asker import Asker, NotCompiled, View
from training.compilation.calibration import calibrated
from training.compilation.columns import Columns
from training.compilation.converted import answer_of_converted
from training.compilation.ensembles import (
    Ensemble,
    of_forest,
    of_gradient_boosting,
    of_hist_gradient_boosting,
    of_isolation_forest,
)
from training.compilation.functions import (
    exponential,
    inverse_of,
    logistic,
    mean,
    softmax,
    times,
    two_classes,
)
from training.compilation.graph import Graph, Tensor
from training.compilation.linear import LINEAR, linear_answer, perceptron_answer
from training.compilation.matrix import ordered
from training.compilation.rounding import IN_FLOAT32, staircase_of
from training.compilation.tree_graph import add_cuts, raw_scores
from training.compilation.views import chosen, flat_steps, through
from training.estimators import walk

# The estimators that scikit-learn fits inside of these do the whole work.
INNER = ("best_estimator_", "estimator_")
FORESTS = {
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
}


class Emitter:
    """Adds the answer of an estimator's method to a graph.

    `staircase` names what follows where steps do: then every sum is one of float64 numbers.
    """

    def __init__(self, graph: Graph, asker: Asker, staircase: str = "") -> None:
        self.graph = graph
        self.asker = asker
        self.staircase = staircase

    def answer(self, estimator: Any, view: View, method: str) -> Tensor:
        """(n_rows, n) the answer of a method for what a view shows. Raises NotCompiled."""
        name = type(estimator).__name__
        special: Callable[..., Tensor] | None = getattr(self, f"_{name}", None)
        if special is not None and type(estimator).__module__.startswith("sklearn."):
            return special(estimator, view, method)
        if hasattr(estimator, "steps"):
            return self._steps(estimator, view, method)
        if name in FORESTS:
            return self._forest(estimator, view, method)
        booster = boosters.read(estimator)
        if booster is not None:
            return self._booster(booster, view, method)
        columns = Columns(self.asker, view)
        for part in walk(estimator):
            if hasattr(part, "tree_") and part.n_features_in_ == columns.n_columns:
                add_cuts(self.graph, columns, of_forest(part))
        return self._on_matrix(estimator, ordered(self.graph, columns), columns.n_columns, method)

    def _on_matrix(self, estimator: Any, matrix: Tensor, n_columns: int, method: str) -> Tensor:
        """The answer of an estimator that adds and multiplies."""
        name = type(estimator).__name__
        if name in LINEAR:
            return linear_answer(self.graph, estimator, matrix, method)
        if name in ("MLPClassifier", "MLPRegressor"):
            return perceptron_answer(self.graph, estimator, matrix)
        return self._converted(estimator, matrix, n_columns, method)

    def _converted(self, estimator: Any, matrix: Tensor, n_columns: int, method: str) -> Tensor:
        """The answer of an estimator that skl2onnx knows."""
        if self.staircase:
            name = type(estimator).__name__
            raise NotCompiled(f"{name}, as skl2onnx converts it, {IN_FLOAT32} {self.staircase}")
        return answer_of_converted(self.graph, estimator, matrix, n_columns, method)

    def _before_steps(self, estimator: Any) -> "Emitter":
        """The emitter for the members of an estimator, which may put a staircase behind them."""
        staircase = staircase_of(estimator)
        if not staircase:
            return self
        return Emitter(self.graph, self.asker, staircase)

    # What holds other estimators.

    def _steps(self, pipeline: Any, view: View, method: str) -> Tensor:
        """A pipeline: as many steps as possible are known column by column."""
        steps = flat_steps(pipeline)
        try:
            return self.answer(steps[-1], through(view, steps[:-1]), method)
        except NotCompiled as error:
            if len(steps) < 2:
                raise
            reason = error
        for n_known in range(len(steps) - 2, -1, -1):
            try:
                columns = Columns(self.asker, through(view, steps[:n_known]))
                matrix = ordered(self.graph, columns)
            except Exception:
                # Not a matrix of numbers, or mixed columns: one step less may be.
                continue
            return self._rest(steps[n_known:], matrix, columns.n_columns, method)
        raise reason

    def _rest(self, steps: list[Any], matrix: Tensor, n_columns: int, method: str) -> Tensor:
        from sklearn.pipeline import make_pipeline

        while len(steps) > 1 and type(steps[0]).__name__ in ("PCA", "TruncatedSVD"):
            matrix = linear_answer(self.graph, steps[0], matrix, "transform")
            n_columns = len(steps[0].components_)
            steps = steps[1:]
        if len(steps) == 1:
            return self._on_matrix(steps[0], matrix, n_columns, method)
        return self._converted(make_pipeline(*steps), matrix, n_columns, method)

    def _inner(self, estimator: Any, view: View, method: str) -> Tensor:
        inner = next(getattr(estimator, name) for name in INNER if hasattr(estimator, name))
        return self.answer(inner, view, method)

    _GridSearchCV = _RandomizedSearchCV = _HalvingGridSearchCV = _HalvingRandomSearchCV = _inner
    _FixedThresholdClassifier = _TunedThresholdClassifierCV = _inner

    def _FrozenEstimator(self, frozen: Any, view: View, method: str) -> Tensor:  # noqa: N802
        return self.answer(frozen.estimator, view, method)

    def _voting(self, voting: Any, view: View, method: str) -> Tensor:
        if method == "predict" and hasattr(voting, "classes_"):
            raise NotCompiled("a vote by labels has no probabilities")
        parts = [self.answer(member, view, method) for member in voting.estimators_]
        return mean(self.graph, parts, voting._weights_not_none)

    _VotingClassifier = _VotingRegressor = _voting

    def _stacking(self, stacking: Any, view: View, method: str) -> Tensor:
        graph = self.graph
        emitter = self._before_steps(stacking)
        parts = []
        n_columns = 0
        for member, asked in zip(stacking.estimators_, stacking.stack_method_, strict=True):
            part = graph.cast(emitter.answer(member, view, asked), is_double=True)
            width = 1
            if asked == "predict_proba":
                places = list(range(len(member.classes_)))
                if len(places) == 2:
                    places = [1]
                width = len(places)
                name = graph.node("Gather", [part.name, graph.constant(places, np.int64)], axis=1)
                part = Tensor(name, True)
            elif asked == "decision_function" and len(member.classes_) > 2:
                width = len(member.classes_)
            parts.append(part.name)
            n_columns += width
        if stacking.passthrough:
            columns = Columns(self.asker, view)
            parts.append(ordered(graph, columns).name)
            n_columns += columns.n_columns
        if any(hasattr(part, "_predictors") for part in walk(stacking.final_estimator_)):
            raise NotCompiled("skl2onnx rounds the cuts of the last estimator of the stack")
        matrix = Tensor(graph.node("Concat", parts, axis=1), True)
        return self._on_matrix(stacking.final_estimator_, matrix, n_columns, method)

    _StackingClassifier = _StackingRegressor = _stacking

    def _bagging(self, bagging: Any, view: View, method: str) -> Tensor:
        parts = [
            self.answer(member, chosen(view, places), method)
            for member, places in zip(
                bagging.estimators_, bagging.estimators_features_, strict=True
            )
        ]
        return mean(self.graph, parts, None)

    _BaggingRegressor = _BaggingClassifier = _bagging

    def _multi_output(self, multi: Any, view: View, method: str) -> Tensor:
        parts = [self.answer(member, view, method) for member in multi.estimators_]
        names = [self.graph.cast(part, is_double=True).name for part in parts]
        return Tensor(self.graph.node("Concat", names, axis=1), True)

    _MultiOutputRegressor = _multi_output

    def _CalibratedClassifierCV(self, model: Any, view: View, method: str) -> Tensor:  # noqa: N802
        emitter = self._before_steps(model)
        parts = []
        for member in model.calibrated_classifiers_:
            inner = member.estimator
            asked = "decision_function" if hasattr(inner, "decision_function") else "predict_proba"
            answer = self.graph.cast(emitter.answer(inner, view, asked), is_double=True)
            parts.append(calibrated(self.graph, member, answer, asked))
        return mean(self.graph, parts, None)

    def _TransformedTargetRegressor(  # noqa: N802
        self, model: Any, view: View, method: str
    ) -> Tensor:
        inner = self.graph.cast(self.answer(model.regressor_, view, method), is_double=True)
        return inverse_of(self.graph, model.transformer_, inner)

    # Trees.

    def _raw(self, ensemble: Ensemble, view: View) -> Tensor:
        columns = Columns(self.asker, view)
        return raw_scores(self.graph, columns, ensemble, is_double=bool(self.staircase))

    def _forest(self, forest: Any, view: View, method: str) -> Tensor:
        raw = self._raw(of_forest(forest), view)
        if hasattr(forest, "classes_") and len(forest.classes_) == 2:
            return two_classes(self.graph, raw)
        return raw

    def _gradient_boosting(self, model: Any, view: View, method: str) -> Tensor:
        if type(model.init_).__name__ not in ("DummyClassifier", "DummyRegressor", "str"):
            raise NotCompiled("its boosting starts from another model")
        raw = self._raw(of_gradient_boosting(model), view)
        if method != "predict_proba":
            return raw
        if type(model._loss).__name__ == "ExponentialLoss":
            raw = times(self.graph, raw, 2.0)
        return self._probabilities(raw, len(model.classes_))

    _GradientBoostingClassifier = _GradientBoostingRegressor = _gradient_boosting

    def _hist_gradient_boosting(self, model: Any, view: View, method: str) -> Tensor:
        def own(rows: Any) -> Any:
            return model._preprocess_X(view(rows), reset=False)

        raw = self._raw(of_hist_gradient_boosting(model), own)
        if method == "predict_proba":
            return self._probabilities(raw, len(model.classes_))
        if type(model._loss.link).__name__ == "LogLink" and method == "predict":
            return exponential(self.graph, raw)
        return raw

    _HistGradientBoostingClassifier = _HistGradientBoostingRegressor = _hist_gradient_boosting

    def _IsolationForest(self, model: Any, view: View, method: str) -> Tensor:  # noqa: N802
        from sklearn.ensemble._iforest import _average_path_length

        graph = self.graph
        depth = graph.cast(self._raw(of_isolation_forest(model), view), is_double=True)
        whole = len(model.estimators_) * _average_path_length([model._max_samples])[0]
        part = times(graph, depth, -1.0 / whole)
        power = graph.node("Pow", [graph.constant(2.0, np.float64), part.name])
        offset = graph.constant(-model.offset_, np.float64)
        return Tensor(graph.node("Sub", [offset, power]), True)

    def _probabilities(self, raw: Tensor, n_classes: int) -> Tensor:
        if n_classes == 2:
            return logistic(self.graph, raw)
        return softmax(self.graph, raw)

    def _booster(self, booster: boosters.Booster, view: View, method: str) -> Tensor:
        if self.staircase and booster.adds_in_float32:
            raise NotCompiled(f"XGBoost itself {IN_FLOAT32} {self.staircase}")
        raw = self._raw(booster.ensemble, lambda rows: booster.view(view(rows)))
        if method == "decision_function":
            return raw
        graph = self.graph
        match booster.link:
            case "sigmoid":
                if booster.scale != 1:
                    raw = times(graph, raw, booster.scale)
                return logistic(graph, raw)
            case "softmax":
                return softmax(graph, raw)
            case "exp":
                return exponential(graph, raw)
        return raw
