"""A receiver's acknowledgement by itself, outside of a bundle: what does its key alone prove?

Either the document that the gateway gives of a delivery (or the whole delivery, which has it as a member), or
a statement as its receiver posted it, a compact JWS. Nothing in them is signed by the gateway.

Source: docs/formats.md, section 6, the acknowledgement; RFC 9421; RFC 7515.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from audit.case import Case, Sentence
from audit.failures import UnpinnedKeyError, VerificationError
from audit.papers import decode_base64, expect, read_json
from audit.parties import algorithm_of, read_token

_WHAT: Final = "acknowledgement"
_NAMES: Final = ("ref", "key", "token")
_CREATED: Final = re.compile(r";created=([0-9]{1,11})(?:;|$)")


def add_acknowledgement(case: Case, raw: bytes, content: bytes | None) -> dict[tuple[str, str], str]:
    """Verify an acknowledgement by the keys that the caller gave; the digest of the content that it names.

    1. Take it apart: what was signed is of a success, and names the event. 2. One of the caller's keys must
    have made the signature. 3. Other papers must be about the same event. 4. Say what nobody has signed.

    Raises:
        MalformedError: it is no acknowledgement.
        UnpinnedKeyError: none of the caller's keys has signed it.
        VerificationError: it is about another event, or about no content where the caller has one.
    """
    document = _read(raw)
    said = read_token(document)  # 1
    is_by_one = any(algorithm_of(key, said) is not None for key in case.pinned.parties)
    text = (
        "signed by a key you have not pinned" if not case.pinned.parties else "not by the key that you gave"
    )
    expect(is_by_one, f"{_WHAT}: {text} ({said.name})", UnpinnedKeyError)  # 2
    others = {str(one["ref"]) for one in case.records.values() if one.get("ref")} - {document["ref"]}
    expect(not others, f"{_WHAT}: of {document['ref']}, and other papers of {others}", VerificationError)  # 3
    is_comparable = said.content or content is None or case.records
    text = "what was signed names no content, so that your copy cannot be compared with it"
    expect(is_comparable, f"{_WHAT}: {text}", VerificationError)
    case.proved.append(f"what was signed names the event {document['ref']}")
    last = said.message.rpartition(b"\n")[2].decode("latin-1")
    if last.startswith('"@signature-params": ') and (created := _CREATED.search(last)) is not None:
        at = datetime.fromtimestamp(int(created[1]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case.proved.append(f"the signer says that it signed at {at}, by its own clock")
    if document.get("endpoint"):  # 4
        place = document["endpoint"], document.get("at")
        where = Sentence().format("it was for {}, and came at {}", *place)
        case.word.append(f"that {where}: the document says so, and nobody has signed that")
    if not case.records:
        case.not_proved.append(
            "that the gateway accepted or sent it: nothing in here is signed by the gateway"
        )
        case.not_proved.append("that a log holds it: a bundle of evidence shows that")
    # What was verified, and nothing else of a document that nobody has signed: records name what is compared.
    checked = {name: document[name] for name in _NAMES}
    case.records[b""] = {"kind": "delivery.acknowledged", **checked}
    return {("content", said.content): "delivery.acknowledged"} if said.content else {}


def _read(raw: bytes) -> Mapping[str, Any]:
    """Event, key and token, and whatever else the document says."""
    if not raw.startswith(b"{"):
        return _of_statement(raw)
    whole = read_json(raw, _WHAT)
    document = whole.get(_WHAT, whole)
    is_whole = isinstance(document, dict) and all(isinstance(document.get(one), str) for one in _NAMES)
    expect(is_whole, f"{_WHAT}: expected {', '.join(_NAMES)}; a bundle has a receipt or a proof")
    return document if isinstance(document, dict) else {}


def _of_statement(raw: bytes) -> Mapping[str, Any]:
    """A statement names event and key itself."""
    token = raw.decode("ascii", "replace")
    header, payload = (
        read_json(decode_base64(part, f"{_WHAT} or receipt", is_url=True), f"{_WHAT} or receipt")
        for part in token.split(".")[:2]
    )
    is_whole = isinstance(header.get("kid"), str) and isinstance(payload.get("webhook_id"), str)
    expect(is_whole, f"{_WHAT} or receipt: a statement has kid in its header and names a webhook_id")
    return {"ref": payload["webhook_id"], "key": header["kid"], "token": token}
