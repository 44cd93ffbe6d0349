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
        self._waiting: list[tuple[str, Features]] = []
        self._n_sent = 0
        # What each server was sent and has not answered, by number.
        self._open: dict[ServerProcess, dict[int, tuple[str, Features]]] = {}
        loop.call_later(clients.wait_s(), self._arrive)

    def close(self) -> None:
        """No more clients come."""
        self._is_closed = True

    def died(self, server: ServerProcess) -> None:
        """Send what it had to another one: predictions are idempotent."""
        for key, row in self._open.pop(server, {}).values():
            self._wait(key, row)

    def _arrive(self) -> None:
        if self._is_closed:
            return
        key, row = self._clients.request()
        self._send(key, row)
        self._loop.call_later(self._clients.wait_s(), self._arrive)

    def _send(self, key: str, row: Features) -> None:
        ready = [server for server in self._servers() if server.is_ready]
        if not ready:
            self._wait(key, row)
            return
        server = ready[0]
        if len(ready) > 1:
            server = ready[int(self._rng.random() * len(ready))]
        self._loop.create_task(self._ask(server, key, row), context=server.context)

    def _wait(self, key: str, row: Features) -> None:
        """Keep a request until a server is ready."""
        if not self._waiting:
            self._loop.call_later(RETRY_S, self._send_waiting)
        self._waiting.append((key, row))

    def _send_waiting(self) -> None:
        waiting = self._waiting
        self._waiting = []
        if any(server.is_ready for server in self._servers()):
            for key, row in waiting:
                self._send(key, row)
        elif waiting:
            self._waiting = waiting
            self._loop.call_later(RETRY_S, self._send_waiting)

    async def _ask(self, server: ServerProcess, key: str, row: Features) -> None:
        self._n_sent += 1
        number = self._n_sent
        waiting = self._open.setdefault(server, {})
        waiting[number] = (key, row)
        try:
            await server.router.predict([row], key, None)
        except HttpError as error:
            self._story.tell(f"a client of {key} got {error.status}: {error.detail}", is_loud=False)
        finally:
            waiting.pop(number, None)
