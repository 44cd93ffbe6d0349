"""Temporary: opening a version."""

import asyncio
from typing import Any

from ray import serve

from serve_app.bundle.manifest import parse
from serve_app.bundle.predictor import load
from serve_app.cluster.placements import InServerVersion, IsolatedVersion
from serve_app.contract import differences
from serve_app.errors import BundleError, NotReady
from serve_app.serving.versions import Opened
from serve_app.settings import Table, VersionEntry, application_of

DESCRIBE_TIMEOUT_S = 10.0
POLL_S = 0.5


class Opener:
    def __init__(self, spec: Any, store: Any, public_keys: Any) -> None:
        self._spec, self._store, self._public_keys = spec, store, public_keys

    async def open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        if entry.placement == "isolated":
            return await self._open_isolated(version, entry, table)
        pin, keys = entry.manifest_sha256, self._public_keys
        predictor = await asyncio.to_thread(load, self._store, self._spec, version, pin, keys)
        held = InServerVersion(predictor, entry.coalesce, table.batch)
        return Opened(
            predictor.manifest, predictor.manifest_sha256, held, held.coalesces, not held.coalesces
        )

    async def _open_isolated(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        application = application_of(self._spec.name, version)
        handle, facts = await _describe(
            application, table.limits.ready_timeout_s if version == table.stable else 0
        )
        manifest = parse(facts["manifest"], application)
        pin = entry.manifest_sha256
        if pin is not None and pin != facts["manifest_sha256"]:
            raise BundleError(
                f"{application}: expected manifest {pin}, found {facts['manifest_sha256']}"
            )
        if lines := differences(self._spec.contract, manifest.contract):
            raise BundleError(f"{application}: does not fit the contract: " + "; ".join(lines))
        scorer = IsolatedVersion(
            handle, table.batch.max_rows, lambda: table.limits.deadline_ms / 1000
        )
        return Opened(
            manifest,
            facts["manifest_sha256"],
            scorer,
            coalesces=True,
            rows_per_s=facts["rows_per_s"],
        )


async def _describe(application: str, patience_s: float) -> tuple[Any, dict[str, Any]]:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + patience_s
    while True:
        try:
            async with asyncio.timeout(DESCRIBE_TIMEOUT_S):
                handle: Any = await asyncio.to_thread(serve.get_app_handle, application)
                return handle, await handle.describe.remote()
        except Exception as error:
            if loop.time() >= until_s:
                raise NotReady(
                    f"application {application} does not answer ({type(error).__name__})"
                ) from None
        await asyncio.sleep(POLL_S)
