"""The two ways to an application behind the door."""

from collections.abc import Iterator

import pytest
from behind_door import WAYS

from serve_app.http.edge import put_in_front


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """One of WAYS; nothing is in front of Ray afterwards."""
    yield request.param
    put_in_front(None)
