"""The named schemas of deliveries and replays."""

from collections.abc import Mapping
from typing import Final, get_args

from gateway.egress.replay import WHICH, State
from gateway.http.deliveries_told import ALL_STATES, WANTED
from gateway.http.shapes import (
    FLAG,
    INSTANT,
    REF,
    TEXT,
    Shape,
    listed,
    maybe,
    page_of,
    record,
    ref,
    text,
    whole,
    word,
)

_COUNT: Final = whole()
_PROGRESS: Final = (
    "total",
    "done",
    "handed",
    "delivered",
    "waiting",
    "cancelled",
    "passed",
    "lost",
)
ACKNOWLEDGED: Final[Shape] = record(
    {
        "id": TEXT,
        "webhook_id": REF,
        "endpoint": TEXT,
        "credential": TEXT,
        "acknowledged_at": INSTANT,
    },
    optional={"dry_run": FLAG},
)
_MEMBERS: Final[Mapping[str, Shape]] = {
    "id": maybe(TEXT),
    "partner": TEXT,
    "endpoint": maybe(TEXT),
    "name": maybe(TEXT),
    "state": word(*ALL_STATES),
    "reason": maybe(TEXT),
    "ref": maybe(REF),
    "event": maybe(ref("DeliveryEvent")),
    "events": _COUNT,
    "attempt_count": _COUNT,
    "next_at": maybe(INSTANT),
    "since": maybe(INSTANT),
    "at": maybe(INSTANT),
    "range": maybe(ref("DeliveryRange")),
    "links": maybe(ref("DeliveryLinks")),
}

COMPONENTS: Final[Mapping[str, Shape]] = {
    "Delivery": record(_MEMBERS),
    "DeliveryPage": page_of(ref("Delivery")),
    "DeliveryAcknowledged": ACKNOWLEDGED,
    "DeliveryShown": record(
        {
            **_MEMBERS,
            "waits_for": maybe(TEXT),
            "attempts": listed(ref("DeliveryAttempt")),
            "acknowledgement": maybe(ref("Acknowledgement")),
        },
        optional={"dry_run": FLAG},
    ),
    "Acknowledgement": record(
        {
            "delivery": TEXT,
            "ref": REF,
            "endpoint": TEXT,
            "key": TEXT,
            "at": INSTANT,
            "token": TEXT,
            "log": maybe(record({"origin": TEXT, "index": _COUNT})),
        }
    ),
    "DeliveryEvent": record({"id": maybe(TEXT), "source": maybe(TEXT), "type": maybe(TEXT)}),
    "DeliveryRange": record({"topic": TEXT, "partition": _COUNT, "from": _COUNT, "to": _COUNT}),
    "DeliveryLinks": record({"self": TEXT, "event": TEXT}),
    "DeliveryAttempt": record(
        {
            "id": TEXT,
            "number": _COUNT,
            "at": INSTANT,
            "url": TEXT,
            "status": _COUNT,
            "reason": maybe(TEXT),
            "ms": _COUNT,
            "outcome": word("delivered", "retry", "parked", "held"),
            "excerpt": maybe(TEXT),
            "log": maybe(record({"origin": TEXT, "index": _COUNT})),
        }
    ),
    "Replay": record(
        {
            "id": text("rpl_[a-z2-7]{26}"),
            "partner": TEXT,
            "endpoint": maybe(TEXT),
            "which": word(*WHICH),
            "types": listed(TEXT),
            "since": INSTANT,
            "until": INSTANT,
            "rate": maybe(_COUNT),
            "dry_run": FLAG,
            "state": word(*get_args(State)),
            **dict.fromkeys(_PROGRESS, _COUNT),
            "waits_for": maybe(TEXT),
            "created_at": INSTANT,
            "ended_at": maybe(INSTANT),
            "error": maybe(ref("Problem")),
            "links": record({"self": TEXT}),
        }
    ),
    "ReplayPage": page_of(ref("Replay")),
    "ReplayWanted": WANTED,
}
