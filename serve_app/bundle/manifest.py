"""`manifest.json`: what a bundle holds, what it accepts, and the answers that it must reproduce.

To change the format: raise FORMAT, keep reading the old one as long as such bundles are served, and
add a line to CHANGELOG.md.
"""

import hashlib
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from serve_app.bundle.call import LEGACY, LEGACY_CALLS, PipelineCall
from serve_app.bundle.runtimes.registry import ONNX, RUNTIMES, SKLEARN, record_of, runtime_fault
from serve_app.contract import Feature, Kind, Label
from serve_app.contract.plain_text import control_fault
from serve_app.errors import BundleError

# 2: how the pipeline is called, what it refuses, tolerance and classes stand in the manifest.
# 3: references say all that drift is measured against, and scores have references too.
FORMAT: Literal[3] = 3
MANIFEST = "manifest.json"
COMPILED = ONNX.file
PIPELINE = SKLEARN.file
REPORT = "report.html"
# Next to the bundle and no part of it: it comes later, and more than one key may sign.
SIGNATURE = "manifest.sig"

# Not `\d`, which is any script's digits.
_NUMBER = "(0|[1-9][0-9]*)"
VERSION_PATTERN = rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-[0-9A-Za-z.-]+)?$"
Version = Annotated[str, Field(pattern=VERSION_PATTERN, max_length=40)]
# Never a path.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
# Of a number: training makes 20 at most.
MOST_BINS = 100


def _listed(name: str) -> str:
    fault = runtime_fault(name)
    if fault:
        raise ValueError(fault)
    return name


RuntimeName = Annotated[
    str,
    AfterValidator(_listed),
    WithJsonSchema({"type": "string", "enum": list(RUNTIMES)}),
]

# Fields with values of rows, which may hold any character.
DATA = ("row", "value", "values", "choices", "classes", "positive", "missing_value")

# Of bundles of format 1, which do not name theirs.
OLD_TOLERANCE: dict[str, float] = {"binary_classifier": 1e-5, "regressor": 1e-3}


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, protected_namespaces=())


class File(_Record):
    """One file of the bundle."""

    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]


class Metric(_Record):
    """A number measured on the hold-out, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


class Reference(_Record):
    """How a feature was distributed in training, in bins that stay frozen.

    Numbers: `edges` are the inner edges, `counts` has one entry more. Categories: `counts` goes
    with `values`.

    From format 3 on `n_missing` is there, in rows, and with it what drift is measured against:
    `minimum` and `maximum` of numbers; `n_unlisted` rows of an open text that is not in `values`;
    of dates the rows in each month, (12,) from January, and on each weekday, (7,) from Monday.
    """

    share_missing: Annotated[float, Field(ge=0, le=1)]
    counts: list[int]
    edges: list[float] | None = None
    values: list[str] | None = None
    n_missing: Count | None = None
    n_unlisted: Count = 0
    minimum: float | None = None
    maximum: float | None = None
    months: Annotated[list[Count], Field(min_length=12, max_length=12)] | None = None
    weekdays: Annotated[list[Count], Field(min_length=7, max_length=7)] | None = None

    @model_validator(mode="after")
    def _check_bins(self) -> "Reference":
        """Refuse bins that cannot be counted; older formats were never looked at so."""
        if self.n_missing is None:
            return self
        names = self.values if self.values is not None else [*(self.edges or ()), 0.0]
        if len(self.counts) != len(names) or (self.values is None) == (self.edges is None):
            raise ValueError("expected either values or edges, and a count for each bin")
        if self.edges is not None and len(names) > MOST_BINS:
            raise ValueError(f"expected at most {MOST_BINS} bins")
        if not all(low < high for low, high in pairwise(self.edges or ())):
            raise ValueError("expected edges that increase")
        return self


class GoldenRow(_Record):
    """A row and what the fitted pipeline gave it: a score, one for each output, or None.

    None: the pipeline refuses this row, so every runtime has to. Dates are ISO texts.
    """

    row: dict[str, bool | int | float | str | None]
    score: float | list[float] | None


class Refusal(_Record):
    """A value that the contract allows and the pipeline refuses: such a row is an error row.

    `value` None: a missing one.
    """

    field: str
    value: bool | int | float | str | None
    reason: str


class Module(_Record):
    """A module that is not of a known library, and that opening the pipeline needs.

    `version` is that of the distribution `distribution`, where the module belongs to one; else
    `sha256` is of its sources.
    """

    distribution: str | None = None
    version: str | None = None
    sha256: Sha256 | None = None


class Manifest(_Record):
    """Everything that is known of a version without opening its model.

    `tolerance` is how far a score may lie from the fitted pipeline's, in the score's own unit.
    `libraries` has every library that opening the model needs, by its distribution's name, and
    `modules` what else the pickle needs, by its import name. `score_references` has how the scores
    of the hold-out were distributed: by the name of each output, or `class` or `score`.
    """

    format: Literal[1, 2, 3]
    model: str
    version: Version
    kind: Kind
    runtime: RuntimeName
    runtime_reason: str
    features: list[Feature]
    references: dict[str, Reference]
    parameters: dict[str, float]
    metrics: dict[str, Metric]
    training_data_sha256: Sha256
    n_training_rows: Annotated[int, Field(ge=0)]
    created_at: str
    libraries: dict[str, str]
    files: dict[FileName, File]
    golden_rows: Annotated[list[GoldenRow], Field(min_length=1)]
    call: PipelineCall = LEGACY
    classes: list[Label] = Field(default_factory=list)
    positive: Label | None = None
    outputs: list[str] = Field(default_factory=list)
    tolerance: float = 0.0
    refusals: list[Refusal] = Field(default_factory=list)
    modules: dict[str, Module] = Field(default_factory=dict)
    score_references: dict[str, Reference] = Field(default_factory=dict)
    # What a person should know of this version, a sentence each.
    notes: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _complete_format_1(self) -> "Manifest":
        if self.format == 1:
            object.__setattr__(self, "call", LEGACY_CALLS.get(self.kind, LEGACY))
            object.__setattr__(self, "tolerance", OLD_TOLERANCE.get(self.kind, 0.0))
        return self

    @property
    def contract(self) -> tuple[Feature, ...]:
        """The fields that this version takes, in order."""
        return tuple(self.features)

    @property
    def model_file(self) -> str:
        """The one file that serving opens."""
        return record_of(self.runtime).file


def made_at(created_at: str | None) -> datetime | None:
    """When a bundle was made, by `created_at`; None for what is no time.

    Whoever made the bundle wrote it, and it serves all the same.
    """
    try:
        made = datetime.fromisoformat(created_at or "")
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def sha256_of(data: bytes) -> str:
    """The digest used for files, manifests and pins."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes, where: str) -> Manifest:
    """A manifest from bytes. Raises BundleError naming the first fault."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        reason = first["msg"].removeprefix("Value error, ")
        raise BundleError(
            f"{where}/{MANIFEST}: {place}: {reason}; expected "
            f"a manifest of format 1 to {FORMAT}. Train or bundle this version again."
        ) from None
    _require_plain(manifest.model_dump(), where)
    return manifest


def _require_plain(fields: dict[str, Any], where: str) -> None:
    """Raises BundleError for a name or a sentence with a character that a terminal would obey.

    Values of a row are left alone: they are as the data has them.
    """
    # A name, and what stands there: a dictionary or a list.
    waiting: list[tuple[str, Any]] = [
        (name, [part]) for name, part in fields.items() if name not in DATA
    ]
    while waiting:
        place, found = waiting.pop()
        names: list[str] = []
        parts = found
        if isinstance(found, dict):
            names = list(found)
            parts = [part for name, part in found.items() if name not in DATA]
        waiting += [(place, part) for part in parts if isinstance(part, dict | list)]
        # As one text: a million of them one by one would take a second.
        fault = control_fault("".join(names + [part for part in parts if isinstance(part, str)]))
        if fault:
            raise BundleError(
                f"{where}/{MANIFEST}: {place}: found the control character {fault}, expected plain "
                "text. Train or bundle this version again."
            )
