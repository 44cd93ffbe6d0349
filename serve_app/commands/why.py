"""`sluice why`: one answer, what it was made of, and whether it comes out again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serve_app.commands.exit_codes import ExitCode, errors_in_words, say_error
from serve_app.commands.log.options import LastOption, LogOption, log_place, since_of
from serve_app.commands.target import (
    CONFIG,
    STORE,
    ConfigOption,
    ModelOption,
    StoreOption,
    take_model,
)

if TYPE_CHECKING:
    from serve_app.bundle.store import Store
    from serve_app.contract import ModelSpec
    from serve_app.monitoring.log.line import Line


@dataclass(frozen=True)
class Why:
    """What is known of an answer.

    `scores` are those that were answered, None in place of each that failed, and `again` those that
    the bundle gives now; None where the log lacks a field. `fault` says why it is not the same
    answer, and is empty when it is.
    """

    id: str
    at: str
    version: str
    assigned: str
    outcome: str
    ms: float
    application: str
    server: str
    key: str
    manifest_sha256: str
    made_at: str
    runtime: str
    training_data_sha256: str
    row: dict[str, Any]
    hashed: dict[str, Any]
    answer: dict[str, Any] | None
    scores: list[float | None]
    again: list[float | None] | None
    largest_difference: float | None
    tolerance: float
    fault: str


def why(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] PREDICTION_ID",
            help="The model, such as churn; the prediction_id of an answer.",
        ),
    ],
    last: LastOption = None,
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    log: LogOption = None,
    store: StoreOption = STORE,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Find an answer in the prediction log, and show that the same one comes out again.

    Exit code 1: another one comes out; 2: it is not in the log, the log lacks a field, or the
    version cannot be opened.
    """
    from pydantic_core import to_json

    from serve_app.bundle.stores import open_store
    from serve_app.errors import PredictionLogError, SluiceError
    from serve_app.models import get_spec
    from serve_app.monitoring.log.reading import logged

    with errors_in_words(SluiceError):
        named, [prediction_id] = take_model(words, 1, model, config)
        spec = get_spec(named)
        place = log_place(named, log, config)
        for line in logged(place, spec.name, since_of(last), holding=prediction_id):
            if prediction_id in line.ids:
                break
        else:
            raise PredictionLogError(
                f"{place.uri}: found no {prediction_id!r} of {spec.name}; expected the "
                "prediction_id of an answer that is kept: log.sample_percent and log.keep_days "
                "say which are"
            )
        found = explained(open_store(store), spec, line, line.ids.index(prediction_id))
    if json:
        typer.echo(to_json(vars(found), indent=2, inf_nan_mode="null").decode())
    else:
        _show(found, spec.name)
    if found.fault:
        say_error(found.fault)
        raise typer.Exit(ExitCode.REFUSED if found.again is not None else ExitCode.UNREADABLE)


def explained(store: "Store", spec: "ModelSpec", line: "Line", i: int) -> Why:
    """Row `i` of a line, scored again by the version that answered. Raises BundleError."""
    import numpy as np

    from serve_app.bundle.loading import open_version
    from serve_app.bundle.tolerance import differing
    from serve_app.bundle.verified import read_manifest
    from serve_app.commands.diff.scoring import score_with
    from serve_app.contract.block import has_failed
    from serve_app.monitoring.log.reading import rows_of, time_of

    manifest, digest = read_manifest(store, spec.name, line.version)
    [row] = rows_of(line, spec.contract)[i : i + 1]
    logged_scores = line.scores[i : i + 1]
    missing = [feature.name for feature in manifest.contract if feature.name not in row]
    again = None
    largest = None
    faults = []
    # First, since it is the reason of what follows.
    if line.manifest_sha256 not in ("", digest):
        faults.append(
            f"{store.uri}: {spec.name} {line.version} is another bundle now: found manifest "
            f"{digest}, expected {line.manifest_sha256}, which answered"
        )
    if missing:
        faults.append(
            f"the log has no value of {', '.join(missing)} (log.leave_out, log.hashed): whether "
            "the same answer comes out cannot be told"
        )
    else:
        opened = open_version(store, spec, manifest, digest, is_pinned=False)
        again = score_with(opened, [row])
        gaps = np.abs(again - logged_scores)
        largest = float(np.nanmax(gaps)) if np.isfinite(gaps).any() else None
        threshold = spec.threshold_of(manifest.parameters)
        if differing(again, logged_scores, manifest.tolerance, threshold, manifest.kind).any():
            faults.append(
                f"another answer comes out: found {_numbers(again)}, expected "
                f"{_numbers(logged_scores)} within {manifest.tolerance:g}"
            )
    answer = None
    if not has_failed(logged_scores).any():
        score = logged_scores[0].tolist()
        answer = spec.answer(score, manifest.parameters).model_dump(mode="json")
    return Why(
        id=line.ids[i],
        at=time_of(line.at_us[i]).isoformat(timespec="milliseconds"),
        version=line.version,
        assigned=line.assigned[i],
        outcome=line.outcomes[i],
        ms=line.ms[i],
        application=line.application,
        server=line.server,
        key=line.keys[i],
        manifest_sha256=line.manifest_sha256 or digest,
        made_at=manifest.created_at,
        runtime=manifest.runtime,
        training_data_sha256=manifest.training_data_sha256,
        row=row,
        hashed={name: line.features[name][i] for name in line.hashed if name in line.features},
        answer=answer,
        scores=_numbers(logged_scores),
        again=None if again is None else _numbers(again),
        largest_difference=largest,
        tolerance=manifest.tolerance,
        fault="; ".join(faults),
    )


def _numbers(scores: Any) -> list[float | None]:
    """The scores of one row."""
    return [None if value != value else value for value in scores.reshape(-1).tolist()]


def _show(found: Why, model: str) -> None:
    from pydantic_core import to_json

    from serve_app.commands.diff.cells import table_of
    from serve_app.commands.terminal import Terminal

    def text(value: Any) -> str:
        return to_json(value, inf_nan_mode="null").decode()

    table = table_of(f"prediction {found.id}", "", "")
    who = f"{model} {found.version}"
    if found.assigned != found.version:
        who += f" in place of {found.assigned}"
    table.add_row("answered", f"{found.at} by {who}, in {found.ms:g} ms ({found.outcome})")
    table.add_row("server", f"{found.server} of {found.application}")
    table.add_row("routing key", f"{found.key} (hash)")
    table.add_row("version", f"made {found.made_at}, {found.runtime}")
    table.add_row("manifest_sha256", found.manifest_sha256)
    table.add_row("training data", found.training_data_sha256)
    table.add_row("row", text(found.row))
    if found.hashed:
        table.add_row("hashed", text(found.hashed))
    table.add_row("answer", text(found.answer))
    table.add_row("scores", text(found.scores))
    table.add_row("again", "cannot be told" if found.again is None else text(found.again))
    console = Terminal(markup=False, highlight=False, emoji=False)
    console.print(table)
    if not found.fault:
        gap = found.largest_difference
        by = "no row either time" if gap is None else f"largest difference {gap:.3g}"
        console.print(
            f"The same answer comes out again ({by}, tolerance {found.tolerance:g}).", style="green"
        )
