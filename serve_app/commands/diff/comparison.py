"""Two versions of a model side by side: contracts, metrics, scores of the same rows, speed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serve_app.bundle.loading import open_version
from serve_app.bundle.manifest import MANIFEST, Metric
from serve_app.bundle.predictor import Predictor
from serve_app.bundle.store import Store
from serve_app.bundle.verified import read_manifest
from serve_app.commands.diff.csv_rows import BadRow, CsvError, Row, read_labelled_rows
from serve_app.commands.diff.fields import Change, changes
from serve_app.commands.diff.labelled import Labels, Quality
from serve_app.commands.diff.scoring import golden_rows, score_both
from serve_app.commands.diff.shift import Shift, shift
from serve_app.contract import ModelSpec, differences
from serve_app.statistics.disagreement import AnswerKind, Comparison

__all__ = ["CsvShift", "Diff", "Side", "compare", "comparison_of"]


@dataclass(frozen=True)
class Side:
    """One version by itself.

    `refused` says why a server with this code's contract would refuse it, and is empty when it
    would not. `model_bytes` is the file that serving opens. `call_ms` is for one row and `row_ms`
    for each further one in the same call, measured just now on this machine.
    """

    version: str
    manifest_sha256: str
    training_data_sha256: str
    runtime: str
    refused: tuple[str, ...]
    model_bytes: int
    bundle_bytes: int
    call_ms: float
    row_ms: float


@dataclass(frozen=True)
class MetricPair:
    """A metric of both versions, each from its own hold-out.

    None where a version was not measured by it.
    """

    name: str
    stable: Metric | None
    candidate: Metric | None

    @property
    def overlap(self) -> bool | None:
        """True when the intervals share a value, which does not prove that both are as good."""
        if self.stable is None or self.candidate is None:
            return None
        return self.stable.low <= self.candidate.high and self.candidate.low <= self.stable.high


@dataclass(frozen=True)
class CsvShift:
    """The shift on the rows of a file or of a log, and the rows that the contract refuses.

    `path` names where they are from. `quality` is None where the file has no labels.
    """

    path: str
    bad_rows: tuple[BadRow, ...]
    shift: Shift
    quality: Quality | None


# The shift on rows from elsewhere, by stable and candidate.
OnRows = Callable[[Predictor, Predictor], CsvShift]


@dataclass(frozen=True)
class Diff:
    """Two versions of a model side by side.

    `target` names what is predicted, with several outputs each of them. `answers` says what an
    answer is: a label, a class, an anomaly, a value or outputs.
    """

    model: str
    kind: str
    target: str
    answers: AnswerKind
    stable: Side
    candidate: Side
    changes: tuple[Change, ...]
    metrics: tuple[MetricPair, ...]
    golden: Shift
    csv: CsvShift | None

    @property
    def broken(self) -> tuple[str, ...]:
        """Why the candidate cannot replace stable, a reason a line; empty when nothing breaks."""
        lines = [
            f"{change.field} {change.kind}: {change.reason}"
            for change in self.changes
            if change.breaks
        ]
        if self.candidate.refused and not lines:
            lines.append(f"a server with this code's contract refuses {self.candidate.version}")
        n_stable_only = self.golden.n_stable_only
        if self.csv is not None:
            n_stable_only += self.csv.shift.n_stable_only
        if n_stable_only and not lines:
            lines.append(f"rows that only {self.stable.version} can score: {n_stable_only}")
        return tuple(lines)


def compare(
    store: Store,
    spec: ModelSpec,
    stable: str,
    candidate: str,
    csv: Path | None = None,
    on_rows: OnRows | None = None,
) -> Diff:
    """Open both versions and lay them side by side, also on the rows of a file, or `on_rows`.

    They are proven as a server would, whatever fields they take. Raises BundleError for a version
    that cannot be opened, CsvError for a file without a usable row.
    """
    if csv is not None:
        on_rows = partial(_on_csv, csv, spec)
    before = _open(store, spec, stable)
    after = _open(store, spec, candidate)
    comparison = comparison_of(spec, before, after)
    return Diff(
        model=spec.name,
        kind=spec.kind,
        target=spec.target or ", ".join(spec.outputs),
        answers=comparison.kind,
        stable=_side(store, spec, before),
        candidate=_side(store, spec, after),
        changes=changes(before.manifest.contract, after.manifest.contract),
        metrics=_metrics(before.manifest.metrics, after.manifest.metrics),
        golden=shift(score_both(golden_rows(before, after), before, after), comparison),
        csv=on_rows(before, after) if on_rows is not None else None,
    )


def _open(store: Store, spec: ModelSpec, version: str) -> Predictor:
    return open_version(store, spec, *read_manifest(store, spec.name, version), is_pinned=False)


def _side(store: Store, spec: ModelSpec, opened: Predictor) -> Side:
    manifest = opened.manifest
    sizes = {name: file.size_bytes for name, file in manifest.files.items()}
    return Side(
        version=manifest.version,
        manifest_sha256=opened.manifest_sha256,
        training_data_sha256=manifest.training_data_sha256,
        runtime=manifest.runtime,
        refused=tuple(differences(spec.contract, manifest.contract)),
        model_bytes=sizes[manifest.model_file],
        bundle_bytes=sum(sizes.values()) + len(store.read(spec.name, manifest.version, MANIFEST)),
        call_ms=opened.cost.call_ms,
        row_ms=opened.cost.row_ms,
    )


def _metrics(stable: dict[str, Metric], candidate: dict[str, Metric]) -> tuple[MetricPair, ...]:
    return tuple(
        MetricPair(name, stable.get(name), candidate.get(name)) for name in {**stable, **candidate}
    )


def _on_csv(path: Path, spec: ModelSpec, stable: Predictor, candidate: Predictor) -> CsvShift:
    bad: list[BadRow] = []
    labels = Labels(spec)

    def good() -> Iterator[Row]:
        for row in read_labelled_rows(path, spec):
            if isinstance(row, BadRow):
                bad.append(row)
            else:
                labels.add(row)
                yield row.row

    scored = score_both(good(), stable, candidate, spec.contract)
    found = shift(scored, comparison_of(spec, stable, candidate))
    if not found.n_rows:
        first = f"; line {bad[0].line}: {bad[0].reason}" if bad else ""
        raise CsvError(
            f"{path}: found no row that fits the contract of {spec.name}, "
            f"expected at least one{first}"
        )
    parameters = (stable.manifest.parameters, candidate.manifest.parameters)
    return CsvShift(str(path), tuple(bad), found, labels.quality(scored, parameters))


def comparison_of(spec: ModelSpec, stable: Predictor, candidate: Predictor) -> Comparison:
    """How the answers of two versions are compared, by the parameters of both bundles."""
    return Comparison.of(spec, stable.manifest.parameters, candidate.manifest.parameters)
