"""Opening a version: its pin, its contract, its placement. Knows neither Ray nor HTTP."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from serve_app.bundle.loading import kind_fault
from serve_app.bundle.manifest import parse
from serve_app.bundle.pin import fits_pin
from serve_app.bundle.predictor import UNKNOWN_COST, Cost, Predictor
from serve_app.contract import ModelSpec, differences
from serve_app.errors import PASSING, BundleError, NotReady
from serve_app.serving.member import Opened, Scorer
from serve_app.settings import Batch, Coalesce, Table, VersionEntry, application_of

logger = logging.getLogger(__name__)

DESCRIBE_TIMEOUT_S = 10.0
POLL_S = 0.5


class InServerScorer(Scorer, Protocol):
    """A version in this process."""

    coalesces: bool


def opened_when_possible(
    load: Callable[[], Predictor], waits_s: Iterable[float], sleep: Callable[[float], None]
) -> Predictor:
    """Load a version that a process is for; what passes is waited for, as in Versions.start.

    `waits_s` never ends. Raises every other error of `load`.
    """
    for wait_s in waits_s:
        try:
            return load()
        except PASSING as error:
            logger.warning("the version is waited for: %s", error)
        sleep(wait_s)
    raise ValueError("waits_s: found an end, expected none")


@dataclass(frozen=True)
class Described:
    """What an isolated version says of itself: the manifest that it proved, and how fast one
    replica scores.
    """

    manifest: bytes
    manifest_sha256: str
    rows_per_s: float
    cost: Cost = UNKNOWN_COST


class Application(Protocol):
    """An isolated version, reached by the name of its application."""

    async def describe(self) -> Described:
        """Who it says it is.

        Raises whatever its caller's library raises, or hangs, while it is not there.
        """

    def scorer(self, batch: Batch) -> Scorer:
        """A way to score with it; called after `describe` has answered."""


class Opening:
    """Opens the versions of one model.

    `load(version, pin)` verifies, opens and proves a bundle; it is called in a thread. `in_server`
    places what was loaded in this process, and `application` finds an isolated version by its
    application's name. An application is asked every `poll_s` seconds, each time for at most
    `timeout_s`: the first call to one that failed to deploy can hang.
    """

    def __init__(
        self,
        spec: ModelSpec,
        load: Callable[[str, str | None], Predictor],
        in_server: Callable[[Predictor, Coalesce, Batch], InServerScorer],
        application: Callable[[str], Application],
        *,
        timeout_s: float = DESCRIBE_TIMEOUT_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._spec = spec
        self._load = load
        self._in_server = in_server
        self._application = application
        self._timeout_s = timeout_s
        self._poll_s = poll_s

    async def open(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        """The version as its entry in the table asks for it.

        Raises BundleError for a version that must not serve, and NotReady for an application that
        does not answer. Nothing can fail once a scorer is made, so no scorer is left behind.
        """
        if entry.placement == "isolated":
            return await self._open_isolated(version, entry, table)
        return await self._open_in_server(version, entry, table)

    async def _open_in_server(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        predictor = await asyncio.to_thread(self._load, version, entry.manifest_sha256)
        scorer = self._in_server(predictor, entry.coalesce, table.batch)
        return Opened(
            predictor.manifest,
            predictor.manifest_sha256,
            scorer,
            coalesces=scorer.coalesces,
            at_once=not scorer.coalesces,
        )

    async def _open_isolated(self, version: str, entry: VersionEntry, table: Table) -> Opened:
        name = application_of(self._spec.name, version)
        application = self._application(name)
        # A new replica waits for the stable version alone; for a candidate, stable answers
        # meanwhile.
        patience_s = table.limits.ready_timeout_s if version == table.stable else 0
        found = await self._described(application, name, patience_s)
        # In a thread, as every other one. That helps a little: pydantic holds the lock of the
        # interpreter meanwhile, and only what comes after it lets others run between.
        manifest = await asyncio.to_thread(parse, found.manifest, name)
        if not fits_pin(entry.manifest_sha256, found.manifest_sha256):
            raise BundleError(
                f"{name}: expected manifest {entry.manifest_sha256}, found {found.manifest_sha256}"
            )
        kind = kind_fault(self._spec, manifest)
        faults = [kind] if kind else differences(self._spec.contract, manifest.contract)
        if faults:
            raise BundleError(f"{name}: does not fit the contract: " + "; ".join(faults))
        return Opened(
            manifest,
            found.manifest_sha256,
            application.scorer(table.batch),
            coalesces=True,
            rows_per_s=found.rows_per_s,
        )

    async def _described(self, application: Application, name: str, patience_s: float) -> Described:
        """Who an application says it is, asked again for as long as the patience lasts.

        Raises NotReady.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + patience_s
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await application.describe()
            except Exception as error:
                if loop.time() >= until_s:
                    raise NotReady(
                        f"application {name} does not answer ({type(error).__name__})"
                    ) from None
            await asyncio.sleep(self._poll_s)
