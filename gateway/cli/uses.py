"""What a credential was used for: events that it sent, and all else that it asked for; what of that is left.

Reads leave no entry, but for looks of our side at a partner's content.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from audit.kinds import MEMBERS, Kind
from gateway.cli.client import Client, path_of, under
from gateway.cli.command import Invocation
from gateway.cli.history import HOUSE, entry_cells

_EVENTS: Final = ("at", "type", "id", "state", "partner", "ref")
_ENTRIES: Final = ("at", "kind", "what", "partner", "ref")
_MOST: Final = 10_000
_ASKED: Final = ",".join(kind.value for kind, members in MEMBERS.items() if "by" in members)
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.25
_NEWEST: Final = 50

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Uses:
    """What a credential did, newest first: `events` that it sent, entries of what it `asked` for.

    made: credentials made with it, or with one of those, that still open something.
    """

    events: Sequence[Document]
    asked: Sequence[Document]
    made: Sequence[Document]

    def members(self) -> Document:
        """As a script reads it."""
        return {"uses": self.events, "asked": self.asked, "made": self.made}


def find_uses(call: Invocation, client: Client, document: Document, owner: str | None, since: str) -> Uses:
    """All uses of a credential since then; one of ours may have been used at any partner.

    `owner`: under whose name its partner's history lies; None: the caller's own.
    """
    is_ours = document["partner"] is None
    owners = [owner]
    if is_ours:
        owners = [str(one["slug"]) for one in client.pages(path_of("v1", "partners"))]
    places = [(under(one, "history"), one or document["partner"]) for one in owners]
    search = _Search(call, client, places, since)
    events = list(search.entries({"credential": document["id"]}))
    if is_ours:
        places.append((HOUSE, None))
    asked = list(search.asked(document["id"]))
    made = _still_made(search, asked, owner)
    return Uses(_newest_first(events), _newest_first(asked), made)


def await_word(call: Invocation, client: Client, document: Document, owner: str | None) -> None:
    """Wait a few seconds for the entry of a revocation: what was asked for before it is listed by then."""
    place = HOUSE if document["partner"] is None else under(owner, "history")
    wanted = {"kind": Kind.CREDENTIAL_CHANGED.value}
    for _ in range(_LOOKS):
        entries = (one["evidence"] for one in client.pages(place, wanted, most=_NEWEST))
        if any((one.get("credential"), one.get("action")) == (document["id"], "revoked") for one in entries):
            return
        call.around.pause(_LOOK_SECONDS)
    call.output.warn("The log has not got the revocation yet: what was done last may not be listed.")


def tell_uses(call: Invocation, uses: Uses, since: str, reason: str) -> None:
    """Say it to people, and how to end what is left."""
    say = call.output.line
    if uses.events:
        say(f"\n{_counted(uses.events, 'event')} sent with it since {since}:")
        call.output.table(_EVENTS, ([one.get(name) for name in _EVENTS] for one in uses.events))
    else:
        say(f"\nNo event was sent with it since {since}.")
    if uses.asked:
        say(f"\n{_counted(uses.asked, 'entry', 'entries')} of what else was done with it since {since}:")
        call.output.table(_ENTRIES, map(_cells, uses.asked))
    else:
        say(f"Nothing else was done with it since {since}, by the log; what it read has no entries.")
    if uses.made:
        say("\nMade with it, and in force still:")
    for one in uses.made:
        whose = "" if one["partner"] is None else f" --partner {one['partner']}"
        why = f" --reason {reason}" if reason.isalnum() else ""
        say(f"  gateway credentials revoke {one['id']}{whose}{why} --since {since}")


@dataclass(frozen=True, slots=True)
class _Search:
    """Histories, each with the partner whose it is, and since when."""

    call: Invocation
    client: Client
    places: list[tuple[str, str | None]]
    since: str

    def entries(self, params: dict[str, str]) -> Iterator[Document]:
        for route, partner in self.places:
            left = f"has more than these {_MOST}: ask for them by gateway history list"
            yield from ({**one, "partner": partner} for one in self._of(route, params, left))

    def made(self, route: str) -> Mapping[str, Sequence[str]]:
        """Credentials that a history has as made, by the one that each was made with."""
        left = f"has more than {_MOST} changes of credentials: what older ones made is not looked for"
        found: dict[str, list[str]] = {}
        for one in _created(self._of(route, {"kind": Kind.CREDENTIAL_CHANGED.value}, left)):
            found.setdefault(one["by"]["credential"], []).append(one["credential"])
        return found

    def _of(self, route: str, params: dict[str, str], left: str) -> Sequence[Document]:
        """Entries of one history; `left`: what is said of those that are too many."""
        found, following = self.client.some(route, {**params, "since": self.since}, most=_MOST)
        if following is not None:
            self.call.output.warn(f"{route} {left}")
        return found

    def asked(self, credential: str) -> Iterator[Document]:
        """Entries of what was asked for with a credential; what several logs have, once."""
        seen = set()
        for one in self.entries({"credential": credential, "kind": _ASKED}):
            mark = (one["kind"], one["at"], json.dumps(one.get("evidence"), sort_keys=True))
            if mark not in seen:
                seen.add(mark)
                yield one


def _still_made(search: _Search, asked: Sequence[Document], owner: str | None) -> list[Document]:
    """Credentials that were made, from hand to hand, and that still open something.

    Each history is read once, for all of them; a partner's credential makes others in its own alone.
    """
    found: dict[str, Document] = {}
    read: dict[str, Mapping[str, Sequence[str]]] = {}
    waiting = [one["credential"] for one in _created(asked)]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = document = search.client.get(under(owner, "credentials", name)).document()
        for route, partner in search.places:
            if document["partner"] in {None, partner}:
                if route not in read:
                    read[route] = search.made(route)
                waiting += read[route].get(name, ())
    return [one for one in found.values() if one["state"] == "active"]


def _created(entries: Sequence[Document]) -> Iterator[Document]:
    """The evidence of credentials that were made."""
    for one in entries:
        members = one.get("evidence") or {}
        if one["kind"] == Kind.CREDENTIAL_CHANGED.value and members.get("action") == "created":
            yield members


def _newest_first(found: Sequence[Document]) -> list[Document]:
    return sorted(found, key=lambda one: str(one["at"]), reverse=True)


def _counted(some: Sequence[object], word: str, words: str | None = None) -> str:
    return f"{len(some)} {word if len(some) == 1 else words or word + 's'}"


def _cells(item: Document) -> list[object]:
    shown = entry_cells(item)
    members = item.get("evidence") or {}
    if item["kind"] == Kind.ENDPOINT_CHANGED.value:
        shown["what"] = f"{shown['what']} url={members.get('url')}"
    return [shown.get(name) for name in _ENTRIES]
