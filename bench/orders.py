"""The event of all benchmarks: one small order, about 200 bytes of JSON, with an id of its own."""

from pathlib import Path
from typing import Final

SCHEMA_FILE: Final = Path(__file__).with_name("order.avsc")
EVENT_TYPE: Final = "order.placed"
OUTBOUND_TYPE: Final = "order.accepted"

_ENDPOINTS: Final = """\
endpoints:
  verification: none
  declared:
    - {{name: hook, url: "{url}", concurrency: {concurrency}}}
"""


def order_json(run: str, number: int) -> bytes:
    """What the generators send; `bench/post.lua` writes the same."""
    return (
        f'{{"order_id":"{run}-0-{number}","customer_id":"C-{number % 500:04}","quantity":{number % 9 + 1},'
        f'"amount":"{number % 900 + 100}.90","placed_at":"2026-11-25T12:00:00Z",'
        '"ship_to":{"street":"Long Lane 12","city":"Cologne","zip":"50667"},"note":"ring twice"}'
    ).encode()


def contract(slug: str, webhook: str | None = None, concurrency: int = 0) -> str:
    """A contract that sends orders and gets accepted ones, at an endpoint where `webhook` is a URL."""
    text = f"""\
gateway: v1
partner: {slug}
name: Partner {slug}
sends:
  {EVENT_TYPE}: {{schema: order.avsc, id: /order_id, key: /customer_id}}
receives:
  {OUTBOUND_TYPE}: {{schema: order.avsc, id: /order_id}}
"""
    return text + ("" if webhook is None else _ENDPOINTS.format(url=webhook, concurrency=concurrency))


def slugs(count: int) -> list[str]:
    """Names of so many partners."""
    return [f"p{number:04}" for number in range(count)]
