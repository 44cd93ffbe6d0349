"""What a model's author writes: typed rows in, typed answers out, and how a score becomes one."""

from serve_app.contract.feature import Feature, Kind, differences
from serve_app.contract.spec import Choice, Example, Features, ModelSpec, Prediction

__all__ = [
    "Choice",
    "Example",
    "Feature",
    "Features",
    "Kind",
    "ModelSpec",
    "Prediction",
    "differences",
]
