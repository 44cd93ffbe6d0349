"""`sluice size`: how many replicas, CPUs and memory a wanted rate takes.

What a request costs is measured (`measure`) for each server of the file (`servers`), arithmetic
turns it into replicas (`replicas`), and `text` writes the answer.
"""

from pathlib import Path
from typing import Annotated

import typer

from serve_app.commands.exit_codes import errors_in_words


def size(
    rate: Annotated[
        float,
        typer.Option("--rate", help="Requests a second at the peak: 200,000 a minute are 3333."),
    ],
    p95_ms: Annotated[
        float, typer.Option("--p95-ms", help="95 % of the answers within so many milliseconds.")
    ],
    rows: Annotated[int, typer.Option("--rows", help="Rows in each request.")] = 1,
    model: Annotated[
        str | None, typer.Option("--model", help="This model alone; else every server.")
    ] = None,
    file: Annotated[Path, typer.Option("--config", help="Which servers there are.")] = Path(
        "serve_config.yaml"
    ),
    overhead_ms: Annotated[
        float | None,
        typer.Option(
            "--overhead-ms",
            min=0,
            help="CPU a request that Ray adds in a replica; else as benchmarked.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure what a request costs here, and say how many replicas, CPUs and memory a rate takes.

    Every server of the file is sized for the whole rate. Starts no Ray. What it cannot know:
    docs/performance.md. Exit code 1: it cannot be answered.
    """
    import json
    from dataclasses import replace

    from serve_app.commands.size.replicas import FAST_MODE
    from serve_app.commands.size.servers import Wish, sizes
    from serve_app.commands.size.text import document, show
    from serve_app.commands.terminal import Terminal

    progress = Terminal(stderr=True, soft_wrap=True, highlight=False, markup=False)
    wish = Wish(rate, p95_ms, rows)
    overhead = FAST_MODE if overhead_ms is None else replace(FAST_MODE, replica_ms=overhead_ms)
    with errors_in_words():
        found = sizes(file, wish, overhead, model, lambda line: progress.print(line, style="dim"))
    if as_json:
        typer.echo(json.dumps(document(found, wish, overhead), indent=1))
    else:
        show(found, wish, overhead, Terminal(highlight=False, markup=False))
