"""The words in which a change of the registry goes into a log."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlmodel import Session

from audit.evidence import Evidence, Kind, make_evidence
from audit.kinds import MOST_RANGES
from audit.log import Pending, submit, submit_all
from audit.receipt import format_jwk
from audit.ref import format_ref
from gateway.keys import PublicKey
from partners.credential import Credential
from partners.endpoint import Endpoint
from partners.endpoint_changes import EndpointEdit, settings_sha256
from partners.onboarding import ContractChange
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change: a role, and the credential that proved it (None: on the machine itself)."""

    role: str
    credential: str | None

    def members(self) -> Mapping[str, str | None]:
        """As evidence names it."""
        return {"role": self.role, "credential": self.credential}


@dataclass(frozen=True, slots=True)
class Seen:
    """What of a partner's content was looked at; see docs/formats.md, section 3, `content.read`."""

    route: str
    ref: bytes | None
    until: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A delivery that somebody asked something of."""

    partner: str
    ref: bytes
    source: str
    event_id: str
    event_type: str
    endpoint: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How far a reader of a stream says that it has it; see docs/formats.md, `stream.acknowledged`.

    `ranges`: partition, first offset, and the offset behind the last.
    """

    direction: str
    consumer: str
    types: tuple[str, ...]
    topic: str
    topic_id: str
    ranges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ProbeSeen:
    """What was sent to an endpoint to try it, and what came back; see docs/formats.md, `endpoint.probed`.

    Digests of the body sent, and of the answer's as far as it was read (None: there was no answer).
    """

    endpoint: Endpoint
    purpose: Literal["test", "verification"]
    webhook_id: str
    event_type: str
    content_sha256: bytes
    content_length: int
    status: int
    failure: str | None
    ms: int
    answer_sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Scribe:
    """Makes evidence of changes and hands it to the sequencer, in the caller's transaction.

    `house_log`: random name of our own log. `host`: the origin without its scheme.
    """

    origin: str
    host: str
    house_log: str
    entropy: Callable[[int], bytes]

    def contract(self, session: Session, log: str, change: ContractChange, by: Author, *, now: int) -> None:
        """A contract was applied; `log`: the partner's, its random name."""
        partner = "" if change.partner is None else change.partner.slug
        before = change.before_sha256
        members = {
            "partner": partner,
            "revision": change.revision,
            "before_sha256": None if before is None else before.hex(),
            "after_sha256": change.after_sha256.hex(),
            "by": by.members(),
        }
        self._submit(session, Kind.CONTRACT_CHANGED, members, log, now)

    def credential(
        self, session: Session, log: str | None, credential: Credential, action: str, by: Author, *, now: int
    ) -> None:
        """A credential was created, changed or revoked; `log` None: one of our own side."""
        members = {
            "partner": credential.partner,
            "credential": credential.id,
            "action": action,
            "role": credential.role,
            "method": credential.method,
            "scopes": sorted(credential.scopes),
            "send_types": None if credential.send_types is None else sorted(credential.send_types),
            "events_per_second": credential.events_per_second,
            "not_after": credential.not_after,
            "reason": credential.revoked_for or None,
            "by": by.members(),
        }
        self._submit(session, Kind.CREDENTIAL_CHANGED, members, log or self.house_log, now)

    def partner(
        self, session: Session, partner: Partner, action: str, reason: str, by: Author, *, now: int
    ) -> None:
        """A partner was suspended, resumed or closed: an entry of its log, and one of ours."""
        members = {
            "partner": partner.slug,
            "action": action,
            "reason": reason or None,
            "by": by.members(),
        }
        for log in (partner.log, self.house_log):
            self._submit(session, Kind.PARTNER_CHANGED, members, log, now)

    def endpoint(
        self,
        session: Session,
        partner: Partner,
        edit: EndpointEdit,
        reason: str | None,
        by: Author,
        *,
        now: int,
    ) -> None:
        """An endpoint was made, changed or removed."""
        before = None if edit.before is None else settings_sha256(edit.before).hex()
        after = None if edit.action == "removed" else settings_sha256(edit.endpoint).hex()
        members = {
            "partner": partner.slug,
            "endpoint": edit.endpoint.id,
            "name": edit.endpoint.name,
            "url": edit.endpoint.url,
            "action": edit.action,
            "before_sha256": before,
            "after_sha256": after,
            "reason": reason,
            "by": by.members(),
        }
        self._submit(session, Kind.ENDPOINT_CHANGED, members, self._log_of(partner, edit.endpoint), now)

    def probe(self, session: Session, partner: Partner, seen: ProbeSeen, by: Author, *, now: int) -> None:
        """An endpoint was tried."""
        members = {
            "partner": partner.slug,
            "endpoint": seen.endpoint.id,
            "url": seen.endpoint.url,
            "purpose": seen.purpose,
            "webhook_id": seen.webhook_id,
            "type": seen.event_type,
            "content_sha256": seen.content_sha256.hex(),
            "content_length": seen.content_length,
            "status": seen.status,
            "failure": seen.failure,
            "ms": seen.ms,
            "answer_sha256": None if seen.answer_sha256 is None else seen.answer_sha256.hex(),
            "by": by.members(),
        }
        self._submit(session, Kind.ENDPOINT_PROBED, members, self._log_of(partner, seen.endpoint), now)

    def _log_of(self, partner: Partner, endpoint: Endpoint) -> str:
        """What concerns the house's endpoints is told in its own log: no partner sees our URLs."""
        return self.house_log if endpoint.side == "house" else partner.log

    def look(self, session: Session, partner: Partner, look: Seen, by: Author, *, now: int) -> None:
        """One of our side looks at a partner's content."""
        members = {
            "partner": partner.slug,
            "ref": None if look.ref is None else format_ref(look.ref),
            "route": look.route,
            "until": look.until,
            "by": by.members(),
        }
        self._submit(session, Kind.CONTENT_READ, members, partner.log, now)

    def delivery(
        self, session: Session, log: str, kind: Kind, wanted: Wanted, by: Author, *, now: int
    ) -> None:
        """A delivery was given up, or is tried again, because somebody asked for it."""
        members = {
            "partner": wanted.partner,
            "ref": format_ref(wanted.ref),
            "source": wanted.source,
            "id": wanted.event_id,
            "type": wanted.event_type,
            "endpoint": wanted.endpoint,
            "attempts": wanted.attempts,
            "by": by.members(),
        }
        self._submit(session, kind, members, log, now)

    def replay(
        self, session: Session, log: str, members: Mapping[str, object], by: Author, *, now: int
    ) -> None:
        """A replay was begun or cancelled; `members` but the last as docs/formats.md names them."""
        self._submit(session, Kind.REPLAY_CHANGED, {**members, "by": by.members()}, log, now)

    def acknowledgement(
        self, session: Session, partner: Partner, said: Acknowledged, by: Author, *, now: int
    ) -> None:
        """A reader of a stream has what was before a place: one entry, or several of many partitions."""
        for start in range(0, len(said.ranges), MOST_RANGES):
            some = said.ranges[start : start + MOST_RANGES]
            members = {
                "partner": partner.slug,
                "direction": said.direction,
                "consumer": said.consumer,
                "types": sorted(said.types),
                "topic": said.topic,
                "topic_id": said.topic_id,
                "ranges": [{"partition": number, "from": first, "to": end} for number, first, end in some],
                "by": by.members(),
            }
            self._submit(session, Kind.STREAM_ACKNOWLEDGED, members, partner.log, now)

    def receiver(
        self, session: Session, partner: Partner, pair: tuple[str, bytes], said: tuple[str, str], *, now: int
    ) -> None:
        """A receiver says by its signature that it has a delivery. `pair`: endpoint and ref.

        `said`: the credential with its key, and its signed statement.
        """
        members = {
            "partner": partner.slug,
            "ref": format_ref(pair[1]),
            "endpoint": pair[0],
            "key": said[0],
            "token": said[1],
        }
        self._submit(session, Kind.ACKNOWLEDGED, members, partner.log, now)

    def key(
        self, session: Session, key: PublicKey, action: str, by: Author, *, now: int, logs: Sequence[str] = ()
    ) -> None:
        """One of our signing keys was made, retired or is compromised: an entry of our log, and of `logs`."""
        members = {
            "key": key.id,
            "purpose": key.purpose,
            "action": action,
            "public_key": format_jwk(key.public_key)["x"],
            "signs_from": key.signs_from,
            "ends_at": key.retires_at if key.retired_at is None else key.retired_at,
            "compromised_at": key.compromised_at,
            "reason": key.reason or None,
            "by": by.members(),
        }
        # One statement for a thousand partners.
        names = [f"{self.host}/log/{log}" for log in (self.house_log, *logs)]
        made = [self._evidence(Kind.KEY_CHANGED, members, name, now) for name in names]
        submit_all(session, [Pending(self.entropy(16), each) for each in made])

    def say(
        self, session: Session, log: str, kind: Kind, members: Mapping[str, object], by: Author, *, now: int
    ) -> None:
        """Something of a log (its whole name, without an epoch); `members` but the last, `by`."""
        self.say_all(session, kind, [(log, members)], by, now=now)

    def say_all(
        self,
        session: Session,
        kind: Kind,
        said: Sequence[tuple[str, Mapping[str, object]]],
        by: Author,
        *,
        now: int,
    ) -> None:
        """As `say`, many of one kind at once, each as log and members."""
        made = [
            Pending(self.entropy(16), self._evidence(kind, {**members, "by": by.members()}, log, now))
            for log, members in said
        ]
        if made:
            submit_all(session, made)

    def _submit(
        self, session: Session, kind: Kind, members: Mapping[str, object], log: str, now: int
    ) -> None:
        submit(session, self._evidence(kind, members, f"{self.host}/log/{log}", now), id=self.entropy(16))

    def _evidence(self, kind: Kind, members: Mapping[str, object], log: str, now: int) -> Evidence:
        salt = self.entropy(32)
        return make_evidence(kind, members, iss=self.origin, log=log, at=now, salt=salt)
