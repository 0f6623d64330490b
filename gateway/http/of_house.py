"""A route of a partner's endpoints, for those of the house in the exchange with the partner."""

from dataclasses import replace

from starlette.responses import Response

from gateway.http.guard import Call
from gateway.http.told import Spoken

Route = Spoken[Call, Response]


def of_house(route: Route, operation: str, summary: str) -> Route:
    """The same route for the house's."""

    async def answer(call: Call) -> Response:
        return await route(replace(call, of_house=True))

    return Spoken(answer, replace(route.told, operation=operation, summary=summary))
