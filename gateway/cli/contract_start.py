"""What a new contract begins with: one file that explains itself, one schema, the format for the editor."""

import json
from typing import Final

from partners.contract_schema import contract_schema

FORMAT: Final = "contract.schema.json"

_CONTRACT: Final = """\
# yaml-language-server: $schema=contract.schema.json
# One partner, one file. `gateway contract lint` checks it here, `gateway plan -f` says what it would change,
# `gateway apply -f` brings it into force.
gateway: v1
partner: "{slug}"                # for ever: it is in the names of its topics
name: "{slug}"                   # for people
contacts: {{technical: edi@{slug}.example}}

sends:                           # {slug} -> us
  order.placed:
    schema: schemas/order_placed.avsc
    id: /order_id                # where an event's id is: sent twice, it is taken once
    key: /customer_id            # events of one key keep their order
    time: /placed_at             # when it happened
    search: [/customer_id]       # what the history is searched by, beside the id
    # accept_versions: 2         # the newest schema and one before it
    # forward: {{to: globex, as: order.received}}   # to another partner, which receives it

# receives:                      # us -> {slug}
#   order.accepted: {{schema: schemas/order_accepted.avsc, id: /order_id}}

# authentication: {{accept: [api_key]}}
# limits: {{events_per_second: 200, bytes_per_day: 5GiB, event_bytes: 256KiB}}
# delivery: {{retry: standard-75h, order: none}}    # order: none, key or endpoint
# endpoints:
#   hosts: ["*.{slug}.example"]
#   declared:
#     - {{name: orders, url: "https://hooks.{slug}.example/in", events: [order.accepted]}}
# topics: {{framing: prefix}}      # the schema's id: in front of the datum, or in a header
# keep: {{content: 90d, evidence: 7y}}
"""

_ORDER: Final = {
    "type": "record",
    "name": "OrderPlaced",
    "namespace": "example.orders",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "customer_id", "type": ["null", "string"], "default": None},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {
            "name": "total",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
        },
    ],
}


def start_files(slug: str) -> dict[str, str]:
    """The files of a new contract, by path."""
    return {
        f"{slug}.yaml": _CONTRACT.format(slug=slug),
        "schemas/order_placed.avsc": json.dumps(_ORDER, indent=2) + "\n",
        FORMAT: json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n",
    }
