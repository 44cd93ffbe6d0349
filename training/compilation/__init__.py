"""A fitted pipeline as ONNX in the shape that serving opens, proven row by row.

`proof` decides, `exact` emits, `direct` converts as it is, `reasons` says why not.

What an estimator sees is asked: `asker`, `columns`, `views`, `tables`, `bisection`, `matrix`. Its
arithmetic is emitted: `emission` knows the estimators, `linear`, `calibration`, `functions` and
`converted` their formulas. Trees are read by `ensembles` and `boosters`, their cuts are found by
`tree_cuts`, `tree_inputs` brings their columns into the graph, and `tree_graph` adds them up.
`rounding` says where that must be in float64, and `float_parts` how.
"""
