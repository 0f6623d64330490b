"""What the registry is: its root, its contexts, its version, and the associations that it does not hold."""

from starlette.responses import Response

from gateway.http.guard import Call
from gateway.http.registry import told
from gateway.http.registry.shape import answer
from schemas.refusal import RegistryError


@told.tells("registryShowRoot", "That a registry is here", told.OBJECT)
async def show_root(call: Call) -> Response:
    """Nothing, which tells clients that a registry is here."""
    return answer(call.request, {})


@told.tells("registryListContexts", "The one context", told.TEXTS)
async def list_contexts(call: Call) -> Response:
    """The one context that is held."""
    return answer(call.request, ["."])


@told.tells("registryShowCluster", "Which registry this is", told.OBJECT)
async def show_cluster(call: Call) -> Response:
    """Which registry this is: the origin of the gateway."""
    origin = call.doors.values.log_host
    clusters = {"kafka-cluster": origin, "schema-registry-cluster": "gateway"}
    return answer(call.request, {"scope": {"path": [], "clusters": clusters}})


@told.tells("registryShowProgram", "The version of the program", told.OBJECT)
async def show_version(call: Call) -> Response:
    """The version of the program."""
    return answer(call.request, {"version": call.doors.version, "commitId": ""})


@told.tells("registryListAssociations", "Associations: none are held", told.OBJECT)
async def list_associations(call: Call) -> Response:
    """No associations are held: clients then name subjects after topics, as they always did.

    Raises:
        RegistryError: 40410, always.
    """
    del call
    raise RegistryError(40410, "No associations are held here")
