import json

import pytest

from gateway.cli.hints import detail_in_words, hint_for
from gateway.http.catalogue import CATALOGUE
from tests.unit.gateway.cli.conftest import Desk

SAMPLE = "GET /v1/types/order.placed/sample shows what is expected."


@pytest.mark.parametrize(
    ("code", "hint", "path", "words"),
    [
        ("scope_missing", "Name the partner: x", "/v1/history", "Name the partner: --partner NAME"),
        ("scope_missing", "Name the partner: x", "/v1/events/a", "gateway send PARTNER TYPE @FILE"),
        ("scope_missing", "Name the partner: x", "/v1/stream", "gateway stream PARTNER"),
        ("scope_missing", "", "/v1/status", ""),
        ("event_invalid", SAMPLE, "/v1/events/order.placed", "gateway types sample order.placed shows"),
        (
            "event_invalid",
            SAMPLE,
            "/v1/partners/acme/events/order.placed",
            "gateway types sample order.placed --partner acme --direction outbound shows",
        ),
        ("change_destructive", "Say allow=destructive.", "/v1/partners/acme/contract", "--allow destructive"),
        ("change_destructive", "Say allow=destructive.", "/v1/partners/acme/contract", "--prune"),
        (
            "schema_incompatible",
            "Change it, or allow 'incompatible'.",
            "/v1/partners/acme/contract",
            "--allow",
        ),
        ("schema_incompatible", "Or the level there.", "/v1/partners/acme/contract", "the level there"),
        ("event_conflict", "As it came.", "/v1/events", "As it came."),
    ],
)
def test_a_hint_speaks_of_commands(code: str, hint: str, path: str, words: str) -> None:
    assert code in CATALOGUE
    said = hint_for(code, hint, path)
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("The query parameter since must be a time.", "--since must be a time."),
        ("The query parameter types takes a list of: a.", "--types takes a list of: a."),
        ("The member expires_at must be a time.", "--expires must be a time."),
        ("The member kind must be api_key.", "--kind must be api_key."),
        ("The member secret must be a text.", "The member secret must be a text."),
        ("The query parameter since stands more than once.", "--since stands more than once."),
        ("Nothing of the kind.", "Nothing of the kind."),
    ],
)
def test_what_is_wrong_is_told_of_the_option(detail: str, words: str) -> None:
    assert detail_in_words(detail) == words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("history", "list"), "--partner NAME"),
        (("types", "list"), "--partner NAME"),
        (("stream",), "gateway stream PARTNER"),
        (("send", "order.placed", "-"), "gateway send PARTNER TYPE @FILE"),
        (("history", "list", "-p", "acme", "--since", "x"), "--since must be"),
        (("stream", "acme", "--from", "x"), "--from must be"),
        (("send", "acme", "order.accepted", "-"), "gateway types sample order.accepted --partner acme"),
    ],
)
async def test_no_route_is_named_where_commands_are_typed(
    desk: Desk, arguments: tuple[str, ...], words: str
) -> None:
    ended = await desk.run(*arguments, stdin=b"{}")
    assert ended.code != 0
    assert words in ended.err
    assert "/v1/" not in ended.err


async def test_scripts_get_the_problem_as_the_gateway_gave_it(desk: Desk) -> None:
    ended = await desk.run("history", "list", "--json")
    assert "/v1/partners/{p}/history" in json.loads(ended.out)["hint"]


async def test_lines_of_a_batch_are_told_of_commands_too(desk: Desk) -> None:
    ended = await desk.run("send", "order.placed", "-", "--batch", stdin=b"{}\n", by="acme")
    assert "gateway types sample order.placed shows what is expected." in ended.err
