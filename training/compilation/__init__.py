"""A fitted pipeline as ONNX in the shape that serving opens, proven row by row.

`proof` decides, `exact` emits (`columns`, `tables`, `matrix`: what an estimator sees; `emission`:
the estimators; `tree_graph`, `linear`, `calibration`, `converted`: their arithmetic), `direct`
converts as it is, `reasons` says why not.
"""

from training.compilation.proof import Compilation, compile_pipeline

__all__ = ["Compilation", "compile_pipeline"]
