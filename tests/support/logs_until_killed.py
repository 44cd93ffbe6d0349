"""A process with a prediction log that answers without end and says what it answered.

Run with a folder. A line of stdout is the highest id whose answer was heard, and when.
"""

import sys
import time

from logging_server import LoggingServer, answered

from serve_app.models import get_spec


def main() -> None:
    """Hear of 200 rows a second until somebody ends this process."""
    spec = get_spec("churn")
    row = spec.examples[0].row.model_dump(mode="json")
    server = LoggingServer(spec, sys.argv[1])  # type: ignore[arg-type]
    server.log.start()
    number = 0
    while True:
        server.answers.heard(answered(spec, [row], [0.5], ids=[str(number)]))
        sys.stdout.write(f"{number} {time.time()}\n")
        sys.stdout.flush()
        number += 1
        time.sleep(0.005)


if __name__ == "__main__":
    main()
