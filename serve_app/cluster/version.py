"""The Ray class of one version isolated in an application of its own."""

import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from ray import serve

from serve_app.bundle.predictor import Predictor, load
from serve_app.bundle.store import open_store, served_uri
from serve_app.cluster.logs import log_to_ray
from serve_app.cluster.placements import InServerVersion
from serve_app.contract.block import Block, Scores
from serve_app.errors import SettingsError
from serve_app.models import get_spec
from serve_app.scaling import WISHED
from serve_app.settings import VersionConfig, parse_settings

logger = logging.getLogger(__name__)

# What is isolated is slow: on a node whose cores are busy, servers and the proxy go first.
NICENESS = 10
# How long a wish counts that is not repeated.
WISH_S = 10.0
# The callers' own deadlines are shorter; this one only ends what nobody waits for.
VERSION_DEADLINE_S = 600.0


class Version:
    """One version by itself: its own processes, CPUs and crashes. Reached by a handle, never by HTTP."""

    def __init__(
        self,
        model: str,
        version: str,
        store: str,
        manifest_sha256: str | None,
        public_keys: Sequence[str],
    ) -> None:
        os.nice(NICENESS)
        source = open_store(served_uri(store), cached=True)
        self._predictor: Predictor = load(
            source, get_spec(model), version, manifest_sha256, public_keys
        )
        self._replica = serve.get_replica_context().replica_id.unique_id
        self._config = VersionConfig()
        self._wish = 0, 0.0
        self._held: InServerVersion | None = None
        log_to_ray()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """How blocks of several servers are merged; a wrong one is refused and the last good one stays."""
        try:
            config = parse_settings(VersionConfig, user_config, "user_config")
        except SettingsError as error:
            if self._held is None:
                raise
            logger.error("user_config refused, the last good one stays: %s", error)
            return
        self._config = config
        self._held = InServerVersion(self._predictor, config.coalesce, config.batch)

    async def score(self, block: Block) -> tuple[str, Scores]:
        """This replica's name and (n_rows,) scores."""
        if self._held is None:
            await self.reconfigure({})
        assert self._held is not None  # the line above sets it
        return self._replica, await self._held.score(block, VERSION_DEADLINE_S)

    async def describe(self) -> dict[str, Any]:
        """The manifest that this replica proved, and its sha256."""
        return {
            "manifest": self._predictor.manifest.model_dump_json().encode(),
            "manifest_sha256": self._predictor.manifest_sha256,
            "rows_per_s": self._rows_per_s(),
        }

    def _rows_per_s(self) -> float:
        """What this replica can score in blocks as the servers send them."""
        n_rows = self._config.batch.max_rows
        return 1000 * n_rows / max(1e-3, self._predictor.cost.of_rows(n_rows))

    async def expect(self, n_replicas: int) -> None:
        """The coordinator wishes for this many replicas, before it gives this version its next share."""
        self._wish = n_replicas, time.monotonic() + WISH_S

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What the autoscaling policy is told of this replica."""
        n_replicas, until_s = self._wish
        return {WISHED: float(n_replicas) if time.monotonic() < until_s else 0.0}

    async def ping(self) -> None:
        """Returns when this replica can answer."""
