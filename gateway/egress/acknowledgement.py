"""A receiver's signature over its answer to a POST: it has the delivery, and cannot deny that later.

What is kept is the exact text that was signed, and the signature, so that others can verify it without us.
One that does not hold proves nothing, and changes nothing about the delivery.

Source: RFC 9421, sections 2.2.9, 2.4 and 3.2: a response that is bound to its request; RFC 9530.
"""

import base64
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import urlsplit

from gateway.auth.content_digest import FIELD, read_digests
from gateway.auth.public_key import PublicKey, load_key
from gateway.auth.signature_base import site_of
from gateway.auth.signature_fields import Component, Described, read_bytes, read_descriptions, refused
from gateway.auth.signature_policy import verify_parameters, verify_time
from gateway.dialler import BODY_BYTES, Answer, Outgoing
from gateway.errors import CallerError
from gateway.origin_evidence import Origin
from gateway.standard_webhooks import ID_HEADER
from partners.credential import Credential, verify_in_force
from partners.directory import Directory
from partners.errors import CredentialError

TAG: Final = "gateway-acknowledgement"
BASE_BYTES: Final = 4_096

_OF_REQUEST: Final = re.compile(
    r"webhook-(?:id|timestamp|signature)|content-digest|content-type|ce-[a-z0-9]+"
)
"""Fields of our POST that may be covered. No other: what is covered is shown as evidence; some are secret."""

_SECRETS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_TOKEN: Final = re.compile(r"[a-z0-9!#$%&'*+\-.^_`|~]{1,128}")
_VALUE: Final = re.compile(r"[\t -~]*")
_EMPTY: Final = hashlib.sha256(b"").digest()


def digest_header(body: bytes) -> tuple[str, str]:
    """The `Content-Digest` of a POST, which its receiver may cover. Source: RFC 9530."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")
    return "Content-Digest", f"sha-256=:{digest}:"


def verify_answer(
    outgoing: Outgoing, answer: Answer, directory: Directory, partner: str, *, now: int
) -> Origin | None:
    """Find the receiver's signature over its answer; None: it did not sign a success.

    Steps, each of which refuses: 1. one signature is meant; 2. its parameters are known ones, and its time is
    now; 3. it covers all that it must; 4. its key is one that this partner has registered, and in force;
    5. it fits the answer and our POST; 6. what it says of the body is so.

    Raises:
        CallerError: `signature_invalid` and others of message signatures: it proves nothing.
    """
    if answer.failure is not None or not answer.headers:
        return None
    described, signature = _choose(answer)  # 1
    verify_parameters(described)  # 2
    verify_time(described, now=now)
    _verify_coverage(described, has_body=answer.body_sha256 != _EMPTY)  # 3
    credential, key = find_key(directory, partner, described.string("keyid") or "", now=now)  # 4
    if described.string("alg") not in {None, key.algorithm}:
        raise refused("alg", f"the key of this credential signs by {key.algorithm}")
    base = _base(outgoing, answer, described)  # 5
    if not key.fits(signature, base):
        raise refused("signature", "it is not this key's over the answer and the request as they were")
    _verify_body(answer, described)  # 6
    return Origin(key.algorithm, credential.id, base, signature)


def _choose(answer: Answer) -> tuple[Described, bytes]:
    fields = {name: ", ".join(v for n, v in answer.headers if n == name) for name, _ in answer.headers}
    descriptions = read_descriptions(fields["signature-input"])
    values = read_bytes("signature", fields["signature"])
    if descriptions.keys() != values.keys():
        raise refused("signature", "Signature and Signature-Input must have the same labels")
    ours = [label for label, one in descriptions.items() if one.parameters.get("tag") == f'"{TAG}"']
    if len(descriptions) == 1 and not ours:
        ours = [label for label, one in descriptions.items() if "tag" not in one.parameters]
    if len(ours) != 1:
        raise refused("tag", f'exactly one signature is meant: the one with tag="{TAG}", or the only one')
    return descriptions[ours[0]], values[ours[0]]


def _verify_coverage(described: Described, *, has_body: bool) -> None:
    covered = {(one.name, "req" in one.parameters) for one in described.components}
    wanted = [("@status", False), (ID_HEADER, True), *([(FIELD, False)] if has_body else [])]
    for name, is_of_request in wanted:
        if (name, is_of_request) not in covered:
            raise refused(
                name, "the signature must cover it" + (" of the request (;req)" if is_of_request else "")
            )


def find_key(directory: Directory, partner: str, name: str, *, now: int) -> tuple[Credential, PublicKey]:
    """Find the public key that a signature names, among those of this partner that are in force.

    Raises:
        CallerError: there is none, or it cannot be used.
    """
    credential = directory.credential("message_signature", name)
    if credential is None or credential.partner != partner:
        raise CallerError("credential_invalid", '"keyid": there is no such key of this partner.')
    try:
        verify_in_force(credential, now=now)
    except CredentialError as error:
        raise CallerError(error.code, f"{error}.") from error
    return credential, load_key(credential.secret)


def _base(outgoing: Outgoing, answer: Answer, described: Described) -> bytes:
    lines: dict[str, str] = {}
    for component in described.components:
        name = component.item + "".join(f";{one}" for one in component.parameters)
        if not component.name or component.parameters not in ({}, {"req": "?1"}) or name in lines:
            raise refused(
                component.name[:128] or "signature-input", "it is covered twice, or in a form not known here"
            )
        lines[name] = f"{name}: {_value(component, outgoing, answer)}"
    base = "\n".join([*lines.values(), f'"@signature-params": {described.text()}']).encode("ascii")
    if len(base) > BASE_BYTES:
        raise refused("signature-input", f"what is covered may have {BASE_BYTES} bytes")
    return base


def _value(component: Component, outgoing: Outgoing, answer: Answer) -> str:
    name = component.name
    if "req" in component.parameters:
        values = [_of_request(name, outgoing)]
    elif name == "@status":
        values = [str(answer.status)]
    elif _TOKEN.fullmatch(name) is None or name in _SECRETS or name in {"signature", "signature-input"}:
        raise refused(name[:128], "an acknowledgement covers @status and header fields, but no secret ones")
    else:
        values = [value.strip(" \t") for one, value in answer.headers if one == name]
    if not values:
        raise refused(name, "the signature covers it, and it is not in the answer")
    whole = ", ".join(values)
    if _VALUE.fullmatch(whole) is None:
        raise refused(name, "a header field that is signed is ASCII, without control characters")
    return whole


def _of_request(name: str, outgoing: Outgoing) -> str:
    parts = urlsplit(outgoing.url)
    site = site_of(outgoing.url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    derived = {
        "@method": "POST",
        "@scheme": site.scheme,
        "@authority": site.authority,
        "@path": parts.path or "/",
        "@query": f"?{parts.query}",
        "@request-target": target,
        "@target-uri": f"{site.scheme}://{site.authority}{target}",
    }
    found = [value for one, value in outgoing.headers if one.lower() == name]
    if name not in derived and (_OF_REQUEST.fullmatch(name) is None or len(found) != 1):
        raise refused(name[:128], "it is no part of the request that may be covered (;req)")
    return derived[name] if name in derived else found[0]


def _verify_body(answer: Answer, described: Described) -> None:
    if all(one.name != FIELD or "req" in one.parameters for one in described.components):
        return
    text = ", ".join(value for name, value in answer.headers if name == FIELD)
    digest = read_digests(text).get("sha-256")
    if digest is None:
        raise refused(FIELD, "the digest of an answer must be by sha-256")
    if not hmac.compare_digest(digest, answer.body_sha256):
        raise refused(FIELD, f"it is not that of the body that came, of which {BODY_BYTES} bytes are read")


def spoken(origin: Origin) -> str:
    """A signed answer as the text that its evidence keeps."""
    return origin.to_json().decode("ascii")
