"""Everything a caller can be told, as one tree: each class carries its code and HTTP status.

SluiceError
├── RequestError                 the client can fix it
│   ├── MalformedJson            400  the body is not JSON
│   ├── TooManyRows              400
│   ├── UnknownVersion           400  X-Model-Version names none of the table
│   ├── BadHeader                400
│   ├── BadPath                  400  percent-encoded where nothing needs it
│   ├── KeyRequired              401  with WWW-Authenticate
│   ├── NotAllowed               403  the key has another scope
│   ├── NotFound                 404
│   ├── MethodNotAllowed         405  with Allow
│   ├── BodyTooSlow              408  with Connection: close
│   ├── BodyTooLarge             413
│   ├── UnsupportedMediaType     415
│   ├── InvalidRows              422  with a list of field, reason, allowed
│   ├── Overloaded               429  with Retry-After
│   ├── RateLimited              429  with Retry-After: this caller's rows, not the server's
│   ├── LabelError               a label cannot be joined with its prediction
│   │   ├── InvalidLabel         422  what came true cannot be used
│   │   └── UnknownPrediction    404  a prediction id that this model's servers have not made
│   └── CommandError             an operator's command cannot be carried out
│       ├── BadCommand           422  there is no such command, or its body is none
│       ├── NoRollout            404  the table has no rollout
│       └── CommandRefused       409  it does not fit how far the rollout is
├── ServiceError                 the operator can fix it
│   ├── InternalError            500
│   ├── ModelFailed              500  the model gave no valid answer for a valid row
│   ├── NotReady                 503
│   │   └── Unconfirmed          503  of a rollout: its coordinator does not say so (not_ready too)
│   └── DeadlineExceeded         504
├── BundleError                  a version cannot be trusted or opened (crosses no HTTP as itself)
│   └── BundleUnavailable        its files cannot be read, or are not there yet: asked again
│       ├── StoreAway            the store does not answer, or not us
│       └── NoRoom               this machine has no disk, memory or thread for it
├── StateError                   what is kept of labels cannot be read or written (asked again)
├── SettingsError                serve_config.yaml or a table is wrong (refused before its effect)
├── PredictionLogError           the prediction log cannot be opened or read (answers go on)
└── RolloutError                 a rollout's log cannot be read or written (unread: stable answers)
    └── Fenced                   another coordinator writes this log now
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import BaseModel


class FieldError(BaseModel):
    """What is wrong with one field: never the value that was sent."""

    field: str
    reason: str
    allowed: str


class SluiceError(Exception):
    """Base of all errors that this project raises on purpose."""


class HttpError(SluiceError):
    """An error with a place in the HTTP answer: `detail` is written for the caller.

    `headers` are the HTTP headers that the answer must have because of this error.
    """

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str, *, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class RequestError(HttpError):
    """The request is at fault (4xx)."""


class MalformedJson(RequestError):
    """The body is empty, not UTF-8 or not JSON."""

    status, code, title = 400, "malformed_json", "The body is not valid JSON"


class TooManyRows(RequestError):
    """More rows than `max_rows` in one request."""

    status, code, title = 400, "too_many_rows", "Too many rows in one request"


class UnknownVersion(RequestError):
    """`X-Model-Version` asks for a version that is not in the table."""

    status, code, title = 400, "unknown_version", "No such version in the table"


class BadHeader(RequestError):
    """A request header cannot be used."""

    status, code, title = 400, "bad_header", "A request header is not valid"


class BadPath(RequestError):
    """The path is written in another way than documented: a gateway may have read another one."""

    status, code, title = 400, "bad_path", "The path is not written plainly"


class KeyRequired(RequestError):
    """No key was sent, or one that is not valid now: unknown, wrong or expired, which is not told.

    The answer is the same for all of them.
    """

    status, code, title = 401, "key_required", "A valid API key is required"
    # RFC 9110, 11.6.1: a 401 says what would be taken.
    headers: Mapping[str, str] = {"WWW-Authenticate": 'ApiKey realm="sluice", header="X-API-Key"'}


class NotAllowed(RequestError):
    """The key is valid, and its scopes do not include what was asked for."""

    status, code, title = 403, "not_allowed", "The API key does not allow this"


class NotFound(RequestError):
    """No route has this path."""

    status, code, title = 404, "not_found", "No such route"


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"

    def __init__(self, detail: str, *, allow: Sequence[str] = ()) -> None:
        super().__init__(detail)
        # RFC 9110, 15.5.6: a 405 names the methods that the route takes.
        self.headers = {"Allow": ", ".join(allow)}


class BodyTooSlow(RequestError):
    """The body did not come within `limits.body_timeout_s`."""

    status, code, title = 408, "body_too_slow", "The body did not come in time"
    # What is left of the body may still come: this connection cannot carry another request.
    headers: Mapping[str, str] = {"Connection": "close"}


class BodyTooLarge(RequestError):
    """The body is over the limit; it was not parsed."""

    status, code, title = 413, "body_too_large", "The body is too large"


class UnsupportedMediaType(RequestError):
    """The body is not declared as plain JSON in UTF-8."""

    status, code, title = 415, "unsupported_media_type", "The content type is not supported"


class InvalidRows(RequestError):
    """A row breaks the model's contract; `errors` names field, reason and what is allowed."""

    status, code, title = 422, "invalid_rows", "The input breaks the model's contract"


class Overloaded(RequestError):
    """As much is under way as the server takes; try again after `retry_after_s` seconds."""

    status, code, title = 429, "overloaded", "Too many requests are waiting"

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after_s)}


class RateLimited(RequestError):
    """The caller has sent as many rows as the key allows; `retry_after_s` seconds help."""

    status, code, title = 429, "rate_limited", "Too many rows for this key"

    def __init__(self, detail: str, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": str(retry_after_s)}


class ServiceError(HttpError):
    """The service is at fault (5xx)."""


class InternalError(ServiceError):
    """A fault in the server itself; the log has it under the request id."""

    status, code, title = 500, "internal_error", "Internal error"


class ModelFailed(ServiceError):
    """The model raised, or gave an answer that is no number, for a valid row."""

    status, code, title = 500, "model_failed", "The model could not score this row"


class NotReady(ServiceError):
    """The stable version does not answer."""

    status, code, title = 503, "not_ready", "The stable version is not ready"


class Unconfirmed(NotReady):
    """The coordinator of a rollout does not answer, or does not know or cannot write it yet."""

    title = "The coordinator cannot confirm it now"


class DeadlineExceeded(ServiceError):
    """No answer within the deadline of the table."""

    status, code, title = 504, "deadline_exceeded", "No answer within the deadline"


class LabelError(RequestError):
    """A label cannot be joined with its prediction."""


class InvalidLabel(LabelError):
    """What came true is none of what the model may answer, or the body is no label."""

    status, code, title = 422, "invalid_label", "The label cannot be used"


class UnknownPrediction(LabelError):
    """A prediction id that is forged, changed, of another model, or of a key that is gone."""

    status, code, title = 404, "unknown_prediction", "The prediction id was not made here"


class CommandError(RequestError):
    """An operator's command cannot be carried out."""


class BadCommand(CommandError):
    """There is no such command, or its body is not as documented."""

    status, code, title = 422, "bad_command", "The command cannot be used"


class NoRollout(CommandError):
    """The table of this server has no `rollout`."""

    status, code, title = 404, "no_rollout", "No rollout"


class CommandRefused(CommandError):
    """A command that the rollout's state does not allow; the text says which ones it does."""

    status, code = 409, "command_refused"
    title = "The command does not fit the state of the rollout"


class BundleError(SluiceError):
    """A bundle is missing, corrupt or does not fit; the text says what was expected and found."""


class BundleUnavailable(BundleError):
    """The files of a bundle cannot be read now, or are not there yet.

    Every other BundleError is final.
    """


class StoreAway(BundleUnavailable):
    """The store gives no answer, or no permission: nothing is known of the bundle."""


class NoRoom(BundleUnavailable):
    """This machine has no room for a bundle now: no disk, no memory, no thread, no time."""


# What passes by itself, wherever it was seen: who must have the version waits for it.
PASSING = (StoreAway, NoRoom)


class StateError(SluiceError):
    """What the coordinator keeps of labels cannot be read or written; the text names the file."""


class SettingsError(SluiceError):
    """A setting is wrong; the text names the place."""


class PredictionLogError(SluiceError):
    """The prediction log cannot be opened, read, or does not hold what is looked for."""


class RolloutError(SluiceError):
    """A rollout's log cannot be read or written; the text names the file and what to do."""


class Fenced(RolloutError):
    """Another coordinator has claimed the log: this one must not write any more."""


def http_errors(root: type[HttpError] = HttpError) -> list[type[HttpError]]:
    """Every error class that has a status, in the order of the tree above."""
    found: list[type[HttpError]] = []
    for child in root.__subclasses__():
        found += ([child] if "status" in child.__dict__ else []) + http_errors(child)
    return found
