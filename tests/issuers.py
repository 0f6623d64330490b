"""An issuer of tokens on loopback, for tests: keys of every sort, any token, answers of any kind."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

DESCRIPTION = "/.well-known/openid-configuration"
KEYS = "/.well-known/jwks.json"

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8))


@dataclass(frozen=True)
class Signer:
    """A key of an issuer, with its name; signs whatever it is given."""

    kid: str
    key: Private
    algorithm: str

    def jwk(self, **more: object) -> dict[str, Any]:
        """The public half, and more members."""
        named: dict[str, Any] = {"kid": self.kid, "use": "sig", **more}
        public = self.key.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e), **named}
        if isinstance(public, ec.EllipticCurvePublicKey):
            size = (public.curve.key_size + 7) // 8
            crv = {"secp256r1": "P-256", "secp384r1": "P-384"}[public.curve.name]
            point = public.public_numbers()
            return {
                "kty": "EC", "crv": crv, "x": _number(point.x, size), "y": _number(point.y, size), **named
            }  # fmt: skip
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()), **named}

    def sign(self, raw: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(raw)
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(self.key.sign(raw, ec.ECDSA(SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        if self.algorithm == "PS256":
            return self.key.sign(raw, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
        return self.key.sign(raw, padding.PKCS1v15(), SHA256())

    def compact(self, header: bytes, payload: bytes) -> str:
        """A token of these very bytes."""
        signed = f"{b64(header)}.{b64(payload)}"
        return f"{signed}.{b64(self.sign(signed.encode()))}"

    def token(self, claims: Mapping[str, object], **header: object) -> str:
        whole = {"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt", **header}
        whole = {name: value for name, value in whole.items() if value is not None}
        return self.compact(json.dumps(whole).encode(), json.dumps(claims).encode())


def rsa_signer(kid: str, algorithm: str = "RS256", bits: int = 2048) -> Signer:
    return Signer(kid, rsa.generate_private_key(65_537, bits), algorithm)


def ec_signer(kid: str) -> Signer:
    return Signer(kid, ec.generate_private_key(ec.SECP256R1()), "ES256")


def ed_signer(kid: str, algorithm: str = "EdDSA") -> Signer:
    return Signer(kid, ed25519.Ed25519PrivateKey.generate(), algorithm)


def key_set(*keys: Mapping[str, object]) -> bytes:
    return json.dumps({"keys": keys}).encode()


@dataclass
class Issuer:
    """Answers by path; `asked`: every path in order. While `gate` is cleared nobody gets an answer."""

    url: str = ""
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def is_asked(self, times: int) -> None:
        """Wait until there have been so many questions."""
        async with self._heard:
            await self._heard.wait_for(lambda: len(self.asked) >= times)

    def has(self, *signers: Signer) -> None:
        """Publish these keys, as an issuer with a description does."""
        self.describes({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        self.answers["/keys"] = (200, "", key_set(*(one.jwk() for one in signers)))

    def describes(self, described: object) -> None:
        self.answers[DESCRIPTION] = (200, "", json.dumps(described).encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            async with self._heard:
                self.asked.append(path)
                self._heard.notify_all()
            await self.gate.wait()
            status, headers, body = self.answers.get(path, (404, "", b""))
            head_lines = f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\nConnection: close"
            writer.write(f"{head_lines}\r\n\r\n".encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """An issuer on a free port; it ends with the block."""
    issuer = Issuer()
    issuer.gate.set()
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        issuer.gate.set()
        server.close()
        await server.wait_closed()
