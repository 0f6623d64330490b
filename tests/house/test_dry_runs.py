"""Every write can be tried out first: `dry_run` is offered, or the route changes nothing."""

from gateway.http.gates import GATES
from gateway.http.guard import Gate

# Questions whose subject is a schema in the body.
ASKING = {
    "POST /registry/subjects/{subject}",
    "POST /registry/compatibility/subjects/{subject}/versions",
    "POST /registry/compatibility/subjects/{subject}/versions/{version}",
}
READING = {"GET", "HEAD"}


def test_every_route_that_writes_takes_dry_run() -> None:
    lacking = {
        f"{gate.method} {gate.path}"
        for gate in GATES
        if gate.method not in READING and not _takes_dry_run(gate)
    }
    assert lacking == ASKING


def _takes_dry_run(gate: Gate) -> bool:
    """As the route tells it. The guard asks what is offered, but for the registry, which passes all on."""
    is_told = gate.told is not None and any(one.name == "dry_run" for one in gate.told.parameters)
    return is_told and (gate.side == "registry" or "dry_run" in gate.offered)
