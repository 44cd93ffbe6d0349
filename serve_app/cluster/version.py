"""The Ray class of one version that is isolated in an application of its own."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from ray import serve

from serve_app.bundle.predictor import Predictor
from serve_app.cluster.logs import log_to_ray
from serve_app.cluster.placements import InServerVersion
from serve_app.cluster.replica import own_application
from serve_app.contract.block import Block, Scores
from serve_app.errors import SettingsError
from serve_app.scaling import WISHED
from serve_app.settings import VersionArgs, VersionConfig, parse_settings

logger = logging.getLogger(__name__)

# What is isolated is slow: on a node whose cores are busy, servers and the proxy go first.
NICENESS = 10
# How long a wish counts that is not repeated.
WISH_S = 10.0
# The callers' own deadlines are shorter; this one only ends what nobody waits for.
VERSION_DEADLINE_S = 600.0


class Version:
    """One version by itself, with its own processes, CPUs and crashes.

    It is reached by a handle, never by HTTP. `wire` opens the version in this process; it raises
    BundleError when the version cannot be proven, and waits for what passes.
    """

    def __init__(self, wire: Callable[[VersionArgs], Predictor], args: VersionArgs) -> None:
        log_to_ray(own_application, model=args.model, version=args.version, process="version")
        os.nice(NICENESS)
        self._predictor = wire(args)
        self._replica = serve.get_replica_context().replica_id.unique_id
        self._config = VersionConfig()
        self._n_wished = 0
        self._wished_until_s = 0.0
        self._placed: InServerVersion | None = None

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take how blocks of several servers are merged.

        A wrong setting is refused and the last good one stays; a wrong first one raises.
        """
        try:
            config = parse_settings(VersionConfig, user_config, "user_config")
        except SettingsError as error:
            if self._placed is None:
                raise
            logger.error("user_config refused, the last good one stays: %s", error)
            return
        replaced = self._placed
        self._config = config
        self._placed = InServerVersion(self._predictor, config.coalesce, config.batch)
        if replaced is not None:
            replaced.close()

    async def score(self, block: Block) -> tuple[str, Scores]:
        """This replica's name, and the scores: (n_rows,), or (n_rows, n_outputs)."""
        if self._placed is None:
            await self.reconfigure({})
        assert self._placed is not None  # reconfigure sets it
        return self._replica, await self._placed.score(block, VERSION_DEADLINE_S)

    async def describe(self) -> dict[str, Any]:
        """The manifest that this replica proved, its sha256, and how fast it scores."""
        return {
            "manifest": self._predictor.manifest.model_dump_json().encode(),
            "manifest_sha256": self._predictor.manifest_sha256,
            "rows_per_s": self._rows_per_s(),
            "cost": self._predictor.cost,
        }

    def _rows_per_s(self) -> float:
        """What this replica can score in blocks as the servers send them."""
        n_rows = self._config.batch.max_rows
        return 1000 * n_rows / max(1e-3, self._predictor.cost.of_rows(n_rows))

    async def expect(self, n_replicas: int) -> None:
        """Note how many replicas the coordinator wishes for, before it gives the next share."""
        self._n_wished = n_replicas
        self._wished_until_s = time.monotonic() + WISH_S

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaling policy is told of this replica."""
        is_wished = time.monotonic() < self._wished_until_s
        return {WISHED: float(self._n_wished) if is_wished else 0.0}

    async def ping(self) -> None:
        """Return when this replica can answer."""
