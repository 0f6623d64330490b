"""Changes of endpoints, each with its evidence in one transaction; whoever is the partner, or acts for it."""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from sqlmodel import Session

from gateway import announcements, facts, happenings
from gateway.address import AddressPolicy
from gateway.administration import filters
from gateway.administration.desk import Administration
from gateway.administration.evidence import Author, ProbeSeen
from gateway.administration.standing import count_pending, count_skipped
from gateway.broker.port import BrokerError
from gateway.errors import AwayError, CallerError
from gateway.positions import share
from gateway.readers import forwarders
from partners import endpoint_changes as changes
from partners.access import EndpointAccess, OauthGrant, StaticHeaders, parse_access
from partners.endpoint import DeclaredEndpoint, Endpoint, HostPattern, Skip, is_elsewhere, party_of
from partners.endpoint_changes import EndpointEdit, Ground
from partners.endpoint_form import Bounds, read_body
from partners.errors import AccessError, EndpointTermsError, Problem
from partners.outside import verify_inside
from partners.partner import Partner
from partners.tombstone import write_tombstone

Choice = Literal["deliver", "skip", "since"]
_AUTH: Final = "auth"
_ASK_SECONDS: Final = 2.0
"""For where a topic ends; an endpoint is made without knowing it, too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which endpoint of which owner, by whom. `if_match`: the ETag that the author has seen; None: any."""

    owner: str
    endpoint: str
    by: Author
    if_match: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is to become of what waits. `since`: Unix ms; what was recorded before is given up."""

    choice: Choice
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints' part of the administration. `policy`: which addresses may be dialled."""

    desk: Administration
    policy: AddressPolicy = field(repr=False)

    async def create(self, asked: Asked, members: Mapping[str, Any]) -> EndpointEdit:
        """Make an endpoint; `asked.endpoint` is not looked at.

        Raises:
            CallerError: `endpoint_invalid`, `endpoint_address_denied`, `limit_reached`, `state_conflict`.
        """
        begins = await self._begins(asked.owner)

        def work(session: Session, ground: Ground) -> EndpointEdit:
            endpoint_id = changes.new_endpoint_id(self.desk.means)
            wanted, access = self._read(session, ground, members, changes.usual_name(endpoint_id))
            now, means, ground = self.desk.clock(), self.desk.means, replace(ground, begins=begins)
            edit = changes.create(session, ground, wanted, endpoint_id, now=now, means=means)
            return self._demanding(session, edit, access)

        return await self._write(asked, work)

    async def change(self, asked: Asked, members: Mapping[str, Any]) -> EndpointEdit:
        """Change some of what is asked of an endpoint.

        Raises:
            CallerError: as `create`, and `not_found`, `precondition_failed`.
        """

        def work(session: Session, ground: Ground) -> EndpointEdit:
            endpoint = self._find(session, asked)
            name = changes.usual_name(endpoint.id)
            wanted, access = self._read(session, ground, changes.merged(endpoint, members), name)
            if access is None and endpoint.access is not None and is_elsewhere(endpoint.url, wanted.url):
                # Whoever may change a URL could have what nobody is shown sent to a host of their own.
                text = "must be said again, or be null: it was given for another host"
                raise EndpointTermsError([Problem("", 1, f"/{_AUTH}", "missing", text)])
            return self._demanding(session, changes.change(session, ground, endpoint, wanted), access)

        return await self._write(asked, work)

    async def remove(self, asked: Asked) -> EndpointEdit:
        """Remove an endpoint; what waits for it is parked, with evidence.

        Raises:
            CallerError: `not_found`, `precondition_failed`, `state_conflict`.
        """

        def work(session: Session, _: Ground) -> EndpointEdit:
            edit = changes.remove(session, self._find(session, asked))
            # The relay asks by this name: what it owes to an endpoint depends on its types and filter.
            facts.keep(session, f"removed.{edit.endpoint.id}", write_tombstone(edit.endpoint))
            return edit

        return await self._write(asked, work)

    async def mark_verified(self, asked: Asked, url: str) -> EndpointEdit:
        """Somebody at this URL has proved to be there.

        Raises:
            CallerError: `not_found`, `state_conflict`.
        """

        def work(session: Session, ground: Ground) -> EndpointEdit:
            endpoint = self._find(session, asked)
            verify_inside(endpoint, ground.contract.endpoints)
            return changes.mark_verified(session, endpoint, url)

        return await self._write(asked, work)

    async def pause(self, asked: Asked) -> EndpointEdit:
        """Send nothing until it is resumed.

        Raises:
            CallerError: `not_found`, `precondition_failed`, `state_conflict`.
        """

        def work(session: Session, _: Ground) -> EndpointEdit:
            edit = changes.pause(session, self._find(session, asked))
            return replace(edit, waiting=count_pending(session, asked.endpoint))

        return await self._write(asked, work)

    async def resume(self, asked: Asked, partner: Partner, backlog: Backlog) -> EndpointEdit:
        """Go on, with what waits or without it.

        Raises:
            CallerError: `not_found`, `precondition_failed`, `state_conflict`.
            AwayError: `broker_unavailable`: where the backlog ends is not known.
        """
        skips = await self._skips(partner, backlog, asked)

        def work(session: Session, ground: Ground) -> EndpointEdit:
            endpoint = self._find(session, asked)
            verify_inside(endpoint, ground.contract.endpoints)
            waiting = count_pending(session, endpoint.id)
            skipped = count_skipped(session, endpoint.id, skips)
            return replace(changes.resume(session, endpoint, skips), waiting=waiting, skipped=skipped)

        words = backlog.choice if backlog.since is None else f"since {backlog.since}"
        return await self._write(asked, work, reason=words)

    async def add_secret(self, asked: Asked, secret: bytes | None, overlap_ms: int) -> EndpointEdit:
        """Give it another secret beside those that there are.

        Raises:
            CallerError: `not_found`, `precondition_failed`, `state_conflict`.
        """

        def work(session: Session, _: Ground) -> EndpointEdit:
            endpoint, now = self._find(session, asked), self.desk.clock()
            return changes.add_secret(session, endpoint, secret, overlap_ms, now=now, means=self.desk.means)

        return await self._write(asked, work)

    async def remove_secret(self, asked: Asked, secret_id: str) -> EndpointEdit:
        """Let a secret sign nothing more.

        Raises:
            CallerError: `not_found`, `precondition_failed`, `state_conflict`.
        """

        def work(session: Session, _: Ground) -> EndpointEdit:
            now = self.desk.clock()
            return changes.remove_secret(session, self._find(session, asked), secret_id, now=now)

        return await self._write(asked, work)

    async def note_probe(self, partner: Partner, seen: ProbeSeen, by: Author) -> None:
        """Enter into the partner's log what was sent to an endpoint to try it, and what came of it.

        Raises:
            StoreError: the database is away.
        """
        scribe, now = self.desk.scribe, self.desk.clock()
        await self.desk.database.write(lambda session: scribe.probe(session, partner, seen, by, now=now))

    async def _write(
        self, asked: Asked, work: Callable[[Session, Ground], EndpointEdit], *, reason: str | None = None
    ) -> EndpointEdit:
        def whole(session: Session) -> EndpointEdit:
            ground = changes.ground_of(session, asked.owner)
            edit = work(session, ground)
            words = reason if edit.action == "created" else edit.secret_id or reason
            self._witness(session, ground.partner, edit, asked.by, words)
            return edit

        done = await self.desk.write(whole, dry_run=asked.dry_run)
        return replace(done, secret=None) if asked.dry_run else done

    def _witness(
        self, session: Session, partner: Partner, edit: EndpointEdit, by: Author, reason: str | None
    ) -> None:
        now = self.desk.clock()
        if edit.action != "unchanged":
            self.desk.scribe.endpoint(session, partner, edit, reason, by, now=now)
        turned = {"secret_added": "added", "secret_removed": "removed"}.get(edit.action)
        if turned is not None and edit.secret_id is not None and edit.endpoint.side == "partner":
            told = happenings.endpoint_secret_rotated(
                edit.endpoint, secret=edit.secret_id, action=turned, now=now
            )
            announcements.announce_once(session, told)

    async def _begins(self, owner: str) -> tuple[str, int] | None:
        """Where the topic ends that the house's endpoints get, by id and offset; None: nobody says now.

        Asked before one is made: what is accepted once it is there lies behind, whoever's clock is ahead.
        """
        (slug, side), snapshot = party_of(owner), self.desk.catalog.current
        partner = snapshot.directory.partner(slug)
        if side == "partner" or partner is None or self.desk.broker.away_for_ms():
            return None
        topics = partner.topics
        topic_id = snapshot.topic_ids.get(topics.inbound)
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                ((_, end),) = await self.desk.broker.bounds([(topics.inbound, topics.inbound_partition)])
        except (BrokerError, TimeoutError):
            return None
        return None if topic_id is None else (topic_id, end)

    def _find(self, session: Session, asked: Asked) -> Endpoint:
        endpoint = changes.find(session, asked.owner, asked.endpoint)
        changes.verify_unchanged(endpoint, asked.if_match)
        return endpoint

    def _read(
        self, session: Session, ground: Ground, members: Mapping[str, Any], name: str
    ) -> tuple[DeclaredEndpoint, EndpointAccess | None]:
        """What is asked for, judged by contract, schemas and addresses; what it demands, None: unsaid."""
        said = {key: value for key, value in members.items() if key != _AUTH}
        bounds = ground.bounds(is_exempt=self.desk.allow_insecure_loopback)
        access = None
        if _AUTH in members:
            access = _read_access(members[_AUTH], bounds, is_house=ground.side == "house")
        if ground.side == "house":
            bounds = replace(bounds, hosts=_host_of(members.get("url")))
        wanted = read_body(said, bounds=bounds, name=name)
        faults = filters.filter_faults(session, ground.lines, wanted)
        if faults:
            raise EndpointTermsError(faults)
        self._verify_address(wanted.url, "the URL")
        if access is not None:
            _verify_named_once(wanted, access)
            if isinstance(access.demand, OauthGrant):
                self._verify_address(access.demand.token_url, "auth.token_url")
        return filters.bind(session, ground.lines, wanted), access

    def _demanding(self, session: Session, edit: EndpointEdit, access: EndpointAccess | None) -> EndpointEdit:
        if access is None:
            return edit
        return changes.demand(session, edit, access, now=self.desk.clock(), means=self.desk.means)

    def _verify_address(self, url: str, where: str) -> None:
        """Refuse a literal address at once; what a name leads to is judged at each connect."""
        host = urlsplit(url).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        if not self.policy.judge(host).allowed:
            text = f"The address in {where} is not one that webhooks are sent to."
            raise CallerError("endpoint_address_denied", text)

    async def _skips(self, partner: Partner, backlog: Backlog, asked: Asked) -> Sequence[Skip]:
        """Up to where each partition of what the endpoint gets is given up."""
        skips = await self._topic_skips(
            partner.topics.outbound, partner.topics.outbound_partition, backlog, asked.by
        )
        senders = [partner]
        if party_of(asked.owner)[1] == "partner":
            senders = forwarders(self.desk.catalog.current, partner.slug)
        for sender in senders:
            topics = sender.topics
            try:
                sent = await self._topic_skips(topics.inbound, topics.inbound_partition, backlog, asked.by)
            except AwayError as error:
                # What a closed partner has left may be gone, or nobody's to read: then nothing of it comes.
                if sender.state != "closed" or not _is_gone(error):
                    raise
                continue
            # An inbound topic is read for several: for each under a name of its own.
            skips = (*skips, *(replace(one, topic_id=share(one.topic_id, asked.owner)) for one in sent))
        return skips

    async def _topic_skips(self, topic: str, own: int, backlog: Backlog, by: Author) -> Sequence[Skip]:
        snapshot, at = self.desk.catalog.current, self.desk.clock()
        topic_id = snapshot.topic_ids.get(topic)
        if backlog.choice == "deliver":
            return ()
        if topic_id is None:
            raise AwayError("broker_unavailable", f"the topic {topic} is not known to exist yet")
        places = [(topic, one) for one in snapshot.partitions_of(topic, own)]
        try:
            if backlog.since is None:
                ends = [end for _, end in await self.desk.broker.bounds(places)]
            else:
                ends = [await self.desk.broker.offset_at(place, backlog.since) for place in places]
        except BrokerError as error:
            raise AwayError("broker_unavailable", "where the backlog ends is not known now") from error
        return tuple(
            Skip(topic_id, number, end, by.role, by.credential, at)
            for (_, number), end in zip(places, ends, strict=True)
        )


def _is_gone(error: AwayError) -> bool:
    """Whether a topic is not there, or not to be read, as opposed to a broker that is away."""
    cause = error.__cause__
    return cause is None or (isinstance(cause, BrokerError) and cause.code != "broker_unavailable")


def _host_of(url: object) -> tuple[HostPattern, ...]:
    """The host and port of a URL, as the pattern that allows them: the house may name any of its own."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ()
    return (HostPattern(parts.netloc, host.rstrip("."), is_wild=False, port=port),) if host else ()


def _verify_named_once(wanted: DeclaredEndpoint, access: EndpointAccess) -> None:
    """Refuse a field that is named among the endpoint's own headers and among those that it demands."""
    demanded = access.demand.fields if isinstance(access.demand, StaticHeaders) else ()
    taken = {name.lower() for name, _ in demanded}
    text = "stands in auth.headers too: leave it out here, or there"
    twice = [name for name, _ in wanted.headers if name.lower() in taken]
    if twice:
        raise EndpointTermsError(
            [Problem("", 1, f"/headers/{name}", "duplicate_key", text) for name in twice]
        )


def _read_access(given: object, bounds: Bounds, *, is_house: bool) -> EndpointAccess:
    """What is demanded; null: nothing. The token server of the house's own endpoint may be any."""
    if is_house:
        bounds = replace(
            bounds, hosts=_host_of(given.get("token_url") if isinstance(given, Mapping) else None)
        )
    try:
        return parse_access(
            {"kind": "none"} if given is None else given,
            hosts=bounds.hosts,
            allow_insecure_loopback=bounds.is_exempt,
        )
    except AccessError as error:
        raise EndpointTermsError(
            [Problem("", 1, f"/{_AUTH}{error.pointer}", "format", str(error))]
        ) from error
