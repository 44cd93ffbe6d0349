"""A server refuses a table that does not go with the contract of its model."""

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.cluster.server import Server
from serve_app.errors import SettingsError
from serve_app.settings import ServerArgs

ROLLOUT = {"stable": "1.0.0", "candidate": "1.1.0"}


class KeptTables:
    """Stands in for the versions of a server, whose table is in force already or not."""

    def __init__(self, table: Any = None) -> None:
        self.table = table
        self.refused = ""

    async def start(self, table: Any) -> None:
        """Put the first table in force."""
        self.table = table

    def refuse(self, error: str) -> None:
        """Note why a table is not put in force."""
        self.refused = error

    def change(self, table: Any) -> None:
        """Put another table in force."""
        self.table = table


def server(versions: KeptTables) -> Server:
    """Return a server of churn over these versions."""
    parts: Any = SimpleNamespace(versions=versions, describe=dict)
    return Server(lambda args, coordinator: parts, ServerArgs(model="churn"), None)


async def test_slices_by_fields_that_no_row_has_are_refused_with_those_that_are_known() -> None:
    """The first table keeps the replica from getting ready; of a later one the old one stays."""
    wrong = {"rollout": {**ROLLOUT, "slice_by": ["nps_score", "contract_length"]}}
    expected = "user_config.rollout.slice_by: found contract_length, expected fields of the "
    with pytest.raises(SettingsError, match=expected):
        await server(KeptTables()).reconfigure(wrong)
    versions = KeptTables("before")
    await server(versions).reconfigure(wrong)
    assert versions.table == "before"
    assert "contract_length_months" in versions.refused
    await server(versions).reconfigure({"rollout": {**ROLLOUT, "slice_by": ["nps_score"]}})
    assert versions.table.rollout.slice_by == ("nps_score",)


async def test_what_goes_on_for_ever_begins_with_the_first_table() -> None:
    """Metrics, heartbeat and the key file: each of them once, whatever tables come."""
    begun: list[str] = []

    class Proven(KeptTables):
        async def start(self, table: Any) -> None:
            self.change(table)

    def note(name: str) -> Any:
        async def forever() -> None:
            begun.append(name)

        return forever

    parts: Any = SimpleNamespace(
        versions=Proven(),
        describe=lambda: begun.append("description"),
        export_forever=note("metrics"),
        heartbeat=SimpleNamespace(beat_forever=note("heartbeat")),
        follow_keys_forever=note("keys"),
    )
    one = Server(lambda args, coordinator: parts, ServerArgs(model="churn"), None)
    for _ in range(2):
        await one.reconfigure({"stable": "1.0.0"})
        await asyncio.sleep(0)
    assert sorted(begun) == ["description", "heartbeat", "keys", "metrics"]


async def test_what_a_server_has_loaded_at_the_start_is_no_garbage_to_look_through() -> None:
    """A collection of all objects would hold up every request; what comes later is collected."""

    async def once() -> None:
        """Stands in for what a server does forever."""

    versions = KeptTables()
    heartbeat = SimpleNamespace(beat_forever=once)
    parts: Any = SimpleNamespace(
        versions=versions,
        describe=dict,
        heartbeat=heartbeat,
        export_forever=once,
        follow_keys_forever=once,
    )
    made = Server(lambda args, coordinator: parts, ServerArgs(model="churn"), None)
    gc.unfreeze()
    try:
        await made.reconfigure({"stable": "1.0.0"})
        n_spared = gc.get_freeze_count()
        assert n_spared > 10_000
        await made.reconfigure({"stable": "1.0.0"})
        assert gc.get_freeze_count() <= n_spared
    finally:
        gc.unfreeze()
    await asyncio.sleep(0)


async def test_fields_that_a_log_cannot_leave_out_or_hash_are_refused() -> None:
    """A typing error would write what nobody should find."""
    wrong = {"stable": "1.0.0", "log": {"leave_out": ["nps_scor"]}}
    with pytest.raises(
        SettingsError, match=r"user_config\.log\.leave_out: found nps_scor, expected"
    ):
        await server(KeptTables()).reconfigure(wrong)
    versions = KeptTables("before")
    await server(versions).reconfigure({"stable": "1.0.0", "log": {"hashed": ["nps_score"]}})
    assert versions.table == "before"
    assert "expected fields of text" in versions.refused
