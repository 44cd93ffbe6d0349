"""Rows of cells to a block for a model, and the reasons of those that a server would refuse."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serve_app.commands.diff.csv_rows import Row, reason_of, value_of
from serve_app.commands.score.column import Column, ReadColumn, column_reader, has_plain_rules
from serve_app.contract import Feature, ModelSpec
from serve_app.contract.block import Block, Layout
from serve_app.contract.rows import RowReader
from serve_app.errors import InvalidRows

Cells = Sequence[str]


@dataclass(frozen=True)
class ReadRows:
    """What became of some rows.

    `block` has the rows at `positions`, in order; `faults` says of each other row why it is bad.
    """

    block: Block
    positions: NDArray[np.intp]
    faults: Mapping[int, str]


class BlockReader:
    """Reads rows of cells, each as a server would read it.

    `columns` says where in a row each field stands, and `n_cells` how many cells a row has.
    """

    def __init__(
        self, spec: ModelSpec, columns: Sequence[tuple[int, Feature]], n_cells: int
    ) -> None:
        self._columns = columns
        self._n_cells = n_cells
        self._layout = Layout(spec.contract)
        self._rows = RowReader(spec)
        self._is_plain = has_plain_rules(spec)
        self._readers = {feature.name: column_reader(feature) for _, feature in columns}

    def read(self, rows: Sequence[Cells]) -> ReadRows:
        """Whole columns first; rows that are not plain one by one."""
        if self._is_plain and all(len(cells) == self._n_cells for cells in rows):
            columns, suspects = self._read_columns(rows)
            if not suspects:
                return ReadRows(self._block(columns, len(rows)), np.arange(len(rows)), {})
        return self._read_mixed(rows)

    def _read_mixed(self, rows: Sequence[Cells]) -> ReadRows:
        faults: dict[int, str] = {}
        whole = []
        for i, cells in enumerate(rows):
            fault = self.length_fault(cells)
            if fault is None:
                whole.append(i)
            else:
                faults[i] = fault
        suspects = set(range(len(whole)))
        if self._is_plain:
            _, suspects = self._read_columns([rows[i] for i in whole])
        plain = [i for k, i in enumerate(whole) if k not in suspects]
        saved: dict[int, Mapping[str, Any]] = {}
        for i in (whole[k] for k in sorted(suspects)):
            try:
                saved[i] = self._checked(self.row(rows[i]))
            except InvalidRows as error:
                faults[i] = reason_of(self.row(rows[i]), error.errors) or error.detail
        columns, _ = self._read_columns([rows[i] for i in plain])
        blocks = [self._block(columns, len(plain))]
        if saved:
            blocks.append(self._layout.block(list(saved.values())))
        positions = np.array([*plain, *saved], dtype=np.intp)
        order = np.argsort(positions)
        return ReadRows(Block.concat(blocks)[order], positions[order], faults)

    def row(self, cells: Cells) -> Row:
        """A row as a client would send it."""
        return {feature.name: value_of(cells[i], feature) for i, feature in self._columns}

    def length_fault(self, cells: Cells) -> str | None:
        """Why a row is none of this table; None when it has all cells."""
        if len(cells) == self._n_cells:
            return None
        return f"found {len(cells)} cells, expected {self._n_cells} as in the header"

    def _checked(self, row: Row) -> Mapping[str, Any]:
        """A row as a server has it after reading. Raises InvalidRows."""
        return dict(self._rows.one(json.dumps(row).encode()))

    def _read_columns(self, rows: Sequence[Cells]) -> tuple[dict[str, Column], set[int]]:
        """The values of each field, and the positions of rows with a cell that is not plain."""
        whole: list[Cells] = list(zip(*rows, strict=True))
        columns = {}
        suspects: set[int] = set()
        for i, feature in self._columns:
            cells = whole[i] if rows else ()
            read = self._readers[feature.name]
            try:
                columns[feature.name] = read(cells)
            except ValueError:
                suspects |= _not_plain(read, cells)
        return columns, suspects

    def _block(self, columns: Mapping[str, Column], n_rows: int) -> Block:
        names = self._layout.number_names
        numbers = np.empty((n_rows, len(names)), dtype=np.float64)
        for i, name in enumerate(names):
            numbers[:, i] = columns[name]
        texts = self._layout.category_names
        categories = np.empty((n_rows, len(texts)), dtype=object)
        for i, name in enumerate(texts):
            categories[:, i] = columns[name]
        return Block(numbers, categories)


def _not_plain(read: ReadColumn, cells: Cells) -> set[int]:
    """The positions of cells that cannot be read by themselves."""
    refused = set()
    for cell in set(cells):
        try:
            read((cell,))
        except ValueError:
            refused.add(cell)
    return {i for i, cell in enumerate(cells) if cell in refused}
