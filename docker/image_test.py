"""`make image-test`: build the image's targets for real and run them as production would.

    python docker/image_test.py [--only NAME ...]
    python docker/image_test.py --only write_sizes      writes the sizes into docs/deploy.md

A program with a report. It needs a Docker daemon, or root and `../shared/tools/container_build.sh`
(podman, on Debian). Exit code 1: a check failed; 2: there is neither, and nothing was checked.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

from build_checks import built_as_it_is, layers, no_pip, sizes, write_sizes
from engine import Engine, find_engine
from library_checks import boosters, training, uncompiled
from node_checks import cluster
from serve_checks import drained, hardened, logged, ports, quiet, without_a_model, without_keys

from serve_app.commands.exit_codes import ExitCode

CHECKS: tuple[Callable[[Engine], str], ...] = (
    built_as_it_is,
    hardened,
    drained,
    ports,
    without_a_model,
    without_keys,
    uncompiled,
    boosters,
    training,
    cluster,
    logged,
    quiet,
    layers,
    no_pip,
    sizes,
)
# Checks that write: only when they are asked for.
WRITING: tuple[Callable[[Engine], str], ...] = (write_sizes,)


def main() -> int:
    """Run the checks and print a line for each."""
    all_checks = (*CHECKS, *WRITING)
    names = [check.__name__ for check in all_checks]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=sorted(names), help="these checks alone")
    only = parser.parse_args().only or [check.__name__ for check in CHECKS]
    # The first one builds what all others start from.
    checks = [CHECKS[0], *(check for check in all_checks[1:] if check.__name__ in only)]
    engine = find_engine()
    if engine is None:
        say(
            "no Docker daemon, and no root with container_build.sh: nothing was built, nothing "
            "was checked"
        )
        return ExitCode.UNREADABLE
    say(f"by {engine.program}")
    failed = 0
    for check in checks:
        start_s = time.monotonic()
        word = "ok    "
        try:
            found = check(engine)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            found = str(error) or repr(error)
            word = "FAILED"
            failed += 1
        name = check.__name__.replace("_", " ")
        say(f"{word} {name:16} {time.monotonic() - start_s:4.0f} s  {found}")
    return ExitCode.REFUSED if failed else ExitCode.OK


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
