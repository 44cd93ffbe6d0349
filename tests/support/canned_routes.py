"""A server on this machine that answers each path with what a test says."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakes import FakeBackend
from monitored import BASELINE, drift, quality

from serve_app.errors import NoRollout
from serve_app.models import get_spec
from serve_app.monitoring.drift_view import DriftView, VersionDrift
from serve_app.monitoring.quality.view import QualityView, VersionQualityView
from serve_app.serving.status import VersionFacts

Answers = Mapping[str, tuple[int, bytes]]
NO_ROLLOUT = (404, b'{"title": "None", "detail": "-", "code": "%s"}' % NoRollout.code.encode())


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """The URL of a server that answers so, for a `with` block; other paths are 500."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (500, b"?"))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def monitored_routes(
    found: VersionDrift | None = None,
    labelled: VersionQualityView | None = None,
    age_days: float = 10,
    rollout: tuple[int, bytes] = NO_ROLLOUT,
    label_delay_days: float | None = None,
) -> dict[str, tuple[int, bytes]]:
    """What a server of churn 1.0.0 tells of itself; a quiet one unless it is said otherwise."""
    facts = VersionFacts(
        state="ready",
        detail="",
        placement="in_server",
        weight_percent=100.0,
        runtime="onnx",
        coalesces=False,
        manifest_sha256="a" * 64,
        created_at=(datetime.now(UTC) - timedelta(days=age_days)).isoformat(),
        metrics=BASELINE,
    )
    model = FakeBackend(get_spec("churn")).description()
    views = {
        "/v1/model": model.model_copy(update={"stable": "1.0.0", "versions": {"1.0.0": facts}}),
        "/v1/drift": DriftView(
            model="churn",
            detail="",
            versions={"1.0.0": found or drift()},
            since=datetime.now(UTC) - timedelta(days=age_days),
            answered={"1h": 200, "24h": 5_000},
        ),
        "/v1/quality": QualityView(
            model="churn",
            versions=[labelled or quality()],
            label_delay_days=label_delay_days,
            n_labels=0,
            n_duplicates=0,
            n_too_old=0,
            trouble="",
        ),
    }
    answers = {path: (200, view.model_dump_json().encode()) for path, view in views.items()}
    return {**answers, "/v1/rollout": rollout}
