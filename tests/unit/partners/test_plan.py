"""What a new contract changes, in values and in words."""

import pytest

from partners.contract import ContractFile
from partners.contract_file import attach_files, read_contract
from partners.plan import Difference, diff, render_plan, size_words

OLD = """\
gateway: v1
partner: acme
name: Acme
sends:
  order.placed: {schema: order.avsc, id: /id}
receives:
  order.accepted: {schema: accepted.avsc}
  invoice.sent: {schema: invoice.avsc}
limits: {events_per_second: 100}
endpoints:
  verification: none
  declared:
    - {name: orders, url: "https://a.example/in"}
    - {name: old, url: "https://hooks.acme.example/old"}
"""
NEW = """\
gateway: v1
partner: acme
name: Acme
sends:
  order.placed: {schema: order.avsc, id: [/id, /day], accept_versions: 3}
  price.quoted: {schema: price.avsc}
receives:
  order.accepted: {schema: accepted.avsc}
limits: {events_per_second: 200, endpoints: 1}
authentication: {accept: [api_key, hmac], require_signature: true}
endpoints:
  verification: none
  declared:
    - {name: orders, url: "https://a.example/in2", rate: 5/s}
"""
PLAN = """\
acme   contract 7 -> 8
  ~ sends          order.placed  id /id -> /id /day; accept_versions 2 -> 3; \
repeats become new events  destructive
  + sends          price.quoted  price.avsc
  - receives       invoice.sent  destructive
  ~ authentication accept api_key -> api_key hmac; require_signature false -> true
  ~ limits         events_per_second 100 -> 200; endpoints none -> 1
  ~ endpoint       orders  url https://a.example/in -> https://a.example/in2; rate none -> 5/s
  - endpoint       old  destructive
  note
1 to add, 4 to change, 2 to remove.
"""


def read(text: str, schema: str = "{}") -> ContractFile:
    file = read_contract(text, name="acme.yaml")
    return attach_files(file, dict.fromkeys(file.paths(), schema))


def test_addresses_are_told_where_they_change() -> None:
    limited = NEW.replace("require_s", "addresses: [203.0.113.0/24, 2001:db8::1], require_s")
    (one,) = diff(read(NEW), read(limited))
    assert one == Difference("~", "authentication", "", "addresses any -> 203.0.113.0/24 2001:db8::1/128")


def test_every_kind_of_difference_is_found() -> None:
    assert diff(read(OLD), read(NEW)) == (
        Difference(
            "~",
            "sends",
            "order.placed",
            "id /id -> /id /day; accept_versions 2 -> 3; repeats become new events",
            is_destructive=True,
        ),
        Difference("+", "sends", "price.quoted", "price.avsc"),
        Difference("-", "receives", "invoice.sent", "", is_destructive=True),
        Difference(
            "~", "authentication", "", "accept api_key -> api_key hmac; require_signature false -> true"
        ),
        Difference("~", "limits", "", "events_per_second 100 -> 200; endpoints none -> 1"),
        Difference(
            "~",
            "endpoint",
            "orders",
            "url https://a.example/in -> https://a.example/in2; rate none -> 5/s",
        ),
        Difference("-", "endpoint", "old", "", is_destructive=True),
    )


@pytest.mark.parametrize(
    ("before", "after", "is_losing"),
    [
        ("", "keep: {content: 7d}\n", True),
        ("keep: {content: 7d, evidence: 7y}\n", "keep: {content: 7d, evidence: 7d}\n", True),
        ("keep: {content: 7d}\n", "keep: {content: 8d}\n", False),
        ("keep: {content: 7d}\n", "keep: {content: 90d, evidence: 8y}\n", False),
    ],
)
def test_what_is_kept_for_a_shorter_time_is_lost(before: str, after: str, *, is_losing: bool) -> None:
    (one,) = diff(read(OLD + before), read(OLD + after))
    assert (one.section, one.is_destructive) == ("keep", is_losing)


def test_the_same_contract_differs_in_nothing() -> None:
    assert diff(read(OLD), read(OLD)) == ()


def test_another_layout_of_the_same_terms_differs_in_nothing() -> None:
    assert (
        diff(
            read(OLD),
            read("# a comment\n" + OLD.replace("{events_per_second: 100}", "\n  events_per_second: 100")),
        )
        == ()
    )


def test_a_changed_schema_is_seen_under_an_unchanged_path() -> None:
    found = diff(read(OLD), read(OLD, '{"a": 1}'))
    assert [(one.path, one.words) for one in found] == [
        ("/sends/order.placed", "schema changed"),
        ("/receives/order.accepted", "schema changed"),
        ("/receives/invoice.sent", "schema changed"),
    ]


def test_a_first_contract_adds_types_and_endpoints() -> None:
    found = diff(None, read(OLD))
    assert {one.sign for one in found} == {"+"}
    assert [one.path for one in found] == [
        "/sends/order.placed",
        "/receives/order.accepted",
        "/receives/invoice.sent",
        "/endpoint/orders",
        "/endpoint/old",
    ]


def test_a_plan_reads_as_a_diff() -> None:
    text = render_plan("acme", diff(read(OLD), read(NEW)), revision=7, notes=("note",))
    assert text + "\n" == PLAN


def test_a_plan_that_changes_nothing_says_so() -> None:
    assert render_plan("acme", (), revision=7) == "acme   contract 7: no change"


def test_a_plan_for_a_new_partner_says_so() -> None:
    text = render_plan("acme", diff(None, read(OLD)), revision=0)
    assert text.startswith("acme   contract 1 (new partner)\n")
    assert text.endswith("5 to add.")


def test_a_plan_for_a_new_partner_without_any_type_makes_a_partner_all_the_same() -> None:
    text = render_plan("acme", (), revision=0, notes=("note",))
    assert text == "acme   contract 1 (new partner)\n  note\n0 to add."


def test_a_plan_says_of_a_removal_whom_it_hits() -> None:
    gone = Difference("-", "endpoint", "old", "8 deliveries pending", is_destructive=True)
    lines = render_plan("acme", (gone,), revision=7).splitlines()
    assert lines[1] == "  - endpoint old  destructive: 8 deliveries pending"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (1, "1B"),
        (1_023, "1023B"),
        (1_024, "1KiB"),
        (5 * 2**30, "5GiB"),
        (3 * 2**20 + 1, "3145729B"),
    ],
)
def test_sizes_are_told_as_contracts_have_them(count: int, text: str) -> None:
    assert size_words(count) == text


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("", "delivery: {hold: 60d}\n", "hold none -> 60d"),
        ("delivery: {hold: 30d}\n", "delivery: {hold: 36h}\n", "hold 30d -> 36h"),
        ("delivery: {hold: 90s}\n", "delivery: {hold: 0s}\n", "hold 90s -> 0s"),
        ("delivery: {hold: 5m}\n", "", "hold 5m -> none"),
    ],
)
def test_how_long_is_held_is_told_as_a_contract_has_it(was: str, now: str, words: str) -> None:
    assert diff(read(OLD + was), read(OLD + now)) == (Difference("~", "delivery", "", words),)
