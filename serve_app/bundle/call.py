"""How a fitted pipeline is called: the method, what its answer's columns mean, what texts it wants.

The truth that a bundle has to reproduce is what the pipeline itself gives for a row as pandas reads
it. Two things of that cannot be seen from a contract, and stand in the manifest: which columns of
the answer are meant, and how a missing text and a text column look to this pipeline.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Method = Literal["predict_proba", "predict", "decision_function"]


class PipelineCall(BaseModel):
    """How to ask a pipeline for the scores of a DataFrame.

    `columns` are positions in the answer of `method`, (n_rows, n_columns): that of the positive
    class, or those of all classes or outputs in the contract's order. None: the answer is (n_rows,)
    or has one column.

    A text column is handed over with the pandas type `texts`. `missing_text` says what stands in it
    for a missing value: NaN or None, or the text `missing_value`.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    method: Method
    columns: list[int] | None = None
    texts: Literal["str", "object", "category"] = "str"
    missing_text: Literal["nan", "none", "value"] = "nan"
    missing_value: str = ""


# Bundles of format 1 were made with empty texts for missing ones.
LEGACY = PipelineCall(method="predict", texts="object", missing_text="value")
LEGACY_CALLS = {
    "binary_classifier": PipelineCall(
        method="predict_proba", columns=[-1], texts="object", missing_text="value"
    ),
    "regressor": LEGACY,
}
