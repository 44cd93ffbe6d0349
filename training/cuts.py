"""The numbers next to which a pipeline's answer changes, by the field of the contract."""

from typing import Any

from serve_app.bundle.call import PipelineCall
from training.table import Numbers, Table


def cuts_by_field(pipeline: Any, table: Table, call: PipelineCall) -> dict[str, Numbers]:
    """The ascending cuts of all trees in a pipeline, and the steps of binnings and encoders.

    They are in the unit of the field, whatever scales it on its way to the trees: the last number
    on the left of each cut.
    """
    # The compilation needs the probes' bounds of fields, which need this module.
    from training.compilation.exact import compile_exactly

    return compile_exactly(pipeline, table.spec, call, table.block).cuts
