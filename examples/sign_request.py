# ruff: noqa: INP001 - a program by itself, in no package
"""A partner's sender: signs a request with its own key, by RFC 9421, and sends it.

Needs `cryptography` and nothing of the gateway: what a partner would write from the documentation alone.

    python examples/sign_request.py --key signing.pem --keyid crd_... URL < order.json

Prints the answer. Without a body on its standard input it sends a GET.

Source: RFC 9421; RFC 9530.
"""

import argparse
import base64
import hashlib
import secrets  # noqa: TID251 - a program of its own, with a chance of its own
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


def signed_headers(key: Ed25519PrivateKey, keyid: str, method: str, url: str, body: bytes) -> dict[str, str]:
    """Say which headers sign this request. `keyid`: the id of the credential with our public key."""
    target = urlsplit(url)
    covered = {"@method": method, "@authority": target.netloc.lower(), "@path": target.path}
    if target.query:
        covered["@query"] = f"?{target.query}"
    headers = {}
    if body:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {"content-type": "application/json", "content-digest": f"sha-256=:{digest}:"}
    covered |= headers
    names = " ".join(f'"{name}"' for name in covered)
    created = int(time.time())  # noqa: TID251 - a program of its own, with a clock of its own
    nonce = secrets.token_urlsafe(16)
    described = f'({names});created={created};nonce="{nonce}";keyid="{keyid}"'
    lines = [f'"{name}": {value}' for name, value in covered.items()]
    base = "\n".join([*lines, f'"@signature-params": {described}'])
    signature = base64.b64encode(key.sign(base.encode())).decode()
    return headers | {"signature-input": f"sig1={described}", "signature": f"sig1=:{signature}:"}


def send(method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """Send it as it was signed; status and text of the answer, whatever it is."""
    request = urllib.request.Request(url, body or None, headers, method=method)  # noqa: S310 - our own URL
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def main() -> int:
    """Sign and send what the command line names."""
    parser = argparse.ArgumentParser(description="Send a signed request.")
    parser.add_argument("--key", type=Path, required=True, help="Ed25519 private key, PEM")
    parser.add_argument("--keyid", required=True, help="id of the credential with its public key")
    parser.add_argument("url", help="as the gateway's origin has it")
    given = parser.parse_args()
    key = load_pem_private_key(given.key.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        parser.error("this example signs with Ed25519 keys: openssl genpkey -algorithm ed25519")
    body = sys.stdin.buffer.read()
    method = "POST" if body else "GET"
    status, text = send(method, given.url, signed_headers(key, given.keyid, method, given.url, body), body)
    sys.stdout.write(f"{text}\n")
    return 0 if status < 300 else 1  # noqa: PLR2004 - what was taken


if __name__ == "__main__":
    sys.exit(main())
