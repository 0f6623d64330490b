"""The words of the routes of deliveries and replays."""

from typing import Final, get_args

from gateway.dialler import Reason
from gateway.egress.replay import MOST_RATE, WHICH
from gateway.egress.undelivered import CROWDED, HOLDS, STATES
from gateway.http.shapes import Shape, listed, maybe, record, text, whole, word
from gateway.http.told import PAGED, Parameter, instant

ALL_STATES: Final = (*STATES, "delivered", "refused")
REASONS: Final = tuple(sorted({*HOLDS, CROWDED, *get_args(Reason)}))

_DELIVERY: Final = text("dlv_[a-z0-9]{1,64}_[a-z2-7]{52}")
DELIVERY_ID: Final = Parameter(
    "id", "A delivery.", _DELIVERY, place="path", example="dlv_aaaaaaaaaaaaaaaa_" + "a" * 52
)
REPLAY_ID: Final = Parameter(
    "id", "A replay.", text("rpl_[a-z2-7]{26}"), place="path", example="rpl_" + "a" * 26
)
REASON: Final = Parameter(
    "reason",
    "Why it is held, or how its last attempt ended; of a range, `retries`: so many wait for a retry at its "
    "endpoint that nothing new is begun with.",
    word(*REASONS),
    example="timed_out",
)
FILTERS: Final = (
    Parameter("state", "One state, or several with commas.", text("[a-z]+(,[a-z]+)*"), example="held,parked"),
    REASON,
    Parameter("endpoint", "The endpoint, `ep_...`."),
    Parameter("type", "The event's type."),
    instant("since", "Not before."),
    *PAGED,
)
LIST: Final = (
    "First what waits in ranges, then deliveries one by one, then what ended, newest first. A *range* stands "
    "for many events that wait for an endpoint that takes nothing now: `events` says how many at least, and "
    "none of them has an id yet. `next_at` of one that is pending: when its next attempt begins; null: it "
    "waits for its turn. "
    "A page may have fewer items than asked for, or none, and a `next` all the same."
)
SHOW: Final = (
    "`waits_for` is the delivery that goes before it in its order. "
    "`acknowledgement` is the receiver's own signature, where it gave one: a document by itself, which "
    "`gateway verify FILE --receiver-key KEY` verifies with nothing but the receiver's public key."
)
RETRY: Final = (
    "Whether it waits for its next attempt or its schedule is used up (then it is one attempt more). In an "
    "order it still goes after those before it: `waits_for` names the first of them. It repeats under the "
    "same `webhook-id`."
)
CANCEL: Final = (
    "It is never sent again, by no replay either; an attempt that is under way ends. What stood behind it in "
    "an order goes on. An entry of the log says who gave it up."
)
CREATE: Final = (
    "Reads the events of a time again and hands those that are owed to their endpoints, under their first "
    "`webhook-id`, at the given rate, behind what waits already. It goes on over restarts; a paused endpoint "
    "holds it up. With `dry_run` it counts, and hands over nothing."
)
WANTED: Final[Shape] = record(
    {"since": text(least=1)},
    optional={
        "until": text(least=1),
        "endpoint": maybe(text("ep_[a-z0-9]{1,64}")),
        "which": word(*WHICH),
        "types": listed(text(least=1)),
        "rate": maybe(whole(1, MOST_RATE)),
    },
)
