"""Which cells a run measures, for how long, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Cell:
    """Rows in a request × connections."""

    n_rows: int
    connections: int


@dataclass(frozen=True)
class Plan:
    """The work of a run for each contender.

    `more_cells` is by contender. `load_shares` are of the ceiling, for latency at a fixed rate.
    """

    cells: tuple[Cell, ...]
    more_cells: Mapping[str, tuple[Cell, ...]] = field(default_factory=dict)
    cell_s: float = 4.0
    warm_s: float = 5.0
    load_shares: tuple[float, ...] = (0.3, 0.6, 0.8)
    steady_s: float = 8.0
    rounds: int = 2

    @property
    def row_counts(self) -> tuple[int, ...]:
        """All sizes of requests."""
        return tuple(sorted({cell.n_rows for cell in self.cells}))

    def cells_of(self, contender: str) -> tuple[Cell, ...]:
        """Order the cells: fewer connections first.

        So what cannot be finished is known before it is tried.
        """
        return tuple(sorted({*self.cells, *self.more_cells.get(contender, ())}))


# Ratios and fixed rates are taken from this cell.
CEILING = Cell(n_rows=1, connections=64)
ROWS = (1, 10, 100, 1_000)
CONNECTIONS = (1, 32, 64, 256)
BETWEEN = tuple(Cell(n_rows, 32) for n_rows in (2, 5, 20, 50, 200, 300, 500, 700))

FULL = Plan(
    cells=tuple(Cell(n_rows, connections) for n_rows in ROWS for connections in CONNECTIONS),
    more_cells={"sluice-fast": BETWEEN},
)
SHORT = Plan(
    cells=(Cell(1, 1), CEILING, Cell(10, 64)),
    cell_s=1,
    warm_s=1,
    load_shares=(0.3,),
    steady_s=2,
    rounds=1,
)
