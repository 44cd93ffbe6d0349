"""`python -m training retrain`: the next version, if it is needed, and how it is let in."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from serve_app.bundle.push import listed
from serve_app.bundle.store import Store
from serve_app.bundle.stores import open_store
from serve_app.commands import rollout_client as client
from serve_app.commands.exit_codes import ExitCode, errors_in_words
from serve_app.commands.log.options import LastOption, LogOption, log_place, since_of
from serve_app.commands.monitor import AgeOption, DaysOption, UrlOption, asked, lines
from serve_app.commands.target import (
    CONFIG,
    STORE,
    ConfigOption,
    ModelOption,
    Served,
    StoreOption,
    choose,
    find_target,
    read_config,
    servers_of,
    take_model,
)
from serve_app.contract import ModelSpec
from serve_app.errors import PredictionLogError, SettingsError
from serve_app.models import get_spec
from serve_app.monitoring.retraining_limits import LIMITS
from serve_app.monitoring.retraining_verdict import Outcome, RetrainingVerdict, Seen
from serve_app.rollout.state import DONE
from training.bundling import Written
from training.reading import check, read_csv
from training.recipe import Training, get_training
from training.retraining.against_stable import AgainstStable, against_stable
from training.retraining.label_files import read_labels
from training.retraining.logged_rows import labelled_rows
from training.retraining.next_version import (
    next_version,
    require_own,
    rollout_block,
    too_old,
    untried,
)
from training.run import Step, holdout_of, require_trainable, train_on
from training.table import Table

# Shows the steps of what it is given, then its outcome.
Run = Callable[[Callable[[Step], Written]], None]


@dataclass(frozen=True)
class Source:
    """Where the rows come from: label files and the log, or a CSV file."""

    labels: list[str]
    data: Path | None
    log: str | None
    last: str | None
    config: Path

    def require_one(self) -> None:
        """Refuse none of the two, and both. Raises SettingsError."""
        if bool(self.labels) == (self.data is not None):
            found = "both" if self.labels else "neither"
            raise SettingsError(
                f"retrain: found {found} of --labels and --data, expected one: labels of logged "
                "predictions, or a CSV file with the target's column"
            )


def add_retrain(app: typer.Typer, run: Run) -> None:
    """Add the command to `app`; `run` shows the steps of the work, and ends it when refused."""

    @app.command("retrain")
    def retrain(
        words: Annotated[
            list[str] | None, typer.Argument(metavar="[MODEL]", help="The model, such as churn.")
        ] = None,
        labels: Annotated[
            list[str] | None,
            typer.Option(
                "--labels",
                envvar="LABELS_PATH",
                help="CSV with prediction_id and actual, as of `sluice label`: a file or an "
                "s3://, gs://, az:// URI; repeatable. Joined with the prediction log.",
            ),
        ] = None,
        data: Annotated[
            Path | None, typer.Option("--data", help="CSV file to train on, in place of the log.")
        ] = None,
        if_needed: Annotated[
            bool, typer.Option("--if-needed", help="Only where `sluice monitor` says so.")
        ] = False,
        version: Annotated[
            str | None, typer.Option("--version", help="In place of the next minor version.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", help="File for the rollout's YAML, else shown only.")
        ] = None,
        last: LastOption = None,
        log: LogOption = None,
        url: UrlOption = None,
        max_age_days: AgeOption = LIMITS.most_age_days,
        least_days: DaysOption = LIMITS.least_days,
        store: StoreOption = STORE,
        model: ModelOption = None,
        config: ConfigOption = CONFIG,
    ) -> None:
        """Train the next version on logged rows with labels, or on a CSV, and push it to the store.

        It passes the gates of every training, and proves itself. Exit code 1: refused, with the
        reason; 2: server or log cannot be read; 20: the data is at fault, and nothing was trained.
        """
        with errors_in_words(client.Unreachable, PredictionLogError):
            source = Source(labels or [], data, log, last, config)
            source.require_one()
            if out is not None:
                require_own(out)
            named, _ = take_model(words or [], 0, model, config)
            spec = get_spec(named)
            training = get_training(named)
            bundles = open_store(store)
            answering: str | None = None
            asking_days: int | None = None
            served = _served(named, config)
            delay_days = None if served is None else served.label_delay_days
            if if_needed:
                where = find_target(url, named, config).url
                seen, verdict = asked(where, spec.name, max_age_days, least_days)
                _require_need(seen, verdict, where, bundles, spec)
                answering = seen.version
                asking_days = verdict.asking_days
                if seen.label_delay_days is not None:
                    delay_days = seen.label_delay_days
            stable, pin = _stable(answering, served, bundles, spec)
            number = version or next_version(bundles.versions(spec.name))
            require_trainable(training, spec, number, bundles)
            table, said = _read(source, named, spec, training, asking_days, delay_days)

        def work(step: Step) -> Written:
            written = train_on(training, spec, number, bundles, table, said, step)
            if stable is not None:
                step(f"Comparing with {stable}")
                holdout = holdout_of(spec, table)
                against = against_stable(bundles, spec, stable, written, holdout, pin)
                blocks.append(_block(written, stable, against, config))
            return written

        # None for the first version of a model, which needs no rollout.
        blocks: list[str] = []
        run(work)
        for block in blocks:
            _let_in(block, out)


def _require_need(
    seen: Seen, verdict: RetrainingVerdict, url: str, store: Store, spec: ModelSpec
) -> None:
    """Say the verdict, and end the command where nothing is to be trained."""
    for line in lines(seen, verdict):
        typer.echo(line)
    if verdict.outcome is Outcome.DATA_FAULT:
        raise typer.Exit(ExitCode.DATA_FAULT)
    if verdict.outcome is Outcome.FINE:
        raise typer.Exit(ExitCode.OK)
    wait = _under_way(url) or untried(
        (manifest for manifest, _ in listed(store, spec.name)), seen.version, datetime.now(UTC)
    )
    _wait(wait)


def _wait(why: str) -> None:
    """End the command where something stands in the way."""
    if why:
        typer.echo(f"nothing is trained: {why}")
        raise typer.Exit(ExitCode.OK)


def _under_way(url: str) -> str:
    """Which rollout has to end first; empty: none."""
    try:
        view = client.status(url)
    except client.NoRolloutYet:
        return ""
    if view.status in DONE:
        return ""
    return f"the rollout of {view.candidate} is {view.status}"


def _served(model: str, config: Path) -> Served | None:
    """What the file says of the model's server; None without a file, or without the model in it."""
    with suppress(SettingsError):
        return choose(servers_of(read_config(config)), model, config)
    return None


def _stable(
    answering: str | None, served: Served | None, store: Store, spec: ModelSpec
) -> tuple[str | None, str | None]:
    """The version that answers, and the pin of it in the file.

    It is the one that a server told, else the file's, else the newest one of the store.
    """
    named = pin = None
    if served is not None:
        named, pin = served.stable, served.pin
    found = listed(store, spec.name)
    stable = answering or named or (found[-1][0].version if found else None)
    return stable, pin if stable == named else None


def _read(
    source: Source,
    model: str,
    spec: ModelSpec,
    training: Training,
    asking_days: int | None,
    delay_days: float | None,
) -> tuple[Table, str]:
    """The checked rows, and what the report says of where they come from.

    Ends the command where too few of the log are of the window that asked.
    """
    if source.data is not None:
        return read_csv(source.data, spec, training.map_columns, training.csv), source.data.name
    labels = read_labels(source.labels, spec)
    place = log_place(model, source.log, source.config)
    found = labelled_rows(place, spec, labels, since_of(source.last), delay_days)
    typer.echo(found.said)
    now = datetime.now(UTC)
    _wait(too_old(found.at_us, asking_days, now, LIMITS.least_labels, delay_days or 0.0))
    return check(found.frame, spec, f"{place.uri} with labels"), "prediction log with labels"


def _block(written: Written, stable: str, against: AgainstStable, config: Path) -> str:
    """The rollout that lets the new version in."""
    manifest = written.manifest
    return rollout_block(
        manifest.model, stable, manifest.version, written.manifest_sha256, config, against
    )


def _let_in(block: str, out: Path | None) -> None:
    """Show a rollout, and write it where a file is named."""
    if out is None:
        typer.echo(f"\n{block}", nl=False)
        return
    out.write_text(block, encoding="utf-8")
    typer.echo(f"written: {out}")
