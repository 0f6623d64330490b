"""One's own receipts for a monitor: from files that the partner keeps, and from what its history shows.

Only a receipt that a known key of the gateway has signed can be held against it. So one that a partner keeps
and that cannot is an alarm: a gateway that means to drop events would sign such ones alone.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from audit.alarm import Alarm, Suspicion
from audit.errors import AuditError, VerificationError
from audit.log_source import AnswerUnfitError, LogMissingError
from audit.merkle import hash_leaf
from audit.monitor_state import Own, State, name_of
from audit.receipt import Receipt, parse_jwks, parse_receipt, verify_receipt_signature
from audit.ref import format_ref
from audit.revoked import read_revoked
from gateway.cli.client import path_of
from gateway.cli.errors import UsageError
from gateway.cli.monitor_source import HttpSource

FILE_BYTES: Final = 64 * 2**20
_PAGE: Final = 100
_MOST_WORDS: Final = 10
_UNFIT: Final = (AuditError, UnicodeError, ValueError)
"""What a receipt is refused with."""


@dataclass(slots=True)
class Gathered:
    """What was found: how many receipts are new, and words on what is none.

    `uncounted`: those of the partner's that cannot be held against the log, by digest: each, and why.
    `places`: the files of these, and of those that were told before, by digest. `read`: files that were read.
    """

    new: int = 0
    words: list[str] = field(default_factory=list)
    uncounted: dict[str, tuple[str, str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    def tell(self, text: str) -> None:
        """Say something, but not a thousand times."""
        if len(self.words) < _MOST_WORDS:
            self.words.append(text)

    def remember(self, state: State) -> None:
        """Note those that cannot be counted as told, and forget those that their files hold no more."""
        there = {place for place in set(state.uncounted.values()) - self.read if Path(place).exists()}
        kept = {name: place for name, place in state.uncounted.items() if place in there}
        state.uncounted = kept | self.places

    def alarms(self, log: str) -> list[Alarm]:
        """The one alarm of those that cannot be counted, if there are any. `log`: which is watched."""
        if not self.uncounted:
            return []
        whys = list(dict.fromkeys(why for _, why in self.uncounted.values()))
        more = f"; and {len(whys) - _MOST_WORDS} more" if len(whys) > _MOST_WORDS else ""
        text = (
            f"{log}: what you keep cannot be held against it, receipts: {len(self.uncounted)} "
            f"({'; '.join(whys[:_MOST_WORDS])}{more}). Nobody can prove what they promise: "
            "ask the operator, and look whether their events are in the log"
        )
        papers = {"receipts": "".join(f"{token}\n" for token, _ in self.uncounted.values()).encode()}
        return [Alarm(Suspicion.RECEIPT, f"uncounted {min(self.uncounted)}", text, papers)]


@dataclass(slots=True)
class Receipts:
    """Takes receipts into a state. `may_learn`: keys that the gateway publishes are believed.

    `clock`: Unix milliseconds. When a receipt was first seen is kept: its own time is its signer's word.
    """

    state: State
    source: HttpSource
    clock: Callable[[], int]
    may_learn: bool
    _read: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _asked: bool = False

    def from_files(self, paths: Sequence[Path], found: Gathered) -> None:
        """Receipts in files, or in the files of folders, that have changed since they were last read.

        Raises:
            UsageError: one of them cannot be read.
            LogAwayError: the gateway cannot be asked for its keys.
        """
        for path in _files(paths):
            try:
                about = path.stat()
                seen = (about.st_mtime_ns, about.st_size)
                if self._read.get(path) == seen:
                    continue
                with path.open("rb") as file:
                    raw = file.read(FILE_BYTES + 1)
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error.strerror}") from error
            if len(raw) > FILE_BYTES:
                raise UsageError(f"{path} has more than {FILE_BYTES} bytes")
            found.read.add(f"{path.absolute()}")
            tokens = list(tokens_in(raw))
            if not tokens:
                found.tell(f"{path} holds no receipt")
            counted = [self.take(token, path, found) for token in tokens]
            # What cannot be counted is read again: its key may be known by then, or nobody was told of it.
            if all(counted):
                self._read[path] = seen

    def from_history(self, promise_ms: int, found: Gathered) -> None:
        """Receipts of events that the history calls accepted, and that have no entry though they should.

        A hint and no more: who leaves an event out of its history is found out by the receipts in files.

        Raises:
            LogAwayError: nobody answers.
        """
        before = f"{promise_ms // 1_000 + 1}s"
        query: dict[str, str | int | bool | None] = {"direction": "inbound", "state": "accepted"}
        query |= {"until": before, "limit": _PAGE}
        try:
            items = self.source.document("/v1/history", query).get("items")
        except (LogMissingError, AnswerUnfitError) as error:
            found.tell(f"the history cannot be read: {error}")
            return
        for item in items if isinstance(items, list) else []:
            ref = _overdue(item)
            if ref is None or ref in self.state.receipts:
                continue
            try:
                token = self.source.document(path_of("v1", "history", ref)).get("receipt")
            except (LogMissingError, AnswerUnfitError):
                continue
            if isinstance(token, str):
                try:
                    self._take(token, found)
                except _UNFIT as error:
                    found.tell(f"history: {error}")

    def take(self, token: str, path: Path, found: Gathered) -> bool:
        """Take one receipt that the partner keeps; whether it can be held against the log."""
        try:
            self._take(token, found)
        except _UNFIT as error:
            name = hashlib.sha256(token.encode(errors="replace")).hexdigest()[:32]
            found.places[name] = f"{path.absolute()}"
            if name not in self.state.uncounted:
                found.uncounted[name] = (token, f"{path}: {error}")
            return False
        return True

    def _take(self, token: str, found: Gathered) -> None:
        receipt = parse_receipt(token.encode())
        evidence = receipt.evidence
        if evidence.log != self.state.log:
            raise VerificationError(f"a receipt of another log, {evidence.log}")
        leaf = hash_leaf(evidence.leaf())
        ref = name_of(self.state, format_ref(evidence.ref or b""), leaf)
        if ref in self.state.receipts:
            return
        self._verify(receipt, found)
        self.state.receipts[ref] = Own(token, evidence.at, leaf, seen_at=self.clock())
        found.new += 1

    def _verify(self, receipt: Receipt, found: Gathered) -> None:
        keys = self.state.receipt_keys
        if receipt.key_id not in keys and self.may_learn and not self._asked:
            self._asked = True
            told = parse_jwks(self.source.receipt_keys())
            keys.update({name: key for name, key in told.items() if name not in keys})
            if receipt.key_id in keys:
                found.tell(f"learned from the gateway: receipts are signed by {receipt.key_id}")
        if receipt.key_id not in keys:
            raise VerificationError(f"a receipt signed by a key that is not trusted, {receipt.key_id}")
        verify_receipt_signature(receipt, keys[receipt.key_id])

    def drop_compromised(self, found: Gathered) -> None:
        """Trust no receipt key any more that the gateway says somebody else may have, whoever has given it.

        Receipts that were taken before stay: their events have to be in the log.

        Raises:
            LogAwayError: nobody answers.
        """
        keys = self.state.receipt_keys
        if not keys:
            return
        try:
            gone = read_revoked(self.source.receipt_keys()).keys() & keys.keys()
        except (LogMissingError, AnswerUnfitError, VerificationError) as error:
            found.tell(f"the receipt keys cannot be read: {error}")
            return
        for key_id in sorted(gone):
            del keys[key_id]
            found.tell(f"not trusted any more, since the gateway says that it is compromised: {key_id}")

    def ask_again(self) -> None:
        """Let an unknown key be asked for once more, from the next look on."""
        self._asked = False


def tokens_in(raw: bytes) -> Iterator[str]:
    """Receipts in a file: one a line, or members `receipt` of JSON, of the whole file or of each line."""
    text = raw.decode("utf-8", "replace")
    whole = _parsed(text)
    if whole is not None:
        yield from _in_json(whole)
        return
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("{"):
            yield from _in_json(_parsed(word))
        elif word.count(".") == 2 and word.startswith("eyJ"):  # noqa: PLR2004 - a JWS has three parts
            yield word


def _parsed(text: str) -> Any:
    """JSON; None: it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _in_json(value: Any) -> Iterator[str]:
    """The receipts of an answer to one event, or to a batch."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            if isinstance(one.get("receipt"), str):
                yield one["receipt"]
            if isinstance(one.get("results"), list):
                yield from _in_json(one["results"])


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.iterdir() if one.is_file())
        else:
            yield path


def _overdue(item: Any) -> str | None:
    """The ref of a row without an entry."""
    if not isinstance(item, dict) or item.get("log") is not None:
        return None
    ref = item.get("ref")
    return ref if isinstance(ref, str) else None
