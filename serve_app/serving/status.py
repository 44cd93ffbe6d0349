"""What a server says of itself: alive, ready, and which versions stand behind it."""

import asyncio
from functools import cache
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from serve_app.bundle.manifest import File, Metric, RuntimeName
from serve_app.contract import Feature, Kind, Label, ModelSpec
from serve_app.serving.drain import is_draining
from serve_app.serving.member import Opened
from serve_app.serving.versions import Versions

PING_TIMEOUT_S = 2.0
# A candidate that hangs must not hold up the answer: probes often wait for a second only.
CANDIDATE_PING_TIMEOUT_S = 0.25
REASONS = ("config_error", "keys_error")
HIDDEN = "not shown here: the log has it, and a key with the scope admin shows it"


class _Status(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class Health(_Status):
    """Alive, with the stable version that is loaded."""

    status: Literal["healthy"] = "healthy"
    model_loaded: bool
    model_version: str | None


class VersionStatus(_Status):
    """How far one version of the table is, and its share of the traffic."""

    state: Literal["loading", "ready", "failed"]
    detail: str = Field(description="why it is not ready; it is tried again by itself")
    placement: Literal["in_server", "isolated"]
    weight_percent: float
    runtime: RuntimeName | None
    coalesces: bool | None = Field(
        description="whether rows of several requests share a model call"
    )


class Readiness(_Status):
    """Ready when the stable version answers now, and the process was not told to end."""

    ready: bool
    draining: bool = Field(
        default=False, description="told to end: answers still, and wants no more traffic"
    )
    stable: str | None
    versions: dict[str, VersionStatus]
    config_error: str | None = Field(
        description="why the newest table was refused; the last good one stays"
    )
    keys_error: str | None = Field(
        default=None, description="why the newest key file was refused; the last good keys stay"
    )


class VersionFacts(VersionStatus):
    """What the bundle of a loaded version says of it.

    `parameters` make answers of its scores, such as the threshold of its labels.
    """

    manifest_sha256: str | None = None
    created_at: str | None = None
    metrics: dict[str, Metric] = Field(default_factory=dict)
    files: dict[str, File] = Field(default_factory=dict)
    parameters: dict[str, float] = Field(default_factory=dict)


class AllowedFeature(Feature):
    """A field of the contract, with what it may hold in words."""

    allowed_values: str


class Description(_Status):
    """The model, its contract, what it answers, and its versions.

    `classes` of a classifier, of which `positive` is the one whose probability a binary one gives;
    `outputs` of a regressor with several. `targets` are the columns that hold the truth.
    """

    model: str
    title: str
    kind: Kind
    classes: list[Label] = Field(default_factory=list)
    positive: Label | None = None
    outputs: list[str] = Field(default_factory=list)
    targets: list[str] = Field(default_factory=list)
    contract: list[AllowedFeature]
    stable: str | None
    versions: dict[str, VersionFacts]


@cache
def _fields(contract: tuple[Feature, ...]) -> tuple[AllowedFeature, ...]:
    return tuple(AllowedFeature(**f.model_dump(), allowed_values=f.allowed) for f in contract)


@cache
def _encoded_fields(contract: tuple[Feature, ...]) -> bytes:
    return TypeAdapter(tuple[AllowedFeature, ...]).dump_json(_fields(contract))


def contract_of(spec: ModelSpec) -> list[AllowedFeature]:
    """The fields of a model with what they may hold in words; each is made once."""
    return list(_fields(spec.contract))


def encoded(spec: ModelSpec, found: Description) -> bytes:
    """A description of this model as JSON, of which the contract is encoded once.

    Of ten fields with 5,000 choices each it is 655 KB, which took 9 ms each time; anybody may ask.
    """
    rest = found.model_copy(update={"contract": []}).model_dump_json().encode()
    # In a text a quote would stand behind a backslash.
    return rest.replace(b'"contract":[]', b'"contract":' + _encoded_fields(spec.contract), 1)


S = TypeVar("S", Readiness, Description)


def without_reasons(status: S) -> S:
    """The same without its reasons, in which paths of the machine and its stores may stand.

    That there is one is still said.
    """
    hidden: dict[str, Any] = {
        name: HIDDEN for name in REASONS if getattr(status, name, None) is not None
    }
    hidden["versions"] = {
        name: version.model_copy(update={"detail": HIDDEN if version.detail else ""})
        for name, version in status.versions.items()
    }
    return status.model_copy(update=hidden)


def health(versions: Versions) -> Health:
    """Alive: the process answers; `model_loaded` says whether stable is proven."""
    stable = versions.table.stable if versions.table else None
    return Health(
        model_loaded=stable is not None and versions.ready(stable) is not None, model_version=stable
    )


async def readiness(versions: Versions, percent: float = 0.0) -> Readiness:
    """Ask every opened version whether it can answer now, all at the same time.

    An isolated one may have gone since it was opened. Stable has more time than the others, which
    neither delay the answer nor change whether the server is ready. `percent` is what a rollout's
    candidate gets now.
    """
    stable = versions.table.stable if versions.table else None
    found = version_states(versions, percent)
    opened = {name: version for name in found if (version := versions.ready(name)) is not None}
    asked = [
        _answers(version, PING_TIMEOUT_S if name == stable else CANDIDATE_PING_TIMEOUT_S)
        for name, version in opened.items()
    ]
    answers = await asyncio.gather(*asked)
    for name, answered in zip(opened, answers, strict=True):
        if not answered:
            found[name] = found[name].model_copy(
                update={"state": "failed", "detail": "does not answer now"}
            )
    answers_now = stable is not None and stable in found and found[stable].state == "ready"
    draining = is_draining()
    return Readiness(
        ready=answers_now and not draining,
        draining=draining,
        stable=stable,
        versions=found,
        config_error=versions.config_error,
    )


def version_states(versions: Versions, percent: float = 0.0) -> dict[str, VersionStatus]:
    """Every version of the table in force."""
    table = versions.table
    if table is None:
        return {}
    shares = dict.fromkeys(table.names[1:], 0.0) | dict(table.weights)
    if table.rollout is not None:
        shares[table.rollout.candidate] = percent
    shares[table.stable] = round(100 - sum(shares.values()), 6)
    return {
        name: VersionStatus(
            state="ready" if member.opened else member.state,
            detail=member.detail,
            placement=table.entry(name).placement,
            weight_percent=shares[name],
            runtime=member.opened.manifest.runtime if member.opened else None,
            coalesces=member.opened.coalesces if member.opened else None,
        )
        for name, member in versions.members().items()
    }


def description(spec: ModelSpec, versions: Versions, percent: float = 0.0) -> Description:
    """The contract, and for each loaded version its metrics and hashes."""
    return Description(
        model=spec.name,
        title=spec.title,
        kind=spec.kind,
        classes=list(spec.classes),
        positive=spec.positive,
        outputs=list(spec.outputs),
        targets=list(spec.targets),
        contract=contract_of(spec),
        stable=versions.table.stable if versions.table else None,
        versions={
            name: _facts(status, versions.ready(name))
            for name, status in version_states(versions, percent).items()
        },
    )


def _facts(status: VersionStatus, opened: Opened | None) -> VersionFacts:
    if opened is None:
        return VersionFacts(**status.model_dump())
    manifest = opened.manifest
    return VersionFacts(
        **status.model_dump(),
        manifest_sha256=opened.manifest_sha256,
        created_at=manifest.created_at,
        metrics=manifest.metrics,
        files=manifest.files,
        parameters=dict(manifest.parameters),
    )


async def _answers(opened: Opened, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await opened.scorer.ping()
    except Exception:
        # Whatever a version raises says that it does not answer.
        return False
    return True
