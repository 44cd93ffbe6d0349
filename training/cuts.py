"""The numbers next to which a pipeline's answer changes, by the field of the contract."""

from typing import TYPE_CHECKING, Any

from serve_app.bundle.call import PipelineCall
from serve_app.contract import ModelSpec
from serve_app.contract.block import Block
from training.table import Numbers, Table

if TYPE_CHECKING:
    from training.compilation.exact import Exact


def analysed(pipeline: Any, spec: ModelSpec, call: PipelineCall, rows: Block) -> "Exact":
    """The exact graph of a pipeline and its cuts, found by asking it about `rows` it answers."""
    # The compilation needs the truth, which needs this module.
    from training.compilation.exact import compile_exactly

    return compile_exactly(pipeline, spec, call, rows)


def cuts_by_field(pipeline: Any, table: Table, call: PipelineCall) -> dict[str, Numbers]:
    """The ascending cuts of all trees in a pipeline, and the steps of binnings and encoders.

    They are in the unit of the field, whatever scales it on its way to the trees: the last number
    on the left of each cut.
    """
    return analysed(pipeline, table.spec, call, table.block).cuts
