"""What a program error may print: values whose repr, and lines whose traceback, hold no secret.

Every kind of credential is shown rightly, to handlers that fail with all that they were given in their words;
the log is at debug level. What a whole process tells is in `tests/acceptance/test_secrets_kept.py`.
"""

import io
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import pytest
import pytest_asyncio
import structlog
from starlette.responses import Response

from gateway.auth.proxy import Proxies
from gateway.auth.request import Shown
from gateway.bootstrap.ground import clock
from gateway.bootstrap.listeners import notice
from gateway.http.app import make_app
from gateway.http.gates import GATES
from gateway.http.guard import Call
from gateway.ingress.accept import Submission
from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.outcome import Outcome, Refused
from gateway.logs import configure
from tests.builders import CONTRACTS, open_house
from tests.tenancy.callers import NAMES, Callers, Sent, all_callers

pytestmark = pytest.mark.asyncio(loop_scope="module")

TERMS = "authentication: {accept: [api_key, mtls, jwt, message_signature, hmac]}\n"
EVENT = "/v1/events/order.placed"
BODY = b'{"order_id": "1", "qty": 1}'


@dataclass
class Telltale:
    """An ingress that fails with all that it was given, in its words."""

    told: list[Any]
    is_read: bool = False

    async def read(self, received: Received) -> Reading | Refused:
        self.told.append(received)
        if self.is_read:
            return read_events(received)
        raise RuntimeError(f"{received!r} {received}")

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        self.told.append(submission)
        raise RuntimeError(repr(submission))


@dataclass
class Scene:
    """Callers of applications that fail, each in another place, and all that those places were given.

    `log`: every line, at debug level. `secrets`: the part of each that opens something, as it is printed.
    """

    callers: Callers
    apps: dict[str, Any]
    told: list[Any]
    log: io.StringIO
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    root, out = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    configure("debug", "json", clock, out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, log: io.StringIO) -> AsyncIterator[Scene]:
    partners = ("acme", "globex", "dated", "bolt", "cedar")
    async with open_house(tmp_path_factory.mktemp("secrets"), partners=partners) as house:
        await house.world.apply(CONTRACTS.replace("{slug}", "acme") + TERMS)
        told: list[Any] = []

        async def failing(call: Call) -> Response:
            told.append(call)
            raise RuntimeError(f"{call!r} {call.known!r} {call.doors!r}")

        doors = replace(house.doors, proxies=Proxies((ip_network("10.0.0.0/8"),), "rfc9440"), notice=notice)
        gates = [replace(one, answer=failing) for one in GATES if one.side not in {"open", "private"}]
        apps = {
            "answer": make_app(doors, gates),
            "read": make_app(replace(doors, ingress=Telltale(told)), GATES),
            "accept": make_app(replace(doors, ingress=Telltale(told, is_read=True)), GATES),
        }
        async with all_callers(house, apps["answer"], apps["answer"]) as callers:
            yield Scene(callers, apps, told, log, known_secrets(callers))


def known_secrets(callers: Callers) -> dict[str, str]:
    house = callers.house
    sealed = house.world.parts.ground.pepper, house.doors.values.cursor_key
    found = {str(number): repr(one)[2:-1] for number, one in enumerate(sealed)}
    found |= {name: text.split("_")[2] for name, text in house.keys.items() if text.startswith("gw_")}
    return found | {name: text for name, text in callers.secrets.items() if len(text) > 8}


@pytest.mark.parametrize("place", ["answer", "read", "accept"])
@pytest.mark.parametrize("kind", NAMES)
async def test_an_error_of_ours_tells_no_secret_of_whoever_called(
    scene: Scene, kind: str, place: str
) -> None:
    scene.told.clear()
    before = scene.log.tell()
    shown = scene.callers.shows[kind, "valid"](Sent("POST", EVENT, "dry_run=true", BODY), clock())
    answer = await scene.callers.answer(shown, scene.apps[place])
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    scene.log.seek(before)
    line = scene.log.read()
    assert answer.headers["request-id"] in line
    assert scene.told
    values = [*scene.told, *seen_on_the_way(scene, shown)]
    printed = "\n".join([line, answer.text, repr(answer.headers), *map(repr, values), *map(str, values)])
    secrets = {**scene.secrets, **shown_by(shown)}
    assert [name for name, text in secrets.items() if text in printed] == []
    assert BODY.decode() not in printed


def shown_by(sent: Sent) -> dict[str, str]:
    """What whoever reads it could show again."""
    whole = sent.headers.get("authorization", "").partition(" ")[2]
    parts = {"authorization": whole, "signature of the token": whole.rpartition(".")[2]}
    return {name: text for name, text in parts.items() if text}


def seen_on_the_way(scene: Scene, sent: Sent) -> list[Any]:
    """Everything that knows credentials, and what of a request is given to it."""
    parts = scene.callers.house.world.parts
    headers = tuple((name.lower(), value) for name, value in sent.headers.items())
    return [
        Shown(headers, sent.method, query=sent.query, peer=sent.peer),
        parts,
        parts.callers,
        *parts.callers.ways,
        parts.ground,
        scene.callers.house.doors,
        *scene.callers.house.credentials.values(),
    ]


async def test_what_is_searched_for_would_be_found(scene: Scene) -> None:
    sent = Sent("POST", EVENT, body=BODY)
    for kind in ("bearer", "basic", "token"):
        shown = scene.callers.shows[kind, "valid"](sent, clock())
        assert all(text in repr(shown.headers) for text in shown_by(shown).values())
    assert len(scene.secrets) > 15
    assert len(set(scene.secrets.values())) == len(scene.secrets)


async def test_metrics_and_status_tell_no_secret(scene: Scene) -> None:
    async with scene.callers.house.client("operator") as client:
        told = [
            (await client.get(path)).text
            for path in ("/metrics", "/v1/status", "/v1/credentials", "/v1/partners/acme/credentials")
        ]
    assert [name for name, text in scene.secrets.items() if text in "\n".join(told)] == []
