"""A contender: how it starts, where it answers, how rows go in and probabilities come out."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.place import Place
from benchmarks.question import Rows, encode

Group = Literal["sluice", "ray", "fastapi", "peer"]
Answers = Callable[[bytes], list[float]]


@dataclass(frozen=True)
class Launch:
    """What starts a contender."""

    command: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dialect:
    """How rows are written into a request, and probabilities read from an answer.

    `path` is by number of rows.
    """

    path: Callable[[int], str]
    body: Callable[[Rows], bytes]
    answers: Answers
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """One way to serve a bundle of churn.

    `launch` gets the place and the bundle. `prepare` installs what it needs, and raises Skipped
    with the reason when it cannot.
    """

    name: str
    title: str
    group: Group
    launch: Callable[[Place, Path], Launch]
    dialect: Dialect
    prepare: Callable[[], None] = lambda: None


def one_or_list(rows: Rows) -> bytes:
    """Write one row as an object, several as a list."""
    return encode(rows[0] if len(rows) == 1 else rows)


def churn_answers(body: bytes) -> list[float]:
    """Read the probabilities of Sluice's answers: one object, or `predictions` with one each."""
    answer: Any = json.loads(body)
    entries = answer.get("predictions", [answer])
    return [float(entry["churn_probability"]) for entry in entries]


SLUICE = Dialect(
    lambda n_rows: "/v1/predict" if n_rows == 1 else "/v1/predict/batch", one_or_list, churn_answers
)
