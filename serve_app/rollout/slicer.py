"""What a server counts of the slices of its requests."""

from collections.abc import Sequence

from serve_app.bundle.manifest import Manifest
from serve_app.contract import Features
from serve_app.contract.block import Layout
from serve_app.rollout.counts import MOST_REPORTED_KEYS, Arm, Counts, Sliced
from serve_app.statistics.bins import Bins

# Keys of all slices in one report: as many as of the rail of errors for each field.
MOST_SLICED_KEYS = 3 * MOST_REPORTED_KEYS


class Slicer:
    """Counts requests by the bins that stable's training froze: some hundred a field at most.

    A field that has no bins in stable's bundle has no slices.
    """

    def __init__(self, slice_by: Sequence[str], stable: Manifest) -> None:
        contract = [feature for feature in stable.contract if feature.name in slice_by]
        self._layout = Layout(contract)
        self._bins = Bins(stable.references, contract)

    def count(
        self,
        counts: Counts,
        arm: Arm,
        routing_key: str,
        row: Features,
        begins: bool | None,
        *,
        of_process: bool = False,
    ) -> None:
        """Take in a request whose first row is this one.

        `begins`: whether its bad answer counts by itself; None: its answer was good. `of_process`:
        whether it was a process's fault.
        """
        for name in self._bins.first(self._layout.block([row.__dict__])):
            part = counts.slices.get(name)
            if part is None:
                part = counts.slices[name] = Sliced()
            part.requests[arm] += 1
            if begins is None:
                continue
            part.bad[arm] += 1
            # One bound for all slices together: which keys are left out does not depend on the arm.
            if counts.n_sliced_keys >= MOST_SLICED_KEYS:
                part.errors.n_left_out += 1
                continue
            counts.n_sliced_keys += 1
            part.errors.put(arm, routing_key, counts=begins, of_process=of_process)
