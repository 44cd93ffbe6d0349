"""An application behind the door, which is reached in two ways that must not differ."""

from collections.abc import Callable, Mapping
from typing import Any

from fakes import FakeBackend, FakeOperator, FakeReplica, client_of

from serve_app.contract import ModelSpec
from serve_app.http.application import create_app
from serve_app.http.edge import Edge, put_in_front

WAYS = ("through FastAPI", "in front of Ray")
PREFIX = "/churn"


def _as_it_is(app: Any) -> Any:
    return app


class BehindDoor:
    """An application under PREFIX, and a client that reaches it in one of WAYS.

    `around` is what Ray puts around its replica; `options` are those of `create_app`. The fixture
    `way` takes what was put in front away.
    """

    def __init__(
        self,
        way: str,
        spec: ModelSpec,
        headers: Mapping[str, str] | None = None,
        around: Callable[[Any], Any] = _as_it_is,
        **options: Any,
    ) -> None:
        self.backend = FakeBackend(spec)
        self.operator = FakeOperator()
        self.app = create_app(spec, self.backend, self.operator, **options)
        self.replica = FakeReplica(self.app, PREFIX)
        if way == "in front of Ray":
            put_in_front(self.app.state.door)
        self.client = client_of(Edge(around(self.replica)), headers=headers)
