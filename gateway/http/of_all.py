"""A list of a partner's things, for those of all partners at once: each item names its partner."""

from dataclasses import replace

from starlette.responses import Response

from gateway.http.guard import Call
from gateway.http.told import Spoken

Route = Spoken[Call, Response]


def of_all(route: Route, operation: str = "", summary: str = "", about: str = "") -> Route:
    """The same list for all partners'; what is not said anew is as the list says it itself.

    `about`: beside what the list of one partner says of itself.
    """

    async def answer(call: Call) -> Response:
        return await route(replace(call, of_all=True))

    words = " ".join(one for one in (route.told.about, about) if one)
    told = replace(
        route.told,
        operation=operation or route.told.operation,
        tag="Operator",
        summary=summary or route.told.summary,
        about=words,
    )
    return Spoken(answer, told)
