"""A process with a prediction log that answers without end, and says how far it is.

Run with a folder. A line of stdout says how many rows were heard and how many are written.
"""

import sys
import time
from pathlib import Path

from logging_server import LoggingServer, answered

from serve_app.models import get_spec


def main() -> None:
    """Hear of 200 rows a second until somebody ends this process."""
    spec = get_spec("churn")
    row = spec.examples[0].row.model_dump(mode="json")
    server = LoggingServer(spec, Path(sys.argv[1]))
    server.log.start()
    number = 0
    while True:
        server.answers.heard(answered(spec, [row], [0.5], ids=[str(number)]))
        number += 1
        sys.stdout.write(f"{number} {server.log.n_written}\n")
        sys.stdout.flush()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
