"""`rollout` of a table: how a candidate is let in, and what puts it out."""

import hashlib
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from serve_app.bundle.manifest import Version
from serve_app.contract import Feature
from serve_app.settings.setting import Setting

# Shadow, or a percentage. Tagged, so that a wrong one is told once and not for each kind.
Step = Annotated[
    Annotated[Literal["shadow"], Tag("shadow")]
    | Annotated[float, Field(gt=0, le=100), Tag("percent")],
    Discriminator(lambda step: "shadow" if isinstance(step, str) else "percent"),
]

URL = re.compile(r"https?://[^\s/?#@]+([/?#]\S*)?")
# What happens to a rollout, in its log; `notify` says which of them are told.
EventKind = Literal[
    "claimed",
    "started",
    "entered",
    "paused",
    "resumed",
    "promoted",
    "held",
    "aborted",
    "finished",
    "rolled_back",
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
        float,
        Field(
            ge=1,
            le=600_000,
            description="a good answer that takes longer is slow; below candidate_deadline_ms",
        ),
    ] = 100.0
    max_p95_ratio: Annotated[
        float,
        Field(
            ge=1,
            le=100,
            description="the 95th percentile of its answer times to stable's; beyond it is held",
        ),
    ] = 2.0
    max_disagreement_percent: Annotated[
        float,
        Field(ge=0, le=100, description="shadow: pairs in which it answers otherwise than stable"),
    ] = 10.0
    max_loss_ratio: Annotated[
        float,
        Field(ge=1, le=100, description="its mean loss on labels to stable's"),
    ] = 1.1
    alpha: Annotated[
        float,
        Field(
            ge=1e-6,
            le=0.2,
            description="most probability of putting out a candidate that keeps the rails",
        ),
    ] = 0.01


class Notify(Setting):
    """Who is told of a rollout's events."""

    url: Annotated[
        str,
        Field(max_length=2_000, description="http or https: every event is posted there as JSON"),
    ]
    events: Annotated[
        tuple[EventKind, ...],
        Field(strict=False, min_length=1, max_length=10, description="the kinds that are told"),
    ] = ("entered", "held", "aborted", "finished", "rolled_back")
    secret_env: Annotated[
        str,
        Field(
            pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
            max_length=100,
            description="the coordinator's variable that holds the secret to sign with; empty: "
            "not signed",
        ),
    ] = ""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        # What was found is not repeated: the path of a webhook is often a secret.
        if not URL.fullmatch(url):
            raise ValueError(
                "expected http:// or https:// with a host, without user and password, such as "
                "https://hooks.example.com/sluice"
            )
        return url


def unknown_slices(slice_by: Iterable[str], contract: Iterable[Feature]) -> str:
    """Say what of `slice_by` is no field of the contract, and what could be; empty: all are."""
    known = [feature.name for feature in contract]
    unknown = [name for name in slice_by if name not in known]
    if not unknown:
        return ""
    return f"found {', '.join(unknown)}, expected fields of the contract: {', '.join(known)}"


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
            description="least requests of the candidate in a step; in shadow: those that it was "
            "asked to score",
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
    keep_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="how long a server keeps a share below 100 % that hears no coordinator; "
            "then the log decides, or stable answers",
        ),
    ] = 60
    guardrails: Annotated[Guardrails, Field(description="what the judge tests")] = Guardrails()
    slice_by: Annotated[
        tuple[str, ...],
        Field(
            strict=False,
            max_length=3,
            description="fields of the contract: a candidate that fails one of their slices is "
            "held",
        ),
    ] = ()
    notify: Annotated[
        Notify | None, Field(description="who is told of its events; nobody by default")
    ] = None
    run: Annotated[
        int, Field(ge=1, le=1_000_000, description="raise it to begin again, as `start` does")
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
        if len(set(self.slice_by)) < len(self.slice_by):
            raise ValueError(f"slice_by: found {', '.join(self.slice_by)}, expected each once")
        percents = [step for step in self.steps if step != "shadow"]
        if any(low >= high for low, high in pairwise(percents)):
            raise ValueError(
                f"steps: found {', '.join(f'{p:g}' for p in percents)}, expected each above the "
                "one before"
            )
        return self

    @property
    def id(self) -> str:
        """Names the plan, not its run nor who is told: `1.0.0-1.1.0-3f9a2c41`.

        Another step or guardrail is another rollout. Defaults are left out of the digest, so that a
        knob added later does not begin every rollout again. Versions are cut: with `-run<n>` it
        stays under the 64 bytes of salt that `assign` looks at.
        """
        plan = json.dumps(
            self.model_dump(mode="json", exclude={"run", "notify"}, exclude_defaults=True),
            sort_keys=True,
        )
        digest = hashlib.sha256(plan.encode()).hexdigest()
        return f"{self.stable[:20]}-{self.candidate[:20]}-{digest[:8]}"
