"""Each refusal is told to log and metrics by the request id that its caller was given."""

import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest
import pytest_asyncio

from gateway.auth.proxy import Proxies
from gateway.http.catalogue import CATALOGUE
from gateway.http.gates import GATES
from gateway.http.rejection import NO_ROUTE, Rejection, group_of
from gateway.http.tls_failures import REASONS
from gateway.metrics import HANDSHAKES, NOT_LET_IN, OTHER, ROUTE_GROUPS, STATUSES
from tests.builders import House, open_house
from tests.world import OPERATOR

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/v1/events/order.placed"
BODY = {"order_id": "A-1", "customer": "C-1", "qty": 1}


@dataclass
class Told:
    """A house, what its log was told of, and what its metrics."""

    house: House
    rejected: list[Rejection] = field(default_factory=list)
    observed: list[tuple[str, str, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        def observe(route: str, method: str, status: int, code: str, _seconds: float) -> None:
            self.observed.append((route, method, status, code))

        doors = replace(self.house.doors, reject=self.rejected.append, observe=observe)
        self.house = replace(self.house, doors=doors)

    def one(self, answer: httpx.Response) -> Rejection:
        """The one that was told, of this answer."""
        (found,) = self.rejected
        self.rejected.clear()
        assert found.request_id == answer.headers["request-id"]
        assert found.status == answer.status_code
        assert self.observed[-1] == (found.route, found.method, found.status, found.code)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("rejected"), partners=("acme", "globex")) as opened:
        yield opened


@pytest.fixture
def told(house: House) -> Told:
    return Told(house)


async def test_what_is_taken_is_told_to_the_metrics_alone(told: Told) -> None:
    async with told.house.client("acme") as client:
        assert (await client.post(PATH, json=BODY)).status_code == 201
    assert told.rejected == []
    assert told.observed == [("/v1/events/{type}", "POST", 201, "none")]


async def test_a_revoked_key_that_still_asks_is_named_with_its_partner(told: Told) -> None:
    await told.house.issue("leaked", "partner", "globex")
    revoked = told.house.credentials["leaked"].id
    desk = told.house.world.parts.administration
    await desk.revoke_credential(revoked, owner="globex", reason="leaked", by=OPERATOR)
    async with told.house.client("leaked") as client:
        one = told.one(await client.post(PATH, json=BODY))
    assert (one.code, one.credential, one.partner) == ("credential_revoked", revoked, "globex")
    assert one.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "credential_missing"),
        ("Bearer nonsense", "credential_invalid"),
        ("Bearer", "credential_invalid"),
        ("Bearer a.b.c", "credential_invalid"),
    ],
)
async def test_of_a_stranger_nothing_is_told_but_the_address(
    told: Told, header: str | None, code: str
) -> None:
    async with told.house.client() as client:
        headers = {} if header is None else {"Authorization": header}
        one = told.one(await client.post(PATH, json=BODY, headers=headers))
    assert (one.code, one.credential, one.partner) == (code, "", "")


async def test_refused_events_and_looks_are_their_callers(told: Told) -> None:
    mine = told.house.credentials["acme"].id
    async with told.house.client("acme") as client:
        asked = {
            "event_invalid": await client.post(PATH, json={"order_id": 1}),
            "not_found": await client.get("/v1/history/evt_none"),
            "parameter_invalid": await client.get("/v1/me?colour=red"),
            "batch_refused": await client.post(
                PATH, content=b"{}\n", headers={"Content-Type": "application/x-ndjson"}
            ),
        }
    assert [one.code for one in told.rejected] == list(asked)
    for one, answer in zip(told.rejected, asked.values(), strict=True):
        assert one.request_id == answer.headers["request-id"]
        assert (one.credential, one.partner, one.status) == (mine, "acme", answer.status_code)


async def test_nothing_that_a_sender_makes_up_is_told(told: Told) -> None:
    async with told.house.client("acme") as client:
        one = told.one(await client.request("BREW", "/nowhere/at/all?gw_secret"))
        assert (one.route, one.method, one.code) == (NO_ROUTE, OTHER, "not_found")
        one = told.one(await client.request("BREW", "/v1/types/invented"))
        assert (one.route, one.method, one.code) == ("/v1/types/{type}", OTHER, "method_not_allowed")
        one = told.one(await client.get("/registry/subjects/invented/versions"))
    assert one.route == "/registry/subjects/{subject}/versions"


async def test_the_registry_has_numbers_for_what_is_wrong_and_metrics_one_series(told: Told) -> None:
    async with told.house.client("operator") as client:
        one = told.one(await client.get("/registry/subjects/invented/versions"))
    assert (one.status, one.code) == (404, "40401")
    assert one.credential == told.house.credentials["operator"].id
    assert one.partner == ""


async def test_the_address_is_the_one_that_a_believed_proxy_has_seen(told: Told) -> None:
    proxies = Proxies((ipaddress.ip_network("127.0.0.0/8"),))
    told = Told(replace(told.house, doors=replace(told.house.doors, proxies=proxies)))
    seen = {"X-Forwarded-For": "10.0.0.1, 203.0.113.7"}
    async with told.house.client() as client:
        for path in ("/v1/me", "/nowhere"):
            one = told.one(await client.get(path, headers=seen))
            assert one.address == "203.0.113.7"


async def test_every_route_is_counted_in_a_group_that_there_is() -> None:
    groups = {gate.path: group_of(gate.path) for gate in GATES}
    assert set(groups.values()) | {NO_ROUTE, OTHER} == ROUTE_GROUPS
    assert {path for path, group in groups.items() if group == "events"} == {
        gate.path for gate in GATES if gate.is_event
    }
    assert groups["/v1/partners/{p}/endpoints"] == groups["/v1/endpoints"] == "endpoints"
    assert groups["/v1/partners/{p}/suspend"] == groups["/v1/status"] == "operator"


async def test_labels_are_those_of_the_catalogue_and_of_the_listeners() -> None:
    assert {str(one.status) for one in CATALOGUE.values()} <= STATUSES
    assert all(CATALOGUE[code].status == int(status) for status, code in NOT_LET_IN)
    assert {code for code, one in CATALOGUE.items() if one.status == 401} <= {code for _, code in NOT_LET_IN}
    assert REASONS == HANDSHAKES
