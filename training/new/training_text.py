"""The training of a guessed model as a Python module: how files are read, a first pipeline."""

from collections.abc import Sequence

from serve_app.contract.feature import DType
from training.new.contract_text import Guess, docstring
from training.new.field import Field, Reading
from training.new.names import title_of
from training.new.python_text import INDENT, Call, Expression, choice, dictionary, literal, written

ESTIMATORS = {
    "binary_classifier": "HistGradientBoostingClassifier",
    "classifier": "HistGradientBoostingClassifier",
    "regressor": "HistGradientBoostingRegressor",
}
UNUSUAL = "# The share of rows that are unusual enough to be told.\nCONTAMINATION = 0.01"
# With fewer rows small trees are better.
MANY_ROWS = 20_000


def training_text(guess: Guess, *, is_fitted_elsewhere: bool = False) -> str:
    """The whole module, which ends with TRAINING; no pipeline for one that is fitted already."""
    mapping = _mapping(guess)
    pipeline = ""
    constants = []
    if not is_fitted_elsewhere:
        pipeline = _pipeline(guess)
        constants.append(_groups(guess.fields))
    if not guess.target.column:
        constants.append(UNUSUAL)
    constants.append(_csv(guess))
    head = f"{_head(guess)}\n{_imports(guess, mapping, pipeline)}"
    told = "\n".join(filter(None, constants))
    if told:
        head = f"{head}\n\n{told}"
    parts = [head, mapping, pipeline, _training(guess, mapping, pipeline)]
    return "\n\n\n".join(filter(None, parts)) + "\n"


def _head(guess: Guess) -> str:
    return docstring(
        [
            f"How {title_of(guess.model).lower()} is trained from files like "
            f"{guess.source.path.name}.",
            "",
            "The next version:",
            "",
            "    "
            f"python -m training {guess.module} --version 1.1.0 --data {guess.source.path.name}",
        ]
    )


def _imports(guess: Guess, mapping: str, pipeline: str) -> str:
    text = mapping + pipeline
    outside = []
    if "np." in text:
        outside.append("import numpy as np")
    if mapping:
        outside.append("import pandas as pd")
    modules = {
        "sklearn.compose": ("ColumnTransformer",),
        "sklearn.ensemble": (
            "HistGradientBoostingClassifier",
            "HistGradientBoostingRegressor",
            "IsolationForest",
        ),
        "sklearn.feature_extraction.text": ("TfidfVectorizer",),
        "sklearn.impute": ("SimpleImputer",),
        "sklearn.model_selection": ("KFold",),
        "sklearn.pipeline": ("Pipeline", "make_pipeline"),
        "sklearn.preprocessing": ("FunctionTransformer", "OneHotEncoder", "TargetEncoder"),
    }
    for module, names in modules.items():
        used = [name for name in names if f"{name}(" in text]
        if used:
            outside.append(f"from {module} import {', '.join(used)}")
    inside = []
    if "date_parts" in pipeline:
        inside.append("from serve_app.contract.date_parts import date_parts")
    used = [name for name in ("dates", "numbers", "texts", "truths") if f" {name}(" in mapping]
    if used:
        inside.append(f"from training.columns import {', '.join(used)}")
    inside.append("from training.recipe import Training")
    blocks = [outside, inside]
    if pipeline:
        blocks.insert(0, ["from typing import Any"])
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _csv(guess: Guess) -> str:
    """What `pandas.read_csv` has to know of such files."""
    options: list[Expression] = [
        f"{literal(key)}: {literal(value)}" for key, value in guess.source.options.items()
    ]
    renamed = [field for field in guess.fields if field.column != field.name]
    texts = [field.column for field in renamed if field.dtype in ("category", "text")]
    if texts:
        pairs: list[Expression] = [f"{literal(column)}: str" for column in texts]
        options.append(Call('"dtype": ', pairs, "{}"))
    if not options:
        return ""
    return written("CSV = ", Call("", options, "{}"))


def _mapping(guess: Guess) -> str:
    """`map_columns`, empty where the file has the contract's columns as they are."""
    renamed = [(f.column, f.name) for f in guess.fields if f.column != f.name]
    lines = []
    if renamed:
        lines.append(
            written(
                "rows = ",
                Call("rows.rename", [Call("columns=", dictionary(renamed).parts, "{}")]),
                "",
                1,
            )
        )
    else:
        lines.append(f"{INDENT}rows = rows.copy()")
    read = [(field.name, field.reading) for field in guess.fields if field.reading]
    if guess.target.reading:
        read.append((guess.target.column, guess.target.reading))
    for name, reading in read:
        place = f"rows[{literal(name)}]"
        lines.append(written(f"{place} = ", _reading_call(place, reading), "", 1))
    if guess.target.n_missing:
        lines.append(f"{INDENT}# A row without the target teaches nothing.")
        subset = Call("rows.dropna", [f"subset=[{literal(guess.target.column)}]"])
        lines.append(written("rows = ", subset, "", 1))
    if not (renamed or read or guess.target.n_missing):
        return ""
    head = (
        "def map_columns(rows: pd.DataFrame) -> pd.DataFrame:\n"
        f'{INDENT}"""Turn the columns of a file into those of the contract: blanks are missing.\n\n'
        f"{INDENT}Plain pandas: whatever the contract needs can be computed here.\n"
        f'{INDENT}"""\n'
    )
    return head + "\n".join([*lines, f"{INDENT}return rows"])


def _reading_call(place: str, reading: Reading) -> Call:
    arguments = [f"{key}={literal(value)}" for key, value in reading.arguments]
    return Call(reading.function, [place, *arguments])


def _group(fields: Sequence[Field], name: str) -> list[str]:
    """The fields that one step of the pipeline takes."""
    return [f.name for f in fields if f.dtype in GROUPS[name] and not f.is_free_text]


GROUPS: dict[str, tuple[DType, ...]] = {
    "CATEGORIES": ("category",),
    "OPEN_TEXTS": ("text",),
    "DATES": ("date", "datetime"),
    "NUMBERS": ("int", "float", "bool"),
}


def _groups(fields: Sequence[Field]) -> str:
    """A list of the fields of each step."""
    lines = []
    for name in GROUPS:
        names = _group(fields, name)
        if names:
            lines.append(written(f"{name} = ", choice(names, "", "[]")))
    return "\n".join(lines)


def _pipeline(guess: Guess) -> str:
    is_anomaly = not guess.target.column
    steps: list[Expression] = []
    if _group(guess.fields, "CATEGORIES"):
        one_hot = 'OneHotEncoder(handle_unknown="ignore", sparse_output=False)'
        steps.append(Call("", ['"categories"', one_hot, "CATEGORIES"]))
    if _group(guess.fields, "OPEN_TEXTS"):
        # A text that training has not seen stands for the mean of all.
        encoder = "TargetEncoder(cv=KFold(5, shuffle=True, random_state=0))"
        if is_anomaly:
            encoder = (
                'OneHotEncoder(handle_unknown="ignore", min_frequency=20, sparse_output=False)'
            )
        steps.append(Call("", ['"open_texts"', encoder, "OPEN_TEXTS"]))
    steps += [_words(field) for field in guess.fields if field.is_free_text]
    if _group(guess.fields, "DATES"):
        parts: Expression = "FunctionTransformer(date_parts)"
        if is_anomaly:
            parts = Call("make_pipeline", [parts, 'SimpleImputer(strategy="median")'])
        steps.append(Call("", ['"dates"', parts, "DATES"]))
    if _group(guess.fields, "NUMBERS"):
        numbers = 'SimpleImputer(strategy="median")' if is_anomaly else '"passthrough"'
        steps.append(Call("", ['"numbers"', numbers, "NUMBERS"]))
    columns = Call("ColumnTransformer", [Call("", steps, "[]"), "sparse_threshold=0"])
    lines = [
        "def pipeline() -> Any:",
        f'{INDENT}"""{_about(guess)}"""',
        written("columns = ", columns, "", 1),
        written("model = ", _estimator(guess), "", 1),
        f'{INDENT}return Pipeline([("columns", columns), ("model", model)])',
    ]
    return "\n".join(lines)


def _about(guess: Guess) -> str:
    if not guess.target.column:
        return "Isolate unusual rows: a score below zero is unusual."
    return "Boost trees, which take missing numbers as they are."


def _words(field: Field) -> Call:
    """The most frequent words of a free text, weighed."""
    words = "TfidfVectorizer(max_features=200, sublinear_tf=True)"
    if not field.nullable:
        return Call("", [literal(field.name), words, literal(field.name)])
    filled = Call(
        "make_pipeline",
        [
            'SimpleImputer(strategy="constant", fill_value="")',
            "FunctionTransformer(np.ravel)",
            words,
        ],
    )
    return Call("", [literal(field.name), filled, f"[{literal(field.name)}]"])


def _estimator(guess: Guess) -> Call:
    if not guess.target.column:
        return Call("IsolationForest", ["contamination=CONTAMINATION", "random_state=0"])
    n_iterations = 150
    n_leaves = 8
    if guess.n_rows >= MANY_ROWS:
        n_iterations = 300
        n_leaves = 15
    settings = [
        "learning_rate=0.05",
        f"max_iter={n_iterations}",
        f"max_leaf_nodes={n_leaves}",
        f"min_samples_leaf={max(5, min(40, guess.n_rows // 100))}",
        "l2_regularization=1.0",
        "early_stopping=False",
        "random_state=0",
    ]
    return Call(ESTIMATORS[guess.target.kind], settings)


def _training(guess: Guess, mapping: str, pipeline: str) -> str:
    parts: list[Expression] = []
    if pipeline:
        parts.append("pipeline=pipeline")
    if mapping:
        parts.append("map_columns=map_columns")
    if not guess.target.column:
        parts.append("contamination=CONTAMINATION")
    if _csv(guess):
        parts.append("csv=CSV")
    return written("TRAINING = ", Call("Training", parts))
