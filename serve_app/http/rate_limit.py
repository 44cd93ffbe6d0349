"""The door's check of how much a caller may ask."""

from serve_app.access.rates import Rates
from serve_app.http.request import IncomingRequest
from serve_app.http.route import Route


class RateLimit:
    """Who has used up a rate is told so before the body is read."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    async def look(self, request: IncomingRequest, route: Route) -> None:
        """Count one row; the handler counts the others, which nobody knows yet.

        Raises RateLimited.
        """
        if not route.is_work:
            return
        request.allowance = self._rates.allowance(request.caller)
        if request.allowance is not None:
            request.allowance.take_first()
