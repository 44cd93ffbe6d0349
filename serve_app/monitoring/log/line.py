"""A line of the log: rows that one version answered, as one JSON object of columns.

Half a second of answers is written at a time, from their matrices: a row costs a third of what it
costs as an object of its own, and takes half the room
(docs/decisions/054-a-log-of-columns.md). Features stand as in a block: truth values are 0 and 1,
dates are microseconds since 1970, and a missing text is empty.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from pydantic_core import to_json

from serve_app.contract.block import Block, Layout, Scores
from serve_app.monitoring.log.heard import Kept
from serve_app.settings import LogOptions

# To change the format: raise FORMAT, and keep reading the old one.
FORMAT = 1
# While a line is written nobody else runs in the process: a millisecond at most.
MOST_CELLS = 10_000
# What a row has next to its fields: id, time and so on.
N_OWN = 8
ANSWERED = "answered"
# Stable answered for the version that was assigned.
FALLBACK = "fallback"
FAILED = "failed"


class Pseudonyms:
    """Hashes of keys and texts, the same for the same text everywhere with the same secret."""

    def __init__(self, secret: str) -> None:
        self._key = blake2b(secret.encode(), digest_size=32).digest()

    def of(self, text: str) -> str:
        """16 hexadecimal digits; a missing text stays missing."""
        return blake2b(text.encode(), key=self._key, digest_size=8).hexdigest() if text else ""


@dataclass(frozen=True)
class Origin:
    """Whose log it is. `server` is one process of the application."""

    model: str
    application: str
    server: str


class LineWriter:
    """Makes lines for one model. `manifest_of(version)` is the sha256 of what was answered with."""

    def __init__(
        self,
        origin: Origin,
        layout: Layout,
        pseudonyms: Pseudonyms,
        manifest_of: Callable[[str], str],
    ) -> None:
        self._origin = origin
        self._layout = layout
        self._pseudonyms = pseudonyms
        self._manifest_of = manifest_of

    def lines(self, entries: Sequence[Kept], options: LogOptions) -> Iterator[tuple[int, bytes]]:
        """Yield (number of rows, line); the answers of a version keep their order."""
        by_version: dict[str, list[Kept]] = {}
        for entry in entries:
            by_version.setdefault(entry.version, []).append(entry)
        for version, answered in by_version.items():
            for some in self._cut(answered):
                columns = self._columns(version, some, options)
                yield len(columns["id"]), to_json(columns, inf_nan_mode="null") + b"\n"

    def _cut(self, entries: Sequence[Kept]) -> Iterator[list[Kept]]:
        """Yield so many requests that a line is short; a large batch is cut into several."""
        n_fields = len(self._layout.number_names) + len(self._layout.category_names) + N_OWN
        most_rows = max(1, MOST_CELLS // n_fields)
        some: list[Kept] = []
        n_rows = 0
        for entry in entries:
            for piece in _pieces(entry, most_rows):
                if n_rows + len(piece.ids) > most_rows:
                    yield some
                    some = []
                    n_rows = 0
                some.append(piece)
                n_rows += len(piece.ids)
        if some:
            yield some

    def _columns(
        self, version: str, entries: Sequence[Kept], options: LogOptions
    ) -> dict[str, Any]:
        keys = {key: self._pseudonyms.of(key) for key in {entry.routing_key for entry in entries}}
        block = Block.concat([entry.block for entry in entries])
        scores = np.concatenate([entry.scores for entry in entries])
        n_rows = [len(entry.ids) for entry in entries]
        outcomes = [ANSWERED if entry.assigned == version else FALLBACK for entry in entries]
        return {
            "format": FORMAT,
            "model": self._origin.model,
            "application": self._origin.application,
            "server": self._origin.server,
            "version": version,
            "manifest_sha256": self._manifest_of(version),
            "hashed": list(options.hashed),
            "id": list(chain.from_iterable(entry.ids for entry in entries)),
            "at_us": _spread([int(entry.at_s * 1e6) for entry in entries], n_rows),
            "assigned": _spread([entry.assigned for entry in entries], n_rows),
            "key": _spread([keys[entry.routing_key] for entry in entries], n_rows),
            "ms": _spread([round(entry.seconds * 1000, 3) for entry in entries], n_rows),
            "outcome": _with_failed(_spread(outcomes, n_rows), entries),
            "features": self._features(block, options),
            "scores": scores.reshape(len(scores), -1).T.tolist(),
        }

    def _features(self, block: Block, options: LogOptions) -> dict[str, list[Any]]:
        features: dict[str, list[Any]] = dict(
            zip(self._layout.number_names, block.numbers.T.tolist(), strict=True)
        )
        features |= zip(self._layout.category_names, block.categories.T.tolist(), strict=True)
        for name in options.leave_out:
            features.pop(name, None)
        for name in options.hashed:
            texts = features[name]
            known = {text: self._pseudonyms.of(text) for text in set(texts)}
            features[name] = [known[text] for text in texts]
        return features


def _pieces(entry: Kept, most_rows: int) -> Iterator[Kept]:
    if len(entry.ids) <= most_rows:
        yield entry
        return
    for begin in range(0, len(entry.ids), most_rows):
        rows = slice(begin, begin + most_rows)
        yield entry._replace(
            ids=entry.ids[rows],
            block=entry.block[rows],
            scores=entry.scores[rows],
            failed=None if entry.failed is None else entry.failed[rows],
        )


def _spread(values: list[Any], n_rows: list[int]) -> list[Any]:
    """The value of each request, once for each of its rows."""
    if sum(n_rows) == len(values):
        return values
    return [value for value, n in zip(values, n_rows, strict=True) for _ in range(n)]


def _with_failed(outcomes: list[str], entries: Sequence[Kept]) -> list[str]:
    begin = 0
    for entry in entries:
        if entry.failed is not None:
            for i, is_failed in enumerate(entry.failed, begin):
                outcomes[i] = FAILED if is_failed else outcomes[i]
        begin += len(entry.ids)
    return outcomes


@dataclass(frozen=True)
class Line:
    """A line that was read: columns of n rows each.

    `features` has the columns as they stand in a block, None for a missing number; what was left
    out is not there, and of `hashed` there is a pseudonym only. `scores` is (n_rows,) or
    (n_rows, n_outputs), NaN where a row failed.
    """

    application: str
    server: str
    version: str
    manifest_sha256: str
    hashed: tuple[str, ...]
    ids: Sequence[str]
    at_us: Sequence[int]
    assigned: Sequence[str]
    keys: Sequence[str]
    ms: Sequence[float]
    outcomes: Sequence[str]
    features: Mapping[str, Sequence[Any]]
    scores: Scores

    def __len__(self) -> int:
        return len(self.ids)


def parse(line: bytes) -> Line:
    """Read a line. Raises ValueError for what is none of this format."""
    try:
        found = _read(line)
        _require_columns(found)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return found


def _require_columns(line: Line) -> None:
    """Look whether all columns have as many rows. Raises ValueError, TypeError, AttributeError."""
    columns: list[Any] = [line.at_us, line.assigned, line.keys, line.ms, line.outcomes]
    columns += [*line.features.values(), line.scores]
    if any(len(column) != len(line) for column in columns):
        raise ValueError("its columns have different numbers of rows")
    if any(type(at_us) is not int for at_us in line.at_us):
        raise ValueError("its times are no whole numbers")


def _read(line: bytes) -> Line:
    found = json.loads(line)
    if found["format"] != FORMAT:
        raise ValueError(f"found format {found['format']}, expected {FORMAT}")
    scores = np.array(found["scores"], dtype=np.float64).T
    if scores.shape[1] == 1:
        scores = scores[:, 0]
    return Line(
        application=found["application"],
        server=found["server"],
        version=found["version"],
        manifest_sha256=found["manifest_sha256"],
        hashed=tuple(found["hashed"]),
        ids=found["id"],
        at_us=found["at_us"],
        assigned=found["assigned"],
        keys=found["key"],
        ms=found["ms"],
        outcomes=found["outcome"],
        features=found["features"],
        scores=scores,
    )
