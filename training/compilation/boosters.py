"""The trees of LightGBM, XGBoost and CatBoost, as they write them themselves.

None of the libraries is imported here: a pipeline that holds a model of one has imported it.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.compilation.asker import NotCompiled, View
from training.compilation.ensembles import LEAF, Categories, Ensemble, Tree, one_target
from training.compilation.tree_builder import TreeBuilder


@dataclass(frozen=True)
class Booster:
    """Trees, what their sum is turned into (`identity`, `sigmoid`, `softmax`, `exp`), and `view`:
    the matrix of numbers that they see of what the booster is shown.

    `adds_in_float32`: the library itself rounds its sums.
    """

    ensemble: Ensemble
    link: str
    view: View
    scale: float = 1.0
    adds_in_float32: bool = False


def read(estimator: Any) -> Booster | None:
    """The trees of a booster; None for what is none. Raises NotCompiled."""
    library = type(estimator).__module__.split(".")[0]
    reader = {"lightgbm": _lightgbm, "xgboost": _xgboost, "catboost": _catboost}.get(library)
    if reader is None:
        return None
    return reader(estimator)


# LightGBM

LIGHTGBM_LINKS = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multiclassova": "",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "lambdarank": "identity",
}


def _lightgbm(estimator: Any) -> Booster:
    booster = estimator.booster_
    model = booster.dump_model(num_iteration=getattr(estimator, "best_iteration_", None) or -1)
    name, *words = str(model.get("objective", "")).split()
    link = LIGHTGBM_LINKS.get(name, "")
    if not link or "sqrt" in words:
        raise NotCompiled(f"LightGBM's objective {model.get('objective')} has no graph here")
    n_targets = model["num_tree_per_iteration"]
    trees = []
    for i, info in enumerate(model["tree_info"]):
        nodes = TreeBuilder(n_targets)
        _lightgbm_node(nodes, info["tree_structure"], i % n_targets)
        trees.append(nodes.tree())
    base = np.zeros(n_targets)
    if model.get("average_output"):
        n_rounds = len(trees) // n_targets
        trees = [_scaled(tree, 1 / n_rounds) for tree in trees]
    scale = 1.0
    for word in words:
        if word.startswith("sigmoid:"):
            scale = float(word.split(":")[1])
    categories = model.get("pandas_categorical") or []
    return Booster(
        Ensemble(trees, base),
        link,
        lambda rows: _lightgbm_view(rows, categories),
        scale=scale,
    )


def _scaled(tree: Tree, factor: float) -> Tree:
    return Tree(
        tree.feature,
        tree.threshold,
        tree.left,
        tree.right,
        tree.is_missing_left,
        tree.values * factor,
        tree.categories,
    )


def _lightgbm_node(nodes: TreeBuilder, node: Any, target: int) -> int:
    if "split_feature" not in node:
        return nodes.add_leaf(
            one_target(np.array([node["leaf_value"]]), target, nodes.n_targets)[0]
        )
    missing = node["missing_type"]
    if missing == "Zero":
        raise NotCompiled("LightGBM with zero_as_missing has no graph here")
    if node["decision_type"] == "==":
        left = frozenset(int(code) for code in str(node["threshold"]).split("||"))
        place = nodes.add(node["split_feature"], 0.0, is_missing_left=False)
        # A missing category is on no list, so it goes right; without a type for missing ones it is
        # taken for category 0.
        is_left = missing == "None" and 0 in left
        nodes.categories[place] = Categories(left, None, is_left)
    else:
        threshold = float(node["threshold"])
        is_left = bool(node["default_left"])
        if missing == "None":
            # Without missing values in training they are taken for zero.
            is_left = threshold >= 0.0
        place = nodes.add(node["split_feature"], threshold, is_missing_left=is_left)
    nodes.left[place] = _lightgbm_node(nodes, node["left_child"], target)
    nodes.right[place] = _lightgbm_node(nodes, node["right_child"], target)
    return place


def _lightgbm_view(rows: Any, categories: list[Any]) -> Any:
    """Category columns as the codes that LightGBM gave them, NaN for unknown ones."""
    if not hasattr(rows, "dtypes"):
        return rows
    names = [name for name, kind in rows.dtypes.items() if str(kind) == "category"]
    if len(names) != len(categories):
        raise NotCompiled("LightGBM was fitted on other category columns")
    if not names:
        return rows
    coded = {}
    for name, known in zip(names, categories, strict=True):
        codes = rows[name].cat.set_categories(known).cat.codes.to_numpy().astype(np.float64)
        coded[name] = np.where(codes < 0, np.nan, codes)
    return rows.assign(**coded)


# XGBoost

XGBOOST_LINKS = {
    "binary:logistic": "sigmoid",
    "reg:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:squarederror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:squaredlogerror": "identity",
    "count:poisson": "exp",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
}


def _xgboost(estimator: Any) -> Booster:
    booster = estimator.get_booster()
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    objective = learner["objective"]["name"]
    link = XGBOOST_LINKS.get(objective, "")
    gradient = learner["gradient_booster"]
    if not link or gradient["name"] != "gbtree":
        raise NotCompiled(f"XGBoost's {gradient['name']} with {objective} has no graph here")
    listed = gradient["model"]["trees"]
    group = gradient["model"]["tree_info"]
    parameters = learner["learner_model_param"]
    n_targets = max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))
    n_trees = len(listed)
    best = getattr(estimator, "best_iteration", None)
    if _stopped_early(estimator) and best is not None:
        n_trees = gradient["model"]["iteration_indptr"][best + 1]
    trees = [_xgboost_tree(tree, group[i], n_targets) for i, tree in enumerate(listed[:n_trees])]
    base = np.atleast_1d(json.loads(parameters["base_score"])).astype(np.float64)
    if link == "sigmoid":
        base = np.log(base / (1 - base))
    if link == "exp":
        base = np.log(base)
    base = np.broadcast_to(base, (n_targets,)).copy()
    names = booster.feature_names
    return Booster(
        Ensemble(trees, base, cast=np.float32, is_strict=True),
        link,
        lambda rows: _xgboost_view(rows, names),
        adds_in_float32=True,
    )


def _stopped_early(estimator: Any) -> bool:
    return getattr(estimator, "early_stopping_rounds", None) is not None


def _xgboost_tree(tree: Any, target: int, n_targets: int) -> Tree:
    left = np.array(tree["left_children"], dtype=np.int64)
    is_leaf = left < 0
    if any(tree["split_type"]):
        raise NotCompiled("XGBoost with pandas categories has no graph here")
    # A leaf's value stands where a split has its threshold.
    numbers = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    return Tree(
        np.where(is_leaf, LEAF, np.array(tree["split_indices"])).astype(np.int64),
        numbers,
        left,
        np.array(tree["right_children"], dtype=np.int64),
        np.array(tree["default_left"]).astype(bool),
        one_target(np.where(is_leaf, numbers, 0.0), target, n_targets),
    )


def _xgboost_view(rows: Any, names: Any) -> Any:
    if hasattr(rows, "dtypes") and any(str(kind) == "category" for kind in rows.dtypes):
        raise NotCompiled("XGBoost with pandas categories has no graph here")
    if names is not None and hasattr(rows, "columns"):
        return rows[names]
    return rows


# CatBoost

CATBOOST_LINKS = {"Logloss": "sigmoid", "CrossEntropy": "sigmoid", "MultiClass": "softmax"}
CATBOOST_VALUES = {"RMSE", "MAE", "Quantile", "MAPE", "Huber", "LogLinQuantile", "MultiRMSE"}


def _catboost(estimator: Any) -> Booster:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.json"
        estimator.save_model(str(file), format="json")
        model = json.loads(file.read_text())
    loss = model["model_info"]["params"]["loss_function"]["type"]
    link = CATBOOST_LINKS.get(loss, "identity")
    if loss not in CATBOOST_LINKS and loss not in CATBOOST_VALUES:
        raise NotCompiled(f"CatBoost's loss {loss} has no graph here")
    if "oblivious_trees" not in model or model["features_info"].get("categorical_features"):
        raise NotCompiled("CatBoost with categories, or with trees of its own kind, has no graph")
    floats = {f["feature_index"]: f for f in model["features_info"]["float_features"]}
    scale, bias = model["scale_and_bias"]
    n_targets = len(bias)
    trees = [_oblivious(tree, floats, n_targets, scale) for tree in model["oblivious_trees"]]
    # Right is above the border, so a number that equals it goes left.
    ensemble = Ensemble(trees, np.asarray(bias, dtype=np.float64), cast=np.float32)
    return Booster(ensemble, link, lambda rows: rows)


def _oblivious(tree: Any, floats: Any, n_targets: int, scale: float) -> Tree:
    """A tree with one split a level: the bits of the splits make the number of the leaf."""
    nodes = TreeBuilder(n_targets)
    splits = tree["splits"] or []
    leaves = np.array(tree["leaf_values"], dtype=np.float64).reshape(-1, n_targets) * scale

    def grow(level: int, leaf: int) -> int:
        if level < 0:
            return nodes.add_leaf(leaves[leaf])
        split = splits[level]
        if split["split_type"] != "FloatFeature":
            raise NotCompiled("CatBoost with categories has no graph here")
        feature = floats[split["float_feature_index"]]
        is_left = feature["nan_value_treatment"] != "AsTrue"
        place = nodes.add(feature["flat_feature_index"], split["border"], is_missing_left=is_left)
        nodes.left[place] = grow(level - 1, leaf)
        nodes.right[place] = grow(level - 1, leaf | 1 << level)
        return place

    grow(len(splits) - 1, 0)
    return nodes.tree()
