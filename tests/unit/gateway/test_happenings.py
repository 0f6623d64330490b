"""What is told fits the schema it is told with, and of what happens often only a sample is told."""

import json

import pytest

from gateway import happenings, operational
from gateway.announcements import Announcement
from gateway.happenings import HOUR_MS, Sample
from partners.credential import Credential
from partners.endpoint import Endpoint
from schemas.codec import compile_codec

NOW = 1_795_352_745_123
HOOK = Endpoint(
    id="ep_1",
    partner="acme",
    name="hook",
    url="https://hooks.acme.example/in",
    types=frozenset(),
    order="none",
    concurrency=4,
    per_second=None,
    delays=(0,),
    keys=(),
    state="active",
)
KEY = Credential(
    id="crd_1",
    partner="acme",
    role="partner",
    method="api_key",
    match="k1",
    secret=b"hidden",
    scopes=frozenset({"send"}),
    not_before=0,
    not_after=NOW + 1,
    revoked_at=None,
    name="erp",
    revoked_for="lost",
)
EVENT = {"ref": "evt_a", "source": "/house", "id": "A-1", "type": "order.accepted"}
TOLD: list[Announcement] = [
    happenings.endpoint_failing(HOOK, reason="timed_out", since=NOW - 9, now=NOW),
    happenings.endpoint_recovered(HOOK, since=NOW - 9, now=NOW),
    happenings.endpoint_disabled(HOOK, reason="failing", now=NOW),
    happenings.endpoint_secret_rotated(HOOK, secret="sec_1", action="added", now=NOW),
    happenings.delivery_parked(HOOK, EVENT, attempts=3, reason="client_error", now=NOW),
    happenings.event_refused(
        "acme",
        {"direction": "inbound", "type": "é\ud800"},
        code="event_invalid",
        faults=[("/qty", "type")] * 30,
        faults_total=30,
        now=NOW,
    ),
    happenings.record_unreadable("acme", topic="t", partition=0, offset=1 << 40, code="no_value", now=NOW),
    happenings.credential_expiring("acme", KEY, days=14, now=NOW),
    happenings.credential_revoked("acme", KEY, now=NOW),
    happenings.quota_near("acme", limit="bytes_per_day", most=1 << 40, used=1 << 39, resets_at=NOW, now=NOW),
    happenings.log_checkpoint_late("acme", origin="gw/log/x/1", size=9, published=3, since=NOW, now=NOW),
]


@pytest.mark.parametrize("one", TOLD, ids=lambda one: one.type)
def test_it_fits_its_schema(one: Announcement) -> None:
    kind = operational.kind_of(one.type)
    assert kind is not None
    text = one.data.replace("\\ud800", "")
    codec = compile_codec(kind.schema, (), "plain")
    assert codec.json_from_avro(codec.avro_from_json(text.encode()).avro)
    assert one.id.startswith(f"{one.type}/")
    assert json.loads(one.data)["partner"] == "acme" == one.partner


def test_every_type_but_the_contracts_is_made_here() -> None:
    assert {one.type for one in TOLD} | {operational.CONTRACT_CHANGED} == set(operational.types())


def test_no_secret_and_no_url_is_told() -> None:
    text = "".join(one.data for one in TOLD)
    assert "hidden" not in text
    assert "https://" not in text


def test_a_sample_takes_the_first_few_of_each_in_an_hour() -> None:
    sample = Sample(2)
    start = NOW - NOW % HOUR_MS
    assert [sample.takes(("a",), start + n) for n in range(4)] == [True, True, False, False]
    assert sample.takes(("b",), start)
    assert [sample.takes(("a",), start + HOUR_MS + n) for n in range(3)] == [True, True, False]


def test_the_same_thing_told_twice_has_one_id() -> None:
    later = happenings.credential_expiring("acme", KEY, days=14, now=NOW + 5_000)
    assert later.id == happenings.credential_expiring("acme", KEY, days=14, now=NOW).id
    other = happenings.credential_expiring("acme", KEY, days=1, now=NOW)
    assert other.id != later.id
