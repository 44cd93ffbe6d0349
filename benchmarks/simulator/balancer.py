"""Clients and the load balancer in front of the servers."""

import random
from collections.abc import Callable, Sequence

from benchmarks.simulator.loop import VirtualLoop
from benchmarks.simulator.processes import ServerProcess
from benchmarks.simulator.story import Story
from benchmarks.simulator.traffic import Clients
from serve_app.contract import Features
from serve_app.errors import HttpError

# A balancer that finds no server that is ready asks again.
RETRY_S = 0.2
# A routing key and rows.
Request = tuple[str, list[Features]]


class Balancer:
    """Sends each request to a server that is ready, until it is closed."""

    def __init__(
        self,
        loop: VirtualLoop,
        rng: random.Random,
        clients: Clients,
        servers: Callable[[], Sequence[ServerProcess]],
        story: Story,
    ) -> None:
        self._loop = loop
        self._rng = rng
        self._clients = clients
        self._servers = servers
        self._story = story
        self._is_closed = False
        self._waiting: list[Request] = []
        self._n_sent = 0
        # What each server was sent and has not answered, by number.
        self._open: dict[ServerProcess, dict[int, Request]] = {}
        loop.call_later(clients.wait_s(), self._arrive)

    def close(self) -> None:
        """No more clients come."""
        self._is_closed = True

    def died(self, server: ServerProcess) -> None:
        """Send what it had to another one: predictions are idempotent."""
        for key, rows in self._open.pop(server, {}).values():
            self._wait(key, rows)

    def _arrive(self) -> None:
        if self._is_closed:
            return
        key, rows = self._clients.request()
        self._send(key, rows)
        self._loop.call_later(self._clients.wait_s(), self._arrive)

    def _send(self, key: str, rows: list[Features]) -> None:
        ready = [server for server in self._servers() if server.is_ready]
        if not ready:
            self._wait(key, rows)
            return
        server = ready[0]
        if len(ready) > 1:
            server = ready[int(self._rng.random() * len(ready))]
        self._loop.create_task(self._ask(server, key, rows), context=server.context)

    def _wait(self, key: str, rows: list[Features]) -> None:
        """Keep a request until a server is ready."""
        if not self._waiting:
            self._loop.call_later(RETRY_S, self._send_waiting)
        self._waiting.append((key, rows))

    def _send_waiting(self) -> None:
        waiting = self._waiting
        self._waiting = []
        if any(server.is_ready for server in self._servers()):
            for key, rows in waiting:
                self._send(key, rows)
        elif waiting:
            self._waiting = waiting
            self._loop.call_later(RETRY_S, self._send_waiting)

    async def _ask(self, server: ServerProcess, key: str, rows: list[Features]) -> None:
        self._n_sent += 1
        number = self._n_sent
        waiting = self._open.setdefault(server, {})
        waiting[number] = (key, rows)
        try:
            await server.router.predict(rows, key, None)
        except HttpError as error:
            self._story.tell(f"a client of {key} got {error.status}: {error.detail}", is_loud=False)
        finally:
            waiting.pop(number, None)
