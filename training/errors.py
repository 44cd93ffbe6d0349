"""Why a training run stops: one message for a person, no traceback."""

from serve_app.errors import SluiceError


class TrainingError(SluiceError):
    """The data, the pipeline or the result cannot become a version.

    The text says why, and what to do.
    """


class InvalidData(TrainingError):
    """The rows break the contract, or there are too few of them."""


class InvalidPipeline(TrainingError):
    """The fitted pipeline does not answer as its kind of model must."""


class QualityTooLow(TrainingError):
    """The model is worse than its floor allows."""
