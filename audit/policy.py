"""A policy: which logs are meant, which witnesses are believed, and how many of them are enough.

    log <key> [<url>]
    witness <name> <key> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

A name of a witness or a group means something within its file alone. Nothing here dials anybody.

Source: C2SP tlog-policy.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from audit.checkpoint import parse_number
from audit.cosignature import CosignerKey, parse_cosigner_key
from audit.errors import MalformedError
from audit.note import VerifierKey, parse_verifier_key

NONE: Final = "none"
POLICY_BYTES: Final = 1_000_000
MOST: Final = 100
"""Logs, witnesses and groups, of each."""

_BLANKS: Final = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is meant. `url`: where it is; empty where the file does not say."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness that is believed. `url`: its submission prefix; empty where the file does not say."""

    name: str
    key: CosignerKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """At least `least` of these witnesses and groups."""

    name: str
    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy as its file has it. `quorum`: a witness, a group, or `none`."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    quorum: str
    groups: Mapping[str, Group] = field(default_factory=dict)

    @property
    def log_keys(self) -> tuple[VerifierKey, ...]:
        """Keys of the logs that are meant."""
        return tuple(log.key for log in self.logs)

    @property
    def cosigners(self) -> tuple[CosignerKey, ...]:
        """Keys of the witnesses that are believed."""
        return tuple(one.key for one in self.witnesses)

    def is_met(self, cosigned: Collection[CosignerKey]) -> bool:
        """Whether the cosignatures of these are enough."""
        if self.quorum == NONE:
            return True
        met = {one.name for one in self.witnesses if one.key in cosigned}
        # Groups name what stands before them alone, so that one walk in their order decides them all.
        for group in self.groups.values():
            if len(met.intersection(group.members)) >= group.least:
                met.add(group.name)
        return self.quorum in met


def parse_policy(raw: bytes) -> Policy:
    """Read a policy file.

    Raises:
        MalformedError: Another text; says in which line.
    """
    if len(raw) > POLICY_BYTES:
        raise MalformedError(f"policy: more than {POLICY_BYTES} bytes")
    draft = _Draft()
    # Names are octets to the format: what is no UTF-8 stays what it is, and is compared as such.
    for number, line in enumerate(raw.decode("utf-8", "surrogateescape").split("\n"), 1):
        if any((char < " " and char != "\t") or char == "\x7f" for char in line):
            raise MalformedError(f"policy: line {number} holds a control character")
        words = [word for word in _BLANKS.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                draft.take(words)
            except MalformedError as error:
                raise MalformedError(f"policy: line {number}: {error}") from error
    return draft.policy()


@dataclass(slots=True)
class _Draft:
    """A policy as far as its file was read."""

    logs: dict[bytes, Log] = field(default_factory=dict)
    witnesses: dict[str, Witness] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", key, *rest] if len(rest) <= 1:
                self._log(key, "".join(rest))
            case ["witness", name, key, *rest] if len(rest) <= 1:
                self._witness(name, key, "".join(rest))
            case ["group", name, least, *members] if members:
                self._group(name, least, members)
            case ["quorum", name]:
                self._quorum(name)
            case _:
                raise MalformedError("expected log, witness, group or quorum, and what belongs to it")
        if max(len(self.logs), len(self.witnesses), len(self.groups)) > MOST:
            raise MalformedError(f"more than {MOST} of one sort")

    def policy(self) -> Policy:
        if self.quorum is None:
            raise MalformedError("policy: there is no line 'quorum <name>'; without witnesses: quorum none")
        return Policy(tuple(self.logs.values()), tuple(self.witnesses.values()), self.quorum, self.groups)

    def _log(self, key: str, url: str) -> None:
        log = Log(parse_verifier_key(key), url)
        if self.logs.setdefault(log.key.public_key + log.key.name.encode(), log) is not log:
            raise MalformedError(f"the log {log.key.name} stands there twice")

    def _witness(self, name: str, key: str, url: str) -> None:
        witness = Witness(self._new(name), parse_cosigner_key(key), url)
        if any(one.key.public_key == witness.key.public_key for one in self.witnesses.values()):
            raise MalformedError(f"the key of {name} is another witness's too")
        self.witnesses[name] = witness

    def _group(self, name: str, least: str, members: list[str]) -> None:
        self._new(name)
        for member in members:
            self._known(member)
        if len(set(members)) != len(members):
            raise MalformedError("a member of a group stands there twice")
        number = {"all": len(members), "any": 1}.get(least)
        if number is None:
            number = parse_number(least, "threshold")
        if not 1 <= number <= len(members):
            raise MalformedError(f"{number} of {len(members)} members is no group")
        self.groups[name] = Group(name, number, tuple(members))

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise MalformedError("a second quorum")
        self.quorum = name if name == NONE else self._known(name)

    def _new(self, name: str) -> str:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise MalformedError(f"the name {name!r} is taken")
        return name

    def _known(self, name: str) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise MalformedError(f"there is no witness or group {name!r} before it")
        return name
