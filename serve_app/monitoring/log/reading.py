"""The log as it is read: lines in order, and each row's fields as a client sent them."""

import gzip
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from serve_app.contract import Feature
from serve_app.contract.block import EPOCH
from serve_app.contract.feature import Value
from serve_app.errors import PredictionLogError
from serve_app.monitoring.log.line import Line, parse
from serve_app.monitoring.log.part import OPEN, lines_of
from serve_app.monitoring.log.place import LogPlace


def logged(
    place: LogPlace, model: str, since: datetime | None = None, holding: str = ""
) -> Iterator[Line]:
    """Yield the lines of a model, a part at a time; those with rows since then, where it is given.

    A line may have older rows too. `holding`: only lines in which this text stands. Raises
    PredictionLogError.
    """
    since_us = 0 if since is None else int(since.timestamp() * 1e6)
    wanted = holding.encode()
    for part in place.parts(model, since):
        for text in lines_of(place.read(part)):
            if wanted not in text:
                continue
            try:
                line = parse(text)
            except ValueError as error:
                raise PredictionLogError(
                    f"{place.uri}/{part.key}: found a line that is none of this log ({error}); "
                    "expected one that this version of Sluice or an older one wrote"
                ) from None
            if line.at_us and max(line.at_us) >= since_us:
                yield line


def fields_of(line: Line, contract: Sequence[Feature]) -> list[Feature]:
    """The fields of which a line has values: they were neither left out nor hashed."""
    return [
        feature
        for feature in contract
        if feature.name in line.features and feature.name not in line.hashed
    ]


def rows_of(line: Line, contract: Sequence[Feature]) -> list[dict[str, Value]]:
    """The rows of a line as a client would send them: None where missing, dates as ISO texts.

    A field that was left out is in no row, nor one of which there is a hash only.
    """
    columns = {
        feature.name: [value_of(value, feature) for value in line.features[feature.name]]
        for feature in fields_of(line, contract)
    }
    if not columns:
        return [{} for _ in line.ids]
    names = tuple(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def value_of(value: Any, feature: Feature) -> Value:
    """A value of a block, in which None or an empty text is missing, as it stands in JSON."""
    if value is None or value == "":
        return None
    if feature.is_text or feature.dtype == "float":
        kept: Value = value
        return kept
    if feature.dtype == "bool":
        return bool(value)
    if feature.dtype == "int":
        return int(value)
    moment = EPOCH + timedelta(microseconds=value)
    return moment.date().isoformat() if feature.dtype == "date" else moment.isoformat()


def time_of(at_us: int) -> datetime:
    """When a row was answered."""
    return datetime.fromtimestamp(at_us / 1e6, UTC)


def files_of(place: LogPlace, model: str, since: datetime | None, folder: Path) -> Iterator[Path]:
    """Yield the parts as files that any program reads; those that are no such files are copied.

    `folder` is where to. Raises PredictionLogError.
    """
    for part in place.parts(model, since):
        path = place.path_of(part)
        if path is not None:
            yield path
            continue
        data = place.read(part)
        if part.is_open:
            data = gzip.compress(b"".join(line + b"\n" for line in lines_of(data)), 1)
        copy = folder / f"{part.begin:%Y-%m-%d}-{part.key.rpartition('/')[2].removesuffix(OPEN)}"
        copy.write_bytes(data)
        yield copy
