"""The exact graph of a pipeline: its steps asked, its trees and sums emitted in float64."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.bundle.call import PipelineCall
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block
from training.compilation.asker import Asker, NotCompiled
from training.compilation.emission import Emitter
from training.compilation.graph import Graph

# Seconds of CPU: then the pipeline is left to the converter.
BUDGET_CPU_S = 45.0


@dataclass(frozen=True)
class Exact:
    """A graph, or None and the reason; and the numbers of each field next to which answers change.

    `cuts` is by the name of the field, (n_cuts,) ascending each.
    """

    graph: bytes | None
    reason: str
    cuts: dict[str, NDArray[np.float64]]


def compile_exactly(
    pipeline: Any,
    spec: ModelSpec,
    call: PipelineCall,
    rows: Block,
    budget_cpu_s: float = BUDGET_CPU_S,
) -> Exact:
    """Emit a pipeline, whose steps are asked about `rows` that it answers. Never raises.

    There is no graph of a pipeline whose steps use more than `budget_cpu_s` for their answers.
    """
    asker = Asker(spec, call, rows, pipeline, time.process_time() + budget_cpu_s)
    graph = Graph(asker.layout)
    data = None
    reason = ""
    try:
        score = Emitter(graph, asker).answer(pipeline, lambda seen: seen, call.method)
        data = graph.bytes(score, spec.name)
    except NotCompiled as error:
        reason = str(error)
    except Exception as error:
        # A foreign step may raise anything when it is asked.
        reason = f"{type(error).__name__}: {error}"
    cuts = {}
    for place, name in enumerate(asker.layout.number_names):
        found = graph.cuts.get(place, set()) | graph.steps.get(place, set())
        if found:
            cuts[name] = np.array(sorted(found))
    return Exact(data, reason, cuts)
