"""`user_config` of a deployment: how it behaves. It is changed live."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from serve_app.bundle.manifest import Sha256, Version
from serve_app.settings.prediction_log import LogOptions
from serve_app.settings.rollout import Rollout
from serve_app.settings.setting import Setting

Coalesce = Literal["auto", "always", "never"]


class Batch(Setting):
    """How rows are coalesced where a model call is expensive."""

    max_rows: Annotated[int, Field(ge=1, le=100_000, description="most rows in one model call")] = (
        256
    )
    wait_ms: Annotated[
        float, Field(ge=0, le=1_000, description="how long a batch may wait to fill")
    ] = 2.0


class VersionConfig(Setting):
    """`user_config` of an isolated version."""

    coalesce: Annotated[Coalesce, Field(description="auto: by the cost measured at load")] = "auto"
    batch: Annotated[Batch, Field(description="how blocks of several servers are merged")] = Batch()


class VersionEntry(Setting):
    """One version of the table."""

    weight_percent: Annotated[
        float, Field(ge=0, le=100, description="share of the routing keys")
    ] = 0.0
    placement: Annotated[
        Literal["in_server", "isolated"],
        Field(description="inside the server, or an application of its own"),
    ] = "in_server"
    coalesce: Annotated[Coalesce, Field(description="auto: by the cost measured at load")] = "auto"
    manifest_sha256: Annotated[
        Sha256 | None, Field(description="pin: use this manifest and no other")
    ] = None


class Limits(Setting):
    """What one server replica accepts, and how long an answer may take."""

    max_rows: Annotated[int, Field(ge=1, le=100_000, description="most rows in one request")] = 100
    max_body_kb: Annotated[int, Field(ge=1, le=102_400, description="largest body")] = 1_024
    body_timeout_s: Annotated[int, Field(ge=1, le=600, description="body later than this: 408")] = 5
    max_rows_under_way: Annotated[int, Field(ge=1, description="rows under way before 429")] = 5_000
    max_wait_ms: Annotated[
        int,
        Field(ge=1, le=60_000, description="work that waits before a request; more is 429"),
    ] = 100
    retry_after_s: Annotated[int, Field(ge=1, le=3_600, description="Retry-After of a 429")] = 1
    deadline_ms: Annotated[
        int, Field(ge=1, le=600_000, description="from request to answer, or 504")
    ] = 2_000
    candidate_deadline_ms: Annotated[
        int, Field(ge=1, le=600_000, description="after this stable answers for a candidate")
    ] = 150
    ready_timeout_s: Annotated[
        int,
        Field(ge=1, le=3_600, description="how long a new replica waits for an isolated stable"),
    ] = 60


class Table(Setting):
    """`user_config` of a server: the versions, who is stable, and what the server accepts."""

    stable: Annotated[Version, Field(description="the version that answers by default")]
    versions: Annotated[
        dict[Version, VersionEntry],
        Field(description="the versions; stable's weight is what the others leave"),
    ] = Field(default_factory=dict)
    batch: Annotated[Batch, Field(description="how rows are coalesced")] = Batch()
    limits: Annotated[Limits, Field(description="what one replica accepts")] = Limits()
    log: Annotated[LogOptions, Field(description="what the prediction log keeps")] = LogOptions()
    rollout: Annotated[
        Rollout | None, Field(description="let a candidate in by steps instead of by weights")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _take_stable(cls, values: Any) -> Any:
        """A rollout names stable, so the table need not say it again."""
        rollout = values.get("rollout") if isinstance(values, dict) else None
        if isinstance(rollout, dict) and "stable" not in values and "stable" in rollout:
            return {**values, "stable": rollout["stable"]}
        return values

    @model_validator(mode="after")
    def _check_rollout(self) -> "Table":
        if self.rollout is None:
            return self
        if self.stable != self.rollout.stable:
            raise ValueError(
                f"rollout.stable: found {self.rollout.stable}, expected the table's stable "
                f"{self.stable}"
            )
        for name, weight in self.weights:
            if weight:
                raise ValueError(
                    f"versions.{name}.weight_percent: the rollout decides who gets what; remove it"
                )
        return self

    @model_validator(mode="after")
    def _check_weights(self) -> "Table":
        if self.entry(self.stable).weight_percent:
            raise ValueError(
                f"versions.{self.stable}.weight_percent: stable takes what the others leave; "
                "remove it"
            )
        # Rounded: 50.7 + 21.1 + 28.2 is 100.00000000000001 in floating point.
        total = round(sum(weight for _, weight in self.weights), 6)
        if total > 100:
            raise ValueError(
                f"versions: found weights of {total:g} % in all, expected at most 100 %"
            )
        if self.limits.candidate_deadline_ms >= self.limits.deadline_ms:
            raise ValueError(
                "limits.candidate_deadline_ms: expected less than deadline_ms, so that stable can "
                "answer in time"
            )
        return self

    def entry(self, version: str) -> VersionEntry:
        """A version's entry; stable needs none in the file."""
        return self.versions.get(version, VersionEntry())

    @property
    def names(self) -> tuple[str, ...]:
        """All versions, stable first."""
        candidate = {self.rollout.candidate} if self.rollout else ()
        return (
            self.stable,
            *(name for name in dict.fromkeys((*self.versions, *candidate)) if name != self.stable),
        )

    @property
    def weights(self) -> tuple[tuple[str, float], ...]:
        """(version, percent) of all but stable, in the order of the file."""
        return tuple(
            (name, entry.weight_percent)
            for name, entry in self.versions.items()
            if name != self.stable
        )
