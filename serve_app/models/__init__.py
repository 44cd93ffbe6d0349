"""The registry: a model is a module here with a `SPEC`, and one line below."""

from importlib import import_module

from serve_app.contract import ModelSpec
from serve_app.errors import SettingsError

MODELS = (
    "churn",
    "delivery_time",
)


def get_spec(name: str) -> ModelSpec:
    """The spec of a registered model. Raises SettingsError for a name that is not in `MODELS`."""
    if name not in MODELS:
        raise SettingsError(f"model: found {name!r}, expected one of {', '.join(MODELS)}")
    spec = import_module(f"{__name__}.{name}").SPEC
    # A model file without a SPEC is a programming error.
    assert isinstance(spec, ModelSpec)
    return spec
