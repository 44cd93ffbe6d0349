"""What all unit tests share: the routes of each registered model over a fake backend. No Ray, no
model, no network.
"""

from collections.abc import AsyncIterator

import pytest
from fakes import Api, serving
from hypothesis import settings

from serve_app.contract import ModelSpec
from serve_app.models import MODELS, get_spec

# Derandomised, so that a red test is red again; without a deadline, since the machine is shared.
settings.register_profile(
    "sluice", deadline=None, database=None, derandomize=True, max_examples=200
)
settings.load_profile("sluice")


@pytest.fixture(params=MODELS)
def spec(request: pytest.FixtureRequest) -> ModelSpec:
    """Each registered model."""
    return get_spec(request.param)


@pytest.fixture
async def api(spec: ModelSpec) -> AsyncIterator[Api]:
    """The routes of each registered model."""
    async with serving(spec) as found:
        yield found


@pytest.fixture
async def churn_api() -> AsyncIterator[Api]:
    """The routes of one model, for what does not depend on the model."""
    async with serving(get_spec("churn")) as found:
        yield found
