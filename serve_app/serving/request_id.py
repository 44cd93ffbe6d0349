"""The id of the request that is being answered, for what is logged and counted meanwhile."""

from contextvars import ContextVar

# Empty outside of a request, and in a model call that several requests share.
REQUEST_ID: ContextVar[str] = ContextVar("REQUEST_ID", default="")
