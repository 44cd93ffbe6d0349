"""Every knob of serve_config.yaml that is ours: typed, bounded, the unit in the name.

`args` of an application say what it is and never change in operation (Ray restarts replicas when they do);
`user_config` of a deployment says how it behaves, and is changed live.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)

from serve_app.bundle.manifest import Sha256, Version
from serve_app.errors import SettingsError

PUBLIC_KEY_PATTERN = r"^[A-Za-z0-9+/]{43}=$"
COORDINATOR_CPUS = (
    0.01  # what Ray reserves: more than nothing, which keeps it off a head node without CPUs
)


def application_of(model: str, version: str) -> str:
    """The name of the application that holds an isolated version: `churn-1.1.0`."""
    return f"{model}-{version}"


class Setting(BaseModel):
    """Base of all settings: strict, so that a typing error is an error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


# Which manifests may be used: signed by one of these. `sluice keygen` prints a key.
PublicKey = Annotated[str, Field(pattern=PUBLIC_KEY_PATTERN)]
PublicKeys = Annotated[
    tuple[PublicKey, ...],
    Field(
        strict=False,
        max_length=20,
        description="Ed25519 keys; when set, only bundles signed by one of them serve",
    ),
]


class ServerArgs(Setting):
    """`args` of `serve_app.app:server`."""

    model: Annotated[str, Field(description="a name of the registry serve_app/models")]
    store: Annotated[
        str, Field(description="folder or URI of the bundles; MODEL_PATH overrides it")
    ] = "model_store"
    state: Annotated[
        str,
        Field(
            min_length=1, description="folder or URI of the rollouts' logs; STATE_PATH overrides it"
        ),
    ] = "rollout_state"
    public_keys: PublicKeys = ()


class VersionArgs(Setting):
    """`args` of `serve_app.app:version`, an isolated version."""

    model: Annotated[str, Field(description="a name of the registry serve_app/models")]
    store: Annotated[
        str, Field(description="folder or URI of the bundles; MODEL_PATH overrides it")
    ] = "model_store"
    version: Annotated[Version, Field(description="the version that this application holds")]
    manifest_sha256: Annotated[
        Sha256 | None, Field(description="pin: serve this manifest and no other")
    ] = None
    public_keys: PublicKeys = ()


Coalesce = Literal["auto", "always", "never"]


class Batch(Setting):
    """How rows are coalesced where a model call is dear."""

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


Step = Annotated[  # scored beside and never answered, or percent; tagged, so that a wrong one is told once
    Annotated[Literal["shadow"], Tag("shadow")]
    | Annotated[float, Field(gt=0, le=100), Tag("percent")],
    Discriminator(lambda step: "shadow" if isinstance(step, str) else "percent"),
]


class Guardrails(Setting):
    """What a candidate may do worse than stable before the judge puts it out."""

    max_error_ratio: Annotated[float, Field(ge=1, le=100, description="its errors to stable's")] = (
        1.5
    )
    max_slow_ratio: Annotated[
        float, Field(ge=1, le=100, description="its slow answers to stable's")
    ] = 1.5
    slow_ms: Annotated[
        float, Field(ge=1, le=600_000, description="an answer that takes longer is slow")
    ] = 200.0
    max_disagreement_percent: Annotated[
        float,
        Field(ge=0, le=100, description="shadow: pairs in which it answers otherwise than stable"),
    ] = 10.0
    alpha: Annotated[
        float,
        Field(
            ge=1e-6,
            le=0.2,
            description="most probability of putting out a candidate that keeps the rails",
        ),
    ] = 0.01


class Rollout(Setting):
    """How a candidate is let in, step by step."""

    stable: Annotated[
        Version, Field(description="the version that answers now, and again after an abort")
    ]
    candidate: Annotated[Version, Field(description="the version that is let in")]
    steps: Annotated[
        tuple[Step, ...],
        Field(
            strict=False,
            min_length=1,
            max_length=20,
            description="`shadow` (first only), then rising percents",
        ),
    ] = ("shadow", 1.0, 5.0, 25.0, 50.0, 100.0)
    min_seconds: Annotated[
        int, Field(ge=1, le=2_592_000, description="least time in a step below 100 %")
    ] = 300
    min_requests: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000_000,
            description="least requests of the candidate in a step; in shadow: pairs",
        ),
    ] = 300
    bake_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=2_592_000,
            description="how long stable stays loaded after 100 %, for a rollback",
        ),
    ] = 3_600
    guardrails: Annotated[Guardrails, Field(description="what the judge tests")] = Guardrails()
    run: Annotated[
        int, Field(ge=1, le=1_000_000, description="raise it to begin anew, as `start` does")
    ] = 1

    @model_validator(mode="after")
    def _check(self) -> "Rollout":
        if self.candidate == self.stable:
            raise ValueError(
                f"candidate: found {self.candidate}, which is stable; expected another version"
            )
        if "shadow" in self.steps[1:]:
            raise ValueError(
                "steps: shadow comes first or not at all, since nobody is answered in it"
            )
        percents = [step for step in self.steps if step != "shadow"]
        if any(low >= high for low, high in pairwise(percents)):
            raise ValueError(
                f"steps: found {', '.join(f'{p:g}' for p in percents)}, expected each above the one before"
            )
        return self

    @property
    def id(self) -> str:
        """Names the plan, not its run: `1.0.0-1.1.0-3f9a2c41`. Another step or guardrail is another rollout.

        Defaults are left out of the digest, so that a knob added later does not begin every rollout anew. Versions
        are cut: with `-run<n>` it stays under the 64 bytes of salt that traffic.assign looks at.
        """
        plan = json.dumps(
            self.model_dump(mode="json", exclude={"run"}, exclude_defaults=True), sort_keys=True
        )
        return f"{self.stable[:20]}-{self.candidate[:20]}-{hashlib.sha256(plan.encode()).hexdigest()[:8]}"


class Table(Setting):
    """`user_config` of a server: the versions, who is stable, and what the server accepts."""

    stable: Annotated[Version, Field(description="the version that answers by default")]
    versions: Annotated[
        dict[Version, VersionEntry],
        Field(description="the versions held; stable's weight is what the others leave"),
    ] = Field(default_factory=dict)
    batch: Annotated[Batch, Field(description="how rows are coalesced")] = Batch()
    limits: Annotated[Limits, Field(description="what one replica accepts")] = Limits()
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
                f"rollout.stable: found {self.rollout.stable}, expected the table's stable {self.stable}"
            )
        if weighted := [name for name, weight in self.weights if weight]:
            raise ValueError(
                f"versions.{weighted[0]}.weight_percent: the rollout decides who gets what; remove it"
            )
        return self

    @model_validator(mode="after")
    def _check_weights(self) -> "Table":
        if self.entry(self.stable).weight_percent:
            raise ValueError(
                f"versions.{self.stable}.weight_percent: stable takes what the others leave; remove it"
            )
        # Rounded: 50.7 + 21.1 + 28.2 is 100.00000000000001 in floating point.
        if (total := round(sum(weight for _, weight in self.weights), 6)) > 100:
            raise ValueError(
                f"versions: found weights of {total:g} % in all, expected at most 100 %"
            )
        if self.limits.candidate_deadline_ms >= self.limits.deadline_ms:
            raise ValueError(
                "limits.candidate_deadline_ms: expected less than deadline_ms, so that stable can answer in time"
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


S = TypeVar("S", bound=Setting)


def parse_settings(kind: type[S], values: Mapping[str, Any] | None, place: str) -> S:
    """Settings from YAML. Raises SettingsError with one line for each fault: place, and what was expected."""
    found: Any = {} if values is None else values
    try:
        return kind.model_validate(dict(found) if isinstance(found, Mapping) else found)
    except ValidationError as error:
        raise SettingsError("\n".join(fault_lines(error, kind, place))) from None


def fault_lines(error: ValidationError, kind: type[BaseModel], place: str) -> list[str]:
    """One line a fault, naming the key and its place."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        where = ".".join([place, *(str(part) for part in fault["loc"] if part != "[key]")])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(_keys_at(kind, fault["loc"][:-1])) or "none"
            lines.append(f"{where}: unknown key; expected one of: {known}")
        else:
            lines.append(f"{where}: {fault['msg'].removeprefix('Value error, ')}")
    return lines


def _keys_at(kind: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that a nested setting has."""
    for part in path:
        field = kind.model_fields.get(str(part))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            kind = inner
        elif part == "versions":
            kind = VersionEntry
    return list(kind.model_fields)
