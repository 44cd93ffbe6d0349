"""`sluice replay`: what another version would have answered to what was asked.

The rows are a sample of the prediction log (`log/sample`), stable's answers those that were given;
the comparison and its page are those of `sluice diff`.
"""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words, say_error
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
    from serve_app.commands.diff.comparison import Diff
    from serve_app.contract import ModelSpec
    from serve_app.monitoring.log.place import LogPlace

MOST_ROWS = 100_000


def replay(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] VERSION",
            help="The model, such as churn; the version that scores what was asked.",
        ),
    ],
    last: LastOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="VERSION", help="Whose answers; else of who answered most."
        ),
    ] = None,
    rows: Annotated[
        int,
        typer.Option("--rows", min=1, max=10_000_000, help="So many at most, drawn evenly."),
    ] = MOST_ROWS,
    fail_on: Annotated[
        str | None,
        typer.Option(
            "--fail-on", metavar="LIMITS", help="For CI, as of `sluice diff`: flips=1%,slower=1.5x."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    log: LogOption = None,
    store: StoreOption = STORE,
    model: ModelOption = None,
    config: ConfigOption = CONFIG,
) -> None:
    """Score what was asked with another version: flips, shift, worst slices, speed.

    Its scores are compared with the answers that were given, as the prediction log has them.

    Exit code 1: it breaks clients; 2: log or bundle cannot be read, or a limit cannot be judged.
    Limits of --fail-on: 5: flips; 6: shift; 7: slower; of several the lowest.
    """
    from serve_app.bundle.stores import open_store
    from serve_app.commands.diff.limits import exit_code, judge, parse_limits
    from serve_app.commands.diff.page import as_json, show
    from serve_app.commands.terminal import Terminal
    from serve_app.errors import SluiceError
    from serve_app.models import get_spec

    with errors_in_words(SluiceError):
        limits = () if fail_on is None else parse_limits(fail_on)
        named, [version] = take_model(words, 1, model, config)
        place = log_place(named, log, config)
        spec = get_spec(named)
        found, said = replayed(
            open_store(store), spec, version, place, since_of(last), against, rows
        )
    judged = judge(found, limits)
    if json:
        typer.echo(as_json(found, judged))
    else:
        show(found, Terminal(markup=False, highlight=False, emoji=False))
    typer.echo(said, err=True)
    for one in judged:
        if one.code:
            say_error(one.said)
    code = exit_code(found, judged)
    if code:
        raise typer.Exit(code)


def replayed(
    store: "Store",
    spec: "ModelSpec",
    version: str,
    place: "LogPlace",
    since: datetime | None,
    against: str | None,
    most_rows: int,
) -> tuple["Diff", str]:
    """The comparison on logged rows, and how many there were of how many.

    Rows without a field that the version takes are left out, and said. Raises PredictionLogError
    for a log without any other, and BundleError.
    """
    from serve_app.bundle.predictor import Predictor
    from serve_app.bundle.verified import read_manifest
    from serve_app.commands.diff.comparison import CsvShift, compare, comparison_of
    from serve_app.commands.diff.scoring import Scored, columns_of, score_with
    from serve_app.commands.diff.shift import shift
    from serve_app.commands.log.sample import draw, scores_of
    from serve_app.contract.block import Layout
    from serve_app.errors import PredictionLogError
    from serve_app.monitoring.log.reading import logged

    manifest, _ = read_manifest(store, spec.name, version)
    fields = [feature.name for feature in manifest.contract]
    sample = draw(logged(place, spec.name, since), spec, since, most_rows, against, fields)
    if against is None and sample.n_answered:
        against = sample.n_answered.most_common(1)[0][0]
    rows = sample.of(against or "")
    n_partial = sample.n_partial[against or ""]
    lacking = ", ".join(sorted(sample.lacking.get(against or "", ())))
    if n_partial and not rows:
        raise PredictionLogError(
            f"{place.uri}: has no values of {lacking}, which {version} takes: "
            "`log.leave_out` or `log.hashed` keeps them out, or no row had them yet"
        )
    if against is None or not rows:
        answered = ", ".join(f"{name}: {n:,}" for name, n in sample.n_answered.items() if n)
        raise PredictionLogError(
            f"{place.uri}: found no row of {spec.name}"
            + (f" that {against} answered" if against else "")
            + f", expected at least one; rows by version: {answered or 'none'}"
        )
    plain = [row.row for row in rows]
    seconds = 0.0

    def on_rows(stable: Predictor, candidate: Predictor) -> CsvShift:
        nonlocal seconds
        begin_s = time.perf_counter()
        scores = score_with(candidate, plain)
        seconds = time.perf_counter() - begin_s
        sliced_by = tuple(
            feature for feature in spec.contract if all(feature.name in row for row in plain)
        )
        columns = columns_of(sliced_by, [Layout(sliced_by).block(plain)])
        scored = Scored(scores_of(rows, spec.n_scores), scores, columns)
        found = shift(scored, comparison_of(spec, stable, candidate))
        return CsvShift("logged rows", (), found, None)

    diff = compare(store, spec, against, version, on_rows=on_rows)
    n_whole = sample.n_answered[against] - n_partial
    drawn = "all" if len(rows) == n_whole else "drawn evenly"
    said = (
        f"{len(rows):,} of {n_whole:,} logged rows that {against} answered, {drawn}; "
        f"{version} scored them in {seconds:.1f} s"
    )
    if n_partial:
        said += (
            f"; {n_partial:,} more are not compared, since they lack {lacking}, which {version} "
            "takes"
        )
    return diff, said
