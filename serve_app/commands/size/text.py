"""The answer as people read it, as YAML to paste, and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table as Grid

from serve_app.commands.size.replicas import Overhead
from serve_app.commands.size.servers import Sized, Wish
from serve_app.scaling import PLANNED_BUSY

Row = tuple[str, str, str]


def show(found: Sequence[Sized], wish: Wish, overhead: Overhead, console: Console) -> None:
    """Print one part for each server, then all of them together."""
    for sized in found:
        rows = "1 row" if wish.n_rows == 1 else f"{wish.n_rows} rows"
        head = f"{sized.model} {sized.measured.version}: {wish.rate:,.6g} requests/s of {rows}"
        console.print(f"{head}, p95 within {wish.p95_ms:g} ms", style="bold")
        console.print(_grid(answer_rows(sized)))
        console.print("the numbers used")
        console.print(_grid(number_rows(sized, overhead)))
        console.print(f"serve_config.yaml, application {sized.application}, deployment Server")
        console.print(_indented(yaml.safe_dump(snippet(sized), sort_keys=False)), soft_wrap=True)
    console.print(together(found, wish, overhead))


def snippet(sized: Sized) -> dict[str, Any]:
    """Say what to write below `- name: Server`."""
    answer = sized.size
    return {
        "autoscaling_config": {
            "min_replicas": answer.min_replicas,
            "max_replicas": answer.max_replicas,
            "target_ongoing_requests": answer.target_ongoing_requests,
        },
        "ray_actor_options": {"num_cpus": answer.num_cpus},
    }


def answer_rows(sized: Sized) -> list[Row]:
    """List the answer as (what, how much, in words)."""
    answer = sized.size
    n = answer.max_replicas
    n_updating = sized.n_updating
    peak = answer.at_peak
    lost = answer.with_one_lost
    each_mb = sized.measured.memory_mb
    updating_cpus = _cpus(n_updating * answer.num_cpus)
    updating_mb = _mb(n_updating * each_mb)
    rows = [
        (
            "replicas",
            f"{n}",
            f"{n - 1} carry the peak, 1 may be lost; never below {answer.min_replicas}",
        ),
        (
            "CPUs",
            _cpus(n * answer.num_cpus),
            f"{answer.num_cpus:g} each; {updating_cpus} while all are updated "
            f"(surge {sized.surge_percent} %)",
        ),
        (
            "memory",
            _mb(n * each_mb),
            f"{_mb(each_mb)} each; {updating_mb} while all are updated",
        ),
        (
            "CPU in use",
            _cpus(n * peak.cpus),
            f"{peak.cpus:.0%} of one in each; {lost.cpus:.0%} with one lost",
        ),
        (
            "p95",
            _ms(lost.p95_ms),
            f"with one lost; {_ms(peak.p95_ms)} with all, mean {_ms(peak.mean_ms)}",
        ),
    ]
    if sized.not_counted:
        names = ", ".join(sized.not_counted)
        rows.append(("not counted", "", f"{names}: stable is taken to answer everybody"))
    return rows


def number_rows(sized: Sized, overhead: Overhead) -> list[Row]:
    """List the numbers used as (measured or constant, how much, of what)."""
    found = sized.measured
    work = sized.work
    rows = [
        ("measured", _ms(found.app_ms), "CPU of a request in our HTTP routes"),
        ("measured", _ms(found.model_ms), "CPU of the model in it"),
        ("measured", _mb(found.memory_mb), "a process that holds this version, at its largest"),
        ("constant", _ms(overhead.replica_ms), "CPU that Ray adds in the replica (--overhead-ms)"),
    ]
    if found.coalesces:
        rows += [
            ("constant", _ms(overhead.batch_ms), "CPU that Ray and @serve.batch add to a request"),
            (
                "measured",
                _ms(work.call_ms),
                f"CPU of a model call, for up to {work.most_per_call} requests together",
            ),
            ("measured", _ms(found.row_ms), "CPU of each row in it, on top"),
            ("from the file", _ms(work.wait_ms), "a call waits so long to fill (batch.wait_ms)"),
        ]
    return [
        *rows,
        ("constant", f"{PLANNED_BUSY:.0%}", "a replica is at most so busy, with one lost"),
    ]


def together(found: Sequence[Sized], wish: Wish, overhead: Overhead) -> str:
    """Say what all servers take, and what runs next to them."""
    n = sum(sized.size.max_replicas for sized in found)
    cpus = sum(sized.size.max_replicas * sized.size.num_cpus for sized in found)
    updating = sum(sized.n_updating * sized.size.num_cpus for sized in found)
    memory_mb = sum(sized.size.max_replicas * sized.measured.memory_mb for sized in found)
    proxies = _cpus(proxy_cpus(found, wish, overhead))
    return (
        f"Together {n} replicas, {_cpus(cpus)} CPUs ({_cpus(updating)} while all are updated), "
        f"{_mb(memory_mb)}. Next to them in the fast mode, constants: {proxies} CPUs for the "
        f"proxies ({overhead.proxy_ms:g} ms a request, {PLANNED_BUSY:.0%} busy), "
        f"{overhead.ray_cpus:g} CPUs and {_mb(overhead.ray_memory_mb)} for Ray itself."
    )


def proxy_cpus(found: Sequence[Sized], wish: Wish, overhead: Overhead) -> float:
    """Count the CPUs of the proxies for the requests of all servers."""
    return len(found) * wish.rate * overhead.proxy_ms / 1000 / PLANNED_BUSY


def document(found: Sequence[Sized], wish: Wish, overhead: Overhead) -> dict[str, Any]:
    """Give everything to programs."""
    return {
        "wanted": asdict(wish),
        "constants": {**asdict(overhead), "most_busy": PLANNED_BUSY},
        "servers": [
            asdict(sized) | {"n_updating": sized.n_updating, "Server": snippet(sized)}
            for sized in found
        ],
        "proxy_cpus": proxy_cpus(found, wish, overhead),
    }


def _grid(rows: Sequence[Row]) -> Grid:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for width in (15, 9):
        grid.add_column(min_width=width, no_wrap=True)
    grid.add_column()
    for first, *others in rows:
        grid.add_row(f"  {first}", *others)
    return grid


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def _cpus(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _ms(value: float) -> str:
    return f"{value:.2g} ms" if value < 1 else f"{value:,.3g} ms"


def _mb(value: float) -> str:
    return f"{value:,.0f} MB"
