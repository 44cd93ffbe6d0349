"""The charts of a run."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.plan import CEILING, CONNECTIONS
from benchmarks.summary import Summary

DPI = 110
MOST_CPU_MS = 3.0
Summaries = Mapping[str, Summary]


def draw(summaries: Summaries, folder: Path) -> None:
    """Draw all charts as PNG files."""
    throughput(summaries, folder / "throughput.png")
    latency(summaries, folder / "latency.png")
    cpu(summaries, folder / "cpu.png")
    if "sluice-fast" in summaries:
        cost(summaries["sluice-fast"], folder / "cost.png")


def throughput(summaries: Summaries, path: Path) -> None:
    """Draw single rows over 64 connections, a bar each."""
    figure, axes = _figure(len(summaries))
    rates = [summary.cells[CEILING].requests_per_s for summary in summaries.values()]
    axes.bar_label(
        axes.barh(list(summaries), rates, color=_colours(summaries)), fmt="{:,.0f}", padding=3
    )
    axes.set(title="Single rows over 64 connections", xlabel="requests/s")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    save(figure, path)


def latency(summaries: Summaries, path: Path) -> None:
    """Draw p50 and p99 against the offered rate."""
    figure, axes = plt.subplots(figsize=(10, 5))
    # A ListedColormap, which has them.
    axes.set_prop_cycle(color=plt.get_cmap("tab20").colors)  # type: ignore[attr-defined]
    for name, summary in summaries.items():
        steady = sorted(summary.at_rates.values(), key=lambda s: s.offered_rate)
        rates = [s.offered_rate for s in steady]
        (line,) = axes.plot(rates, [s.p99_ms for s in steady], marker="o", label=name)
        axes.plot(
            rates, [s.p50_ms for s in steady], marker=".", linestyle=":", color=line.get_color()
        )
    axes.set(
        title="Latency at a fixed rate, single rows: p99 solid, p50 dotted",
        xlabel="offered requests/s",
        ylabel="ms",
        xscale="log",
        yscale="log",
    )
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.grid(alpha=0.3, which="both")
    save(figure, path)


def cpu(summaries: Summaries, path: Path) -> None:
    """Draw CPU per request by process, single rows over 64 connections.

    Bars are cut off where they would hide the rest.
    """
    figure, axes = _figure(len(summaries))
    names = dict.fromkeys(
        name for summary in summaries.values() for name in summary.cells[CEILING].cpu_ms
    )
    left = [0.0] * len(summaries)
    for name in names:
        widths = [summary.cells[CEILING].cpu_ms.get(name, 0.0) for summary in summaries.values()]
        if max(widths) > 0.01:
            axes.barh(list(summaries), widths, left=left, label=name)
        left = [at + width for at, width in zip(left, widths, strict=True)]
    most = min(max(left), MOST_CPU_MS)
    for place, total in enumerate(left):
        axes.text(min(total, most) * 1.01, place, f" {total:.2g} ms", va="center", fontsize=8)
    axes.set(
        title="CPU per request by process, single rows over 64 connections",
        xlabel="ms",
        xlim=(0, most * 1.15),
    )
    axes.invert_yaxis()
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    save(figure, path)


def cost(summary: Summary, path: Path) -> None:
    """Draw what a request costs as it gets more rows, by connections."""
    figure, axes = plt.subplots(figsize=(9, 5))
    for connections in CONNECTIONS:
        found = [
            m
            for cell, m in sorted(summary.cells.items())
            if cell.connections == connections and not m.skipped
        ]
        rows = [m.cell.n_rows for m in found]
        axes.plot(
            rows,
            [m.cpu_ms_per_request for m in found],
            marker="o",
            label=f"{connections} connections",
        )
    axes.set(
        title="Sluice: CPU per request",
        xlabel="rows a request",
        ylabel="ms",
        xscale="log",
        yscale="log",
    )
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    save(figure, path)


def _figure(n_bars: int) -> tuple[Figure, Axes]:
    return plt.subplots(figsize=(10, 1.2 + 0.45 * n_bars))


def _colours(summaries: Summaries) -> list[str]:
    return ["tab:blue" if name.startswith("sluice") else "tab:grey" for name in summaries]


def save(figure: Figure, path: Path) -> None:
    """Write a chart as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
