"""Eight partners at work: events go out to them without a pause, and what arrives is kept with its order."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

import httpx

from tests.acceptance.running import ORDER, Gateway
from tests.post_server import NO_CONTENT, taking_posts

SHARDS = 8
SLUGS = ("jade", "quay", "reed", "acme", "fern", "bolt", "cork", "umber")
"""One in each shard, where there are `SHARDS`: whoever holds any has work."""

ORDERS = ("none", "endpoint", "key")
KEYS = 3
ACCEPT_SECONDS = 40

_CONTRACT = """\
gateway: v1
partner: {slug}
name: {slug}
sends:
  order.placed: {{schema: order.avsc, id: /order_id, key: /customer}}
receives:
  order.accepted: {{schema: order.avsc, id: /order_id, key: /customer}}
endpoints:
  verification: none
  declared:
    - {{name: hook, url: "{url}/{slug}", order: {order}}}
"""


def order_of(slug: str) -> str:
    """The order that a partner's endpoint asks for."""
    return ORDERS[SLUGS.index(slug) % len(ORDERS)]


@dataclass
class Crowd:
    """`sent`: ids in the order of their acceptance, by partner; `came`: ids as they arrived, repeats too.

    `broken`: requests whose connection broke before the answer.
    """

    url: str = ""
    sent: dict[str, list[str]] = field(default_factory=dict)
    came: dict[str, list[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def apply(self, doors: Sequence[Gateway]) -> None:
        """Make the partners through the first door, and wait until all doors know of them."""
        key = doors[0].operator_key()
        with doors[0].client(key) as client:
            for slug in SLUGS:
                text = _CONTRACT.format(slug=slug, url=self.url, order=order_of(slug))
                body = {"contract": text, "files": {"order.avsc": json.dumps(ORDER)}}
                answer = client.put(f"/v1/partners/{slug}/contract", json=body)
                assert answer.status_code == 201, answer.text
        for door in doors[1:]:
            with door.client(key) as client:
                _wait_until_known(client)

    def take(self, slug: str, event_id: str) -> None:
        with self._lock:
            self.came.setdefault(slug, []).append(event_id)

    def is_complete(self) -> bool:
        """Whether all that was accepted has arrived."""
        return all(set(ids) <= set(self.came.get(slug, ())) for slug, ids in self.sent.items())

    def verify_order(self) -> None:
        """In each lane an arrival follows its predecessor, or goes back to repeat what came before, in order.

        Whoever drops what it has seen has everything in the order of acceptance, and nothing comes late.
        """
        for slug, ids in self.sent.items():
            for lane in _lanes(order_of(slug), ids):
                wanted = [one for one in ids if one in lane]
                latest = -1
                for one in self.came[slug]:
                    if one in lane:
                        place = wanted.index(one)
                        assert place <= latest + 1, (slug, wanted, self.came[slug])
                        latest = place

    def send(self, doors: Sequence[Gateway], key: str, stop: Event) -> None:
        """One event to each partner, round by round, until `stop`; each until one of the doors accepts it."""
        with ExitStack() as stack:
            clients = [stack.enter_context(one.client(key)) for one in doors]
            number = turn = 0
            while not stop.is_set():
                for slug in SLUGS:
                    event = {"order_id": f"{slug}-{number}", "customer": f"c{number % KEYS}", "qty": number}
                    deadline = time.monotonic() + ACCEPT_SECONDS
                    while not self._post(clients[turn % len(clients)], slug, event):
                        assert time.monotonic() < deadline, f"{event} is never accepted"
                        time.sleep(0.02)
                        turn += 1
                number += 1
                turn += 1

    def _post(self, client: httpx.Client, slug: str, event: dict[str, Any]) -> bool:
        try:
            answer = client.post(f"/v1/partners/{slug}/events/order.accepted", json=event)
        except httpx.ConnectError:
            return False
        except httpx.TransportError as error:
            self.broken.append(repr(error))
            return False
        assert answer.status_code in {200, 201, 503}, answer.text
        if answer.status_code != 503:
            self.sent.setdefault(slug, []).append(event["order_id"])
        return answer.status_code != 503


def _wait_until_known(client: httpx.Client) -> None:
    deadline = time.monotonic() + ACCEPT_SECONDS
    for slug in SLUGS:
        while client.get(f"/v1/partners/{slug}").status_code != 200:
            assert time.monotonic() < deadline, f"{slug} is never known at {client.base_url}"
            time.sleep(0.05)


def _lanes(order: str, ids: Sequence[str]) -> list[set[str]]:
    """The ids that one order holds for; none without order."""
    if order == "none":
        return []
    if order == "endpoint":
        return [set(ids)]
    return [{one for one in ids if int(one.rsplit("-", 1)[1]) % KEYS == key} for key in range(KEYS)]


@contextmanager
def crowd() -> Iterator[Crowd]:
    """The partners' receiver, on a free port; it ends with the block."""
    made = Crowd()

    def take(path: str, _: Mapping[str, str], body: bytes) -> tuple[int, float]:
        made.take(path.rsplit("/", 1)[1], str(json.loads(body)["id"]))
        return NO_CONTENT, 0.0

    with taking_posts(take) as url:
        made.url = url
        yield made


@contextmanager
def sending(made: Crowd, doors: Sequence[Gateway], key: str) -> Iterator[None]:
    """Events flow while the block runs; what stopped them is raised at its end."""
    stop = Event()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(made.send, doors, key, stop)
        try:
            yield
        finally:
            stop.set()
            running.result()
