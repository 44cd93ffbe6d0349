"""`serve run`, which also writes into a file how the applications are doing.

    python -m serve_app.cluster.told_run STATUS_FILE CONFIG

`sluice up` starts this and reads the file. Ray itself says why an application fails to deploy in
the controller's log only. The file is JSON: the status of each application by its name, and what
Ray says of it and of its deployments.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.serve.scripts import cli

POLL_S = 1.0
# Where Prometheus finds the metrics of this node. Without it Ray takes any free port.
METRICS_PORT = "SLUICE_METRICS_PORT"


def told(status: Any) -> dict[str, Any]:
    """What `serve.status()` gives, as plain values: status and messages by application."""
    return {
        name: {
            "status": str(getattr(application.status, "value", application.status)),
            "messages": [
                application.message,
                *(deployment.message for deployment in application.deployments.values()),
            ],
        }
        for name, application in status.applications.items()
    }


def write_whole(path: Path, text: str) -> None:
    """Write next to the final place and rename: a reader never sees half of it."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(text)
    draft.replace(path)


def _tell_forever(path: Path) -> None:
    while True:
        time.sleep(POLL_S)
        # Asking earlier would start a Ray of its own.
        if not ray.is_initialized():
            continue
        try:
            write_whole(path, json.dumps(told(serve.status())))
        except Exception:
            # Serve is starting or ending. The next look tells more, and telling must not end it.
            continue


def main() -> None:
    """Serve a file, and tell how it goes until the end."""
    status_file, config = sys.argv[1:]
    teller = threading.Thread(target=_tell_forever, args=(Path(status_file),), daemon=True)
    teller.start()
    cli(["run", *_begun(), config])


def _begun() -> list[str]:
    """Start Ray here where it needs an option that `serve run` lacks; what that is told of it."""
    port = os.environ.get(METRICS_PORT)
    if not port:
        return []
    ray.init(address="local", namespace="serve", _metrics_export_port=int(port))
    # It is there: else `serve run` would warn that RAY_ADDRESS names another one.
    return ["--address", "auto"]


if __name__ == "__main__":
    main()
