"""Runs a compiled pipeline: ONNX holds no code, so opening it can run none."""

from typing import Any

import onnxruntime

from serve_app.contract.block import Block, Scores


class OnnxRuntime:
    """Scores blocks with `model.onnx`.

    The graph takes `numbers` (n_rows, n_numbers) float32 and `categories` (n_rows, n_categories)
    string, each only where the contract has such fields, and gives `score` (n_rows, n): its last
    column is the probability of the positive class, or the value.
    """

    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # Replicas share cores, and for tabular models handing over costs more than it saves.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        names = {given.name for given in self._session.get_inputs()}
        self._takes_numbers = "numbers" in names
        self._takes_categories = "categories" in names

    def score(self, block: Block) -> Scores:
        """(n_rows,) scores."""
        feed: dict[str, Any] = {}
        if self._takes_numbers:
            feed["numbers"] = block.numbers.astype("float32")
        if self._takes_categories:
            feed["categories"] = block.categories
        scores: Scores = self._session.run(["score"], feed)[0][:, -1].astype("float64")
        return scores
