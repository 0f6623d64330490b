import pytest

from gateway.channels import id_from, pointers_of
from partners.contract import IdRule, Line, Terms
from tests.unit.gateway.ingress.channels import channel

ID = {"name": "id", "type": "string"}


def test_an_id_needs_every_part() -> None:
    rule = IdRule("pointers", ("/a", "/b"))
    assert id_from(rule, {"/a": "1", "/b": "2"}) == "1:2"
    assert id_from(rule, {"/a": "1", "/b": None}) is None
    assert id_from(rule, {"/a": "1", "/b": ""}) is None
    assert id_from(rule, {"/a": "1"}) is None
    assert id_from(IdRule("required"), {"/a": "1"}) is None


def test_different_parts_make_different_ids() -> None:
    rule = IdRule("pointers", ("/a", "/b"))
    assert id_from(rule, {"/a": "1:2", "/b": "3"}) != id_from(rule, {"/a": "1", "/b": "2:3"})


def test_each_pointer_is_wanted_once_in_a_fixed_order() -> None:
    rule = IdRule("pointers", ("/id", "/at"))
    terms = Terms("t", "inbound", "s", rule, "/key", "/at", ("/id", "/x"), "plain", "BACKWARD", 1, None)
    assert pointers_of(Line(terms, "", ())) == ("/id", "/at", "/key", "/x")


def test_every_accepted_version_is_readable_newest_first() -> None:
    on = channel([ID, {"name": "n", "type": "int"}], [ID])
    assert [one.number for one in on.readable()] == [2, 1]
    assert (on.versions[0].ref.id, on.versions[0].ref.guid) == (42, on.versions[0].schema.guid)


def test_a_channel_knows_its_partners_source() -> None:
    assert (channel([ID]).source, channel([ID]).direction) == ("/partners/acme", "inbound")


@pytest.mark.parametrize(("text", "key"), [("kö", "kö".encode()), ("", b""), (None, None)])
def test_the_record_key_is_utf_8(text: str | None, key: bytes | None) -> None:
    assert channel([ID], key="/id").key_of({"/id": text}) == key


@pytest.mark.parametrize(
    ("text", "time"), [("2026-11-22T13:05:00Z", "2026-11-22T13:05:00Z"), ("2026-11-22", None), (None, None)]
)
def test_a_time_is_a_time_or_nothing(text: str | None, time: str | None) -> None:
    assert channel([ID], time="/id").time_of({"/id": text}) == time
    assert channel([ID]).time_of({"/id": text}) is None
