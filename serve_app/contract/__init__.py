"""What a model's author writes: typed rows in, typed answers out, and how a score becomes one."""

from serve_app.contract.feature import Feature, Kind, differences
from serve_app.contract.fields import Choice, Date, DateTime, Number, Text
from serve_app.contract.spec import Example, Features, Label, ModelSpec, Prediction

__all__ = [
    "Choice",
    "Date",
    "DateTime",
    "Example",
    "Feature",
    "Features",
    "Kind",
    "Label",
    "ModelSpec",
    "Number",
    "Prediction",
    "Text",
    "differences",
]
