"""What the evidence of an attempt names: by what the event went out, and where it was read."""

import hashlib
from dataclasses import replace

from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivered, RetryAt
from tests.unit.gateway.egress.stage import SCHEMA, SCHEMA_ID, TOPIC, endpoint, record
from tests.unit.gateway.egress.test_lane import delivery
from tests.unit.gateway.egress.test_shard import NOW, attempt, made, receive, ticked

NAMED = ("schema", "record", "contract")


def test_each_attempt_says_by_what_the_event_went_out_and_where_it_was_read() -> None:
    shard = made(endpoint())
    receive(shard, 7)
    shard.settle(attempt(shard.take(NOW)[0][0], RetryAt(NOW)), NOW)
    shard.settle(attempt(shard.take(NOW)[0][0], Delivered()), NOW)
    said = [each.evidence.members for each in ticked(shard).evidence]
    datum = (record("e7").value or b"")[5:]
    place = {"topic": TOPIC, "topic_id": "id", "partition": 0, "offset": 7}
    subject = f"{TOPIC}-com.acme.Accepted"
    named = {"subject": subject, "version": 1, "id": SCHEMA_ID, "fingerprint": SCHEMA.fingerprint.hex()}
    expected = [named, {**place, "sha256": hashlib.sha256(datum).hexdigest()}, 1]
    assert [[one[name] for name in NAMED] for one in said] == [expected, expected]


def test_of_what_is_taken_up_from_its_row_the_place_is_known_and_no_more() -> None:
    shard = made(endpoint(), stored=Stored({}, (delivery(3),), ()))
    shard.settle(attempt(replace(shard.take(NOW)[0][0], body=b"{}"), Delivered()), NOW)
    (said,) = [each.evidence.members for each in ticked(shard).evidence]
    assert (said["schema"], said["contract"]) == (None, None)
    assert (said["record"]["offset"], said["record"]["sha256"]) == (3, None)
