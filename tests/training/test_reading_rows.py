"""Data that may become a version, and data that may not: refusals name field and expectation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from serve_app.contract import ModelSpec
from serve_app.models import get_spec
from training.errors import InvalidData
from training.metrics import mae
from training.models import churn, delivery_time
from training.reading import check, read_csv
from training.table import Table

REAL_ORDERS = Path(__file__).parents[2].parent / "shared" / "data" / "deliveries.csv"
Damage = Callable[[pd.DataFrame], pd.DataFrame]


def put(name: str, value: object, line: int = 7) -> Damage:
    """Put a value into one cell, counted in lines of the file."""

    def damage(rows: pd.DataFrame) -> pd.DataFrame:
        rows[name] = rows[name].astype(object)
        rows.loc[line - 2, name] = value
        return rows

    return damage


CHURN_FAULTS: dict[str, tuple[Damage, list[str]]] = {
    "missing column": (
        lambda rows: rows.drop(columns="nps_score"),
        ["missing columns: nps_score", "expected monthly"],
    ),
    "text": (put("nps_score", "many"), ["nps_score", "'many'", "line 7", "integer from 0 to 10"]),
    "too high": (put("nps_score", 11), ["nps_score", "found 11", "integer from 0 to 10"]),
    "too low": (put("num_team_members", 0), ["num_team_members", "integer from 1 to 100000"]),
    "not above the bound": (put("monthly_spend_usd", 0), ["monthly_spend_usd", "number > 0"]),
    "a number of 400 digits": (
        put("nps_score", "9" * 400),
        ["nps_score", "999…", "integer from 0 to 10"],
    ),
    "fraction": (put("support_tickets_opened", 1.5), ["support_tickets_opened", "1.5", "integer"]),
    "no choice": (
        put("contract_length_months", 3),
        ["contract_length_months", "one of 1, 6, 12, 24"],
    ),
    "empty cell": (
        put("billing_failures", ""),
        ["billing_failures", "no value", "integer from 0 to 100"],
    ),
    "infinity": (put("monthly_spend_usd", "inf"), ["monthly_spend_usd", "inf", "<= 1000000"]),
    "truth values": (
        lambda rows: rows.assign(onboarding_completed=rows["onboarding_completed"] == 1),
        ["onboarding_completed", "found", "integer from 0 to 1"],
    ),
    "foreign target": (put("churned", 2), ["churned", "found 2", "one of 0, 1"]),
    "missing target": (put("churned", ""), ["churned", "found no value in line 7", "one of 0, 1"]),
    "one class": (
        lambda rows: rows.assign(churned=0),
        ["churned", "0 of 1", "expected at least 30 of each"],
    ),
    "too few rows": (lambda rows: rows.head(20), ["found 20 rows", "expected at least 300"]),
}
DELIVERY_FAULTS: dict[str, tuple[Damage, list[str]]] = {
    "unknown day": (put("order_day", "Freitag"), ["order_day", "'Freitag'", "one of Mon, Tue"]),
    "no day": (put("order_day", ""), ["order_day", "no value", "one of Mon, Tue"]),
    "infinite target": (
        put("delivery_minutes", "inf"),
        ["delivery_minutes", "inf", "a finite number"],
    ),
    "missing target": (
        put("delivery_minutes", ""),
        ["delivery_minutes", "line 7", "a finite number"],
    ),
}


@pytest.mark.parametrize("fault", CHURN_FAULTS)
def test_customers_that_break_the_contract_are_refused_with_field_and_expectation(
    fault: str, tmp_path: Path
) -> None:
    """One broken cell or column is enough, and the message says which."""
    damage, words = CHURN_FAULTS[fault]
    _expect_refusal(get_spec("churn"), damage(churn.make_rows(400, 1)), words, tmp_path)


@pytest.mark.parametrize("fault", DELIVERY_FAULTS)
def test_orders_that_break_the_contract_are_refused_with_field_and_expectation(
    fault: str, tmp_path: Path
) -> None:
    """Categories and a regressor's target are checked against the contract too."""
    damage, words = DELIVERY_FAULTS[fault]
    _expect_refusal(
        get_spec("delivery_time"), damage(delivery_time.make_rows(400, 1)), words, tmp_path
    )


def _expect_refusal(spec: ModelSpec, rows: pd.DataFrame, words: list[str], folder: Path) -> None:
    rows.to_csv(folder / "rows.csv", index=False)
    with pytest.raises(InvalidData) as refusal:
        read_csv(folder / "rows.csv", spec, delivery_time.map_columns)
    for word in ["rows.csv", *words]:
        assert word in str(refusal.value)


def test_several_broken_columns_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to train five times to find five faults."""
    rows = put("billing_failures", -1)(put("nps_score", 11)(churn.make_rows(400, 1)))
    _expect_refusal(get_spec("churn"), rows, ["nps_score", "billing_failures"], tmp_path)


def test_a_file_that_is_no_csv_is_refused(tmp_path: Path) -> None:
    """An empty file and an absent one give a reason, not a traceback."""
    (tmp_path / "empty.csv").touch()
    for name in ("empty.csv", "absent.csv"):
        with pytest.raises(InvalidData, match="cannot be read as CSV"):
            read_csv(tmp_path / name, get_spec("churn"), delivery_time.map_columns)


def test_rows_survive_a_csv_file_unchanged(tmp_path: Path, churn_rows: Table) -> None:
    """What was written with our own column names is read as the same table."""
    frame = churn_rows.frame.assign(churned=churn_rows.target.astype(int))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    assert (
        read_csv(tmp_path / "rows.csv", get_spec("churn"), lambda rows: rows).sha256
        == churn_rows.sha256
    )


def test_missing_values_are_kept_where_the_contract_allows_them(loan_rows: Table) -> None:
    """Missing ints and categories are NaN, as pandas reads them; both are null in a golden row."""
    children = loan_rows.frame["n_children"]
    employment = loan_rows.frame["employment"]
    assert 0.05 < children.isna().mean() < 0.15
    assert 0.05 < employment.isna().mean() < 0.15
    row = loan_rows.values(int(np.argmax(children.isna() & employment.isna())))
    assert (row["n_children"], row["employment"]) == (None, None)
    assert isinstance(row["age_years"], int)


def test_the_parts_of_a_table_are_disjoint_and_keep_the_share_of_positives(
    churn_rows: Table,
) -> None:
    """Splitting loses no row, repeats none, and is the same for the same seed."""
    parts = churn_rows.parts((0.6, 0.4), seed=1)
    assert sum(len(part) for part in parts) == len(churn_rows)
    together = pd.concat([part.frame.assign(best=part.best) for part in parts])
    assert sorted(together["best"]) == sorted(churn_rows.best)  # type: ignore[type-var]
    assert abs(parts[0].target.mean() - parts[1].target.mean()) < 0.01
    assert parts[0].sha256 == churn_rows.parts((0.6, 0.4), seed=1)[0].sha256


def test_a_menu_of_foreign_columns_becomes_the_contract_s_own() -> None:
    """Miles become kilometres, item counts a sum and a number of kinds."""
    record = {"time_to_delivery": 16.1, "hour": 11.9, "day": "Thu", "distance": 3.15}
    rows = delivery_time.map_columns(
        pd.DataFrame([{**record, "item_01": 2, "item_02": 0, "item_03": 1}])
    )
    assert rows.iloc[0].to_dict() == {
        "order_hour": 11.9,
        "order_day": "Thu",
        "distance_km": 5.069,
        "n_items": 3,
        "n_distinct_items": 2,
        "delivery_minutes": 16.1,
    }


def test_records_with_a_broken_item_column_are_refused(tmp_path: Path) -> None:
    """The mapping of foreign columns refuses with the file's name, too."""
    (tmp_path / "records.csv").write_text(
        "time_to_delivery,hour,day,distance,item_01\n16,11,Thu,3,two\n"
    )
    with pytest.raises(InvalidData, match=r"records\.csv: its columns cannot be mapped"):
        read_csv(tmp_path / "records.csv", get_spec("delivery_time"), delivery_time.map_columns)


@pytest.mark.skipif(
    not REAL_ORDERS.exists(), reason="the delivery records are not part of the repository"
)
def test_real_orders_are_read_and_foreseen_within_1_55_minutes() -> None:
    """Of 10,012 real orders a fifth is predicted with a mean absolute error of 1.55 minutes."""
    table = read_csv(REAL_ORDERS, get_spec("delivery_time"), delivery_time.map_columns)
    assert len(table) == 10_012
    fitting, holdout = table.parts((0.8, 0.2), seed=1)
    pipeline = delivery_time.pipeline().fit(fitting.frame, fitting.target)
    assert mae(holdout.target, pipeline.predict(holdout.frame)) <= 1.55


def test_a_recipe_s_rows_pass_the_same_checks_as_a_file() -> None:
    """A recipe that leaves its own contract is found at once."""
    with pytest.raises(InvalidData, match="recipe: nps_score"):
        check(churn.make_rows(400, 1).assign(nps_score=11), get_spec("churn"), "recipe")
