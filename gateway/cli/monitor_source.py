"""A gateway as a monitor reads it: over HTTP, each answer within bounds, nothing followed or believed."""

import json
import re
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from audit.errors import MalformedError
from audit.evidence import EVIDENCE_BYTES
from audit.log_source import BUNDLE_BYTES, TILE_BYTES, AnswerUnfitError, LogAwayError, LogMissingError
from audit.note import decode_base64, parse_verifier_key
from audit.receipt import JWKS_BYTES
from audit.tile import Tile, format_tile_path
from gateway.cli.client import Answer, Client, Params, path_of
from gateway.cli.errors import AnswerError, ProblemError, UnreachableError

CHECKPOINT_BYTES: Final = 64 * 1024
DOCUMENT_BYTES: Final = 4 * 2**20
SECONDS: Final = 30.0
_GZIP: Final = 31
"""Window and format, as zlib takes them."""

_ORIGIN: Final = re.compile(r"[^/\s+]+(/log/[a-z0-9_-]{1,64}/(?:0|[1-9][0-9]{0,8}))", re.ASCII)
_OK, _REDIRECT, _REFUSED, _BUSY, _FAILED = 200, 300, 400, 429, 500
_FORBIDDEN: Final = frozenset({401, 403})
_NOT_THERE: Final = frozenset({404, 409, 410})


@dataclass(frozen=True, slots=True)
class Me:
    """Who the credential is of, and the epochs of its log, oldest first: origins, and keys by origin."""

    partner: str
    origins: tuple[str, ...]
    keys: Mapping[str, tuple[bytes, ...]] = field(repr=False)


@dataclass(slots=True)
class HttpSource:
    """Fits `audit.log_source.Source`. `ticks`: seconds of a clock that nobody sets."""

    client: Client
    ticks: Callable[[], float]

    def checkpoint(self, origin: str) -> bytes:
        """See the port."""
        return self._read(f"{log_path(origin)}/checkpoint", most=CHECKPOINT_BYTES)

    def entries(self, origin: str, tile: Tile) -> bytes:
        """See the port."""
        return self._read(f"{log_path(origin)}/{format_tile_path(tile)}", most=BUNDLE_BYTES)

    def hashes(self, origin: str, tile: Tile) -> bytes:
        """See the port."""
        return self._read(f"{log_path(origin)}/{format_tile_path(tile)}", most=TILE_BYTES)

    def evidence(self, origin: str, index: int) -> bytes:
        """See the port."""
        return self._read(f"{log_path(origin)}/evidence/{index}", most=EVIDENCE_BYTES)

    def proof(self, ref: str) -> bytes:
        """See the port."""
        return self._read(path_of("v1", "history", ref, "proof"), most=CHECKPOINT_BYTES)

    def origins(self) -> Sequence[str]:
        """See the port."""
        return self.me().origins

    def log_keys(self) -> Sequence[bytes]:
        """See the port."""
        return [key for keys in self.me().keys.values() for key in keys]

    def compromised_keys(self) -> Collection[bytes]:
        """See the port."""
        told = self.document("/.well-known/partner-gateway")
        listed = [told.get(name) for name in ("checkpoint_key_history", "freshness_key_history")]
        return {key for one in listed if isinstance(one, list) for key in map(_compromised, one) if key}

    def freshness_keys(self) -> Sequence[str]:
        """See the port."""
        told = self.document("/.well-known/partner-gateway").get("freshness_keys", [])
        return [one for one in told if isinstance(one, str)] if isinstance(told, list) else []

    def me(self) -> Me:
        """Who we are, says the gateway. Raises as the port."""
        document = self.document("/v1/me")
        try:
            partner, logs = document["partner"]["slug"], document["logs"]
            keys = {
                str(one["origin"]): tuple(parse_verifier_key(text).public_key for text in one["keys"])
                for one in logs
            }
        except (KeyError, TypeError, AttributeError, MalformedError) as error:
            raise AnswerUnfitError("/v1/me does not tell a partner and its log") from error
        return Me(str(partner), tuple(keys), keys)

    def receipt_keys(self) -> bytes:
        """The JWK set. Raises as the port."""
        return self._read("/.well-known/jwks.json", most=JWKS_BYTES)

    def document(self, path: str, params: Params | None = None) -> Mapping[str, Any]:
        """A JSON object. Raises as the port."""
        raw = self._read(path, params, most=DOCUMENT_BYTES)
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise AnswerUnfitError(f"{path} is answered with something else than JSON") from error
        if not isinstance(found, dict):
            raise AnswerUnfitError(f"{path} is answered with something else than a JSON object")
        return found

    def _read(self, path: str, params: Params | None = None, *, most: int) -> bytes:
        try:
            answer = self.client.bounded(path, params, most=most, seconds=SECONDS, ticks=self.ticks)
        except UnreachableError as error:
            raise LogAwayError(f"{error}") from error
        except AnswerError as error:
            raise AnswerUnfitError(f"{path}: {error}") from error
        _verify_status(path, answer)
        return _plain(path, answer, most)


def log_path(origin: str) -> str:
    """The path of a log by its origin, whatever host it names.

    Raises:
        AnswerUnfitError: it is no origin of a log.
    """
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        raise AnswerUnfitError(f"{origin!r} is no origin of a log")
    return match[1]


def _compromised(told: Any) -> bytes:
    """The public key of an entry of a history of keys, if it is marked; of one that is none nothing."""
    if isinstance(told, dict) and told.get("compromised_at") is not None:
        with suppress(MalformedError):
            return decode_base64(str(told.get("public_key")), "public_key")
    return b""


def _verify_status(path: str, answer: Answer) -> None:
    status = answer.status
    if status == _OK:
        return
    if status in _NOT_THERE:
        raise LogMissingError(f"{path} is answered with {status}")
    if status in _FORBIDDEN:
        raise _problem(path, answer)
    if status == _BUSY or status >= _FAILED:
        raise LogAwayError(f"{path} is answered with {status}")
    what = "a redirect, which is not followed" if _REDIRECT <= status < _REFUSED else f"{status}"
    raise AnswerUnfitError(f"{path} is answered with {what}")


def _problem(path: str, answer: Answer) -> ProblemError:
    """A refusal of the credential: no matter of the log."""
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        document = {"code": "credential_invalid", "detail": f"the credential is refused ({answer.status})"}
    return ProblemError(document, status=answer.status, retry_after_seconds=None, path=path)


def _plain(path: str, answer: Answer, most: int) -> bytes:
    """The content without its coding: a log may compress though nobody asked for it."""
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"", "identity"}:
        return answer.content
    if coding != "gzip":
        raise AnswerUnfitError(f"{path} is coded as {coding[:40]!r}")
    inflate = zlib.decompressobj(_GZIP)
    try:
        raw = inflate.decompress(answer.content, most + 1)
    except zlib.error as error:
        raise AnswerUnfitError(f"{path} says that it is gzip, and is not") from error
    if len(raw) > most or not inflate.eof or inflate.unused_data:
        raise AnswerUnfitError(f"{path} inflates to more than {most} bytes, or to a part of something")
    return raw
