"""The words of the registry's routes: Confluent's API, whose clients know it already."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from gateway.http import told
from gateway.http.registry.shape import MEDIA_TYPES
from gateway.http.shapes import FLAG, TEXT, Shape, listed, text, whole
from gateway.http.told import Body, Parameter, Reply, Spoken

Asked = TypeVar("Asked")
Given = TypeVar("Given")

OBJECT: Final[Shape] = {}
TEXTS: Final = listed(TEXT)
NUMBER: Final = whole()
NUMBERS: Final = listed(whole())
_PARAMETERS: Final[Mapping[str, Parameter]] = {
    one.name: one
    for one in (
        Parameter("subject", "Only of this subject.", text(least=1, most=249)),
        Parameter("subjectPrefix", "Only subjects that begin so."),
        Parameter("deleted", "Those too that are deleted softly.", FLAG),
        Parameter("deletedOnly", "Those alone that are deleted softly.", FLAG),
        Parameter("permanent", "For good; softly before.", FLAG),
        Parameter("normalize", "Put the schema into normal form first.", FLAG),
        Parameter("verbose", "Say why not.", FLAG),
        Parameter("defaultToGlobal", "Where it has none: that of the registry.", FLAG),
        Parameter("fetchMaxId", "Tell the largest id too.", FLAG),
        Parameter("dry_run", "Change nothing; answer what would be.", FLAG),
        Parameter("force", "Though there are versions.", FLAG),
        Parameter("offset", "From which item on.", whole(0, 999_999_999)),
        Parameter("limit", "How many items at most; a negative one is none.", {"type": "integer"}),
    )
}


def tells(
    operation: str, summary: str, shape: Shape, *, asks: Sequence[str] = (), body: Shape | None = None
) -> Callable[[Callable[[Asked], Awaitable[Given]]], Spoken[Asked, Given]]:
    """Put words beside what answers a route of the registry. `asks`: names of its query parameters."""
    reply = Reply(200, summary + ".", dict.fromkeys(MEDIA_TYPES, shape))
    parameters = [_PARAMETERS[name] for name in asks]
    if body is None:
        return told.tells(operation, "Registry", summary, reply, parameters=parameters)
    sent = Body(dict.fromkeys(MEDIA_TYPES, body))
    return told.tells(operation, "Registry", summary, reply, parameters=parameters, body=sent)
