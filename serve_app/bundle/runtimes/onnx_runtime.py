"""Runs a compiled pipeline: ONNX holds no code, so opening it can run none."""

from typing import Any

import numpy as np
import onnxruntime

from serve_app.bundle.call import PipelineCall
from serve_app.bundle.runtimes.number_code import METADATA_KEY, NumberCode
from serve_app.bundle.runtimes.picked import picked
from serve_app.contract.block import Block, Scores

# Only what ends the process: a row that cannot be scored is counted by its caller, not logged here.
FATAL = 4


class OnnxRuntime:
    """Scores blocks with `model.onnx`.

    The graph takes `numbers` (n_rows, n_columns) float32 or float64 and `categories`
    (n_rows, n_categories) string, each only where it needs them, and gives `score` (n_rows, n): the
    answer of the pipeline's method. How the columns are made from a block's numbers is said by a
    `NumberCode` in the graph's metadata.
    """

    def __init__(self, data: bytes, call: PipelineCall) -> None:
        options = onnxruntime.SessionOptions()
        # Replicas share cores, and for tabular models handing over costs more than it saves.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._call = call
        metadata = self._session.get_modelmeta().custom_metadata_map
        self._code = NumberCode.from_text(metadata.get(METADATA_KEY, ""))
        types = {given.name: given.type for given in self._session.get_inputs()}
        self._takes_numbers = "numbers" in types
        self._takes_float64 = types.get("numbers") == "tensor(double)"
        self._takes_categories = "categories" in types

    def score(self, block: Block) -> Scores:
        """(n_rows,) or (n_rows, n_outputs) scores, as the call says."""
        feed: dict[str, Any] = {}
        if self._takes_numbers:
            numbers = self._code.encoded(block.numbers)
            feed["numbers"] = numbers if self._takes_float64 else numbers.astype(np.float32)
        if self._takes_categories:
            feed["categories"] = block.categories
        return picked(self._session.run(["score"], feed)[0], self._call)
