"""The verifier in docs/webhooks.md, on vectors that others may use for theirs."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from audit.ref import format_ref
from gateway.event import EventKey
from gateway.standard_webhooks import parse_secret, read_message
from tests.webhook_page import PAGE, verifier

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "webhooks.json").read_text())
CASES = VECTORS["cases"]


def headers_of(case: dict[str, Any]) -> dict[str, str]:
    return {
        "webhook-id": case["webhook_id"],
        "webhook-timestamp": str(case["webhook_timestamp"]),
        "webhook-signature": case["webhook_signature"],
    }


@pytest.mark.parametrize("case", CASES, ids=[one["name"] for one in CASES])
def test_the_pages_verifier_says_of_each_vector_what_it_should(case: dict[str, Any]) -> None:
    space = verifier()
    body = base64.b64decode(case["body_base64"])

    def signature() -> None:
        now = case["webhook_timestamp"]
        found = space["verify_v1a"](headers_of(case), body, VECTORS["jwks"], now=now)
        assert found == case["webhook_id"]

    def recipient() -> None:
        space["verify_recipient"](case["webhook_id"], case["partner"], case["source"], case["id"])

    steps: dict[str, Callable[[], None]] = {"signature": signature, "recipient": recipient}
    for name, step in steps.items():
        if case["refused"] == name:
            with pytest.raises(ValueError, match=r"signature fits|another partner"):
                step()
        elif case["refused"] is None:
            step()


@pytest.mark.parametrize(
    "case", [one for one in CASES if one["refused"] is None], ids=lambda one: one["name"]
)
def test_our_own_verifier_agrees(case: dict[str, Any]) -> None:
    body = base64.b64decode(case["body_base64"])
    message = read_message(headers_of(case))
    message.verify_v1(body, [parse_secret(VECTORS["secret"])])
    key = base64.b64decode(VECTORS["public_key"].removeprefix("whpk_"))
    message.verify_v1a(body, key)


def test_a_whole_event_is_read_and_an_old_one_is_not() -> None:
    case, space = CASES[0], verifier()
    body, at = base64.b64decode(case["body_base64"]), case["webhook_timestamp"]
    event = space["verify_webhook"](headers_of(case), body, VECTORS["jwks"], "acme", now=at + 300)
    assert event["id"] == "A-1001"
    with pytest.raises(ValueError, match="too far"):
        space["verify_v1a"](headers_of(case), body, VECTORS["jwks"], now=at + 301)
    with pytest.raises(ValueError, match="no v1a"):
        space["verify_v1a"](
            headers_of(case), body, {"keys": [{**VECTORS["jwks"]["keys"][0], "purpose": "x"}]}, now=at
        )


def test_what_another_partner_sent_is_named_after_its_sender() -> None:
    """Forwarded events, and all that an endpoint of the house gets: the receiver says whose it takes."""
    verify = verifier()["verify_recipient"]
    named = format_ref(EventKey("acme", "inbound", "/partners/acme", "A-1").ref())
    told = ("/partners/acme", "A-1")
    verify(named, "globex", *told, senders=["other", "acme"])
    verify(named, "acme", *told, senders=["acme"])
    for partner, senders in (("globex", []), ("globex", ["other"]), ("acme", [])):
        with pytest.raises(ValueError, match="another partner"):
            verify(named, partner, *told, senders=senders)


def test_the_page_shows_the_first_vector() -> None:
    case = CASES[0]
    for text in (
        case["webhook_id"],
        case["webhook_signature"],
        base64.b64decode(case["body_base64"]).decode(),
    ):
        assert f"`{text}`" in PAGE
    assert VECTORS["jwks"]["keys"][0]["x"] in PAGE


def test_the_packages_of_others_are_not_disturbed_by_v1a() -> None:
    case = CASES[0]
    body = base64.b64decode(case["body_base64"])
    hook = standardwebhooks.Webhook(VECTORS["secret"])
    signature = case["webhook_signature"].split(" ")[0]
    # The package judges the time by the clock of the machine: only its comparison is asked for.
    at = datetime.fromtimestamp(case["webhook_timestamp"], UTC)
    assert hook.sign(case["webhook_id"], at, body.decode()) == signature
