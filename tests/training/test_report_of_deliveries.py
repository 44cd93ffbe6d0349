"""`sluice report` on deliveries: trained on the early ones of a day, asked about the late ones."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from logging_server import LoggingServer, answered
from typer.testing import CliRunner

from serve_app.bundle.loading import load
from serve_app.bundle.store import FolderStore
from serve_app.commands.main import app
from serve_app.models import get_spec
from training.models.delivery_time import make_rows, map_columns
from training.recipe import get_training
from training.run import train

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "deliveries.csv"
SPEC = get_spec("delivery_time")
# Of the day: the records end at nine in the evening.
EVENING_HOUR = 17.0


def real_rows() -> pd.DataFrame:
    """The records, with the names of the contract."""
    return map_columns(pd.read_csv(REAL))


def made_rows() -> pd.DataFrame:
    """Orders of the recipe, which always are there; those of the evening go further."""
    rows = make_rows(6_000, 5).drop(columns="best_score")
    is_late = rows["order_hour"] >= EVENING_HOUR
    rows.loc[is_late, "distance_km"] += 2.5
    return rows


@pytest.mark.parametrize(
    ("rows_of", "differing"),
    [
        pytest.param(
            real_rows,
            {"order_hour", "score"},
            marks=pytest.mark.skipif(not REAL.exists(), reason="no records next to the project"),
            id="records",
        ),
        pytest.param(made_rows, {"order_hour", "distance_km", "score"}, id="recipe"),
    ],
)
def test_the_report_names_what_differs_between_the_times_of_day(
    rows_of: Callable[[], pd.DataFrame], differing: set[str], tmp_path: Path
) -> None:
    """The hour of course, and how long they take; the basket is the same, and is not named."""
    rows = rows_of()
    is_late = rows["order_hour"] >= EVENING_HOUR
    rows[~is_late].to_csv(tmp_path / "early.csv", index=False)
    store = FolderStore(tmp_path / "store")
    training = replace(get_training(SPEC.name), at_least={}, at_most={})
    train(training, SPEC, "1.0.0", store, tmp_path / "early.csv")
    predictor = load(store, SPEC, "1.0.0")
    names = [feature.name for feature in SPEC.contract]
    late = rows.loc[is_late, names].head(3_000).to_dict("records")
    server = LoggingServer(SPEC, tmp_path / "log", manifest=predictor.manifest_sha256)
    told = answered(SPEC, late, [0.0] * len(late))
    assert told.block is not None
    told.scores = predictor.score(told.block)
    server.write(told)
    server.finish()
    page = tmp_path / "page.html"
    words = ["report", SPEC.name, "--log", server.place.uri, "--store", store.uri, "--out"]
    found = CliRunner().invoke(app, [*words, str(page)])
    assert found.exit_code == 0, found.output
    text = page.read_text()
    said = text[text.index("What stands out") : text.index("<h2>Traffic")]
    named = {name for name in (*names, "score") if f"<li>{name}: " in said}
    assert named == differing, said
    for name in differing:
        assert f"{name} has drifted" in text
    assert f"{len(late):,}" in text
