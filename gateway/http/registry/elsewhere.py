"""The routes of the registry where it is another program: each tells where that is, and asks nothing of it.

Who asks is looked at as ever, so that nobody learns a name of ours without a credential.
"""

from collections.abc import Sequence
from dataclasses import replace

from starlette.responses import Response

from gateway.errors import CallerError
from gateway.http.guard import Call, Gate
from gateway.http.registry.shape import PREFIX


def moved(gates: Sequence[Gate], url: str) -> Sequence[Gate]:
    """The gates, those of the registry closed where it has a URL elsewhere."""
    if not url:
        return gates
    return [replace(gate, answer=_tell) if gate.path.startswith(PREFIX) else gate for gate in gates]


async def _tell(call: Call) -> Response:
    raise CallerError(
        "not_found", f"The schema registry of this gateway is at {call.doors.values.external_registry}."
    )
