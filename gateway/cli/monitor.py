"""`gateway monitor`: watches one's own log, and never forgets what alarmed it.

Needs a credential that may read the log, and nothing else: no database, no trust. Ends with 9 while an alarm
stands, with 8 where the gateway is away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from audit.alarm import Alarm, AlarmError, Suspicion
from audit.errors import AuditError, MalformedError
from audit.freshness import parse_freshness_key
from audit.log_source import AnswerUnfitError, LogAwayError, LogMissingError
from audit.monitor import alarm_of, look
from audit.monitor_epoch import follow
from audit.monitor_look import Look, Looked, Terms, drop_compromised, weighed
from audit.monitor_state import Standing, State
from audit.note import VerifierKey, parse_verifier_key
from audit.receipt import parse_jwks
from gateway.bootstrap.ground import clock
from gateway.cli import monitor_file as files
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UnreachableError, UsageError
from gateway.cli.exits import Exit
from gateway.cli.monitor_receipts import Gathered, Receipts
from gateway.cli.monitor_source import HttpSource
from gateway.cli.monitor_words import tell_alarm, tell_away, tell_look
from gateway.cli.verify import read_paper
from gateway.units import parse_duration

DEFAULT_STATE: Final = Path("gateway-monitor.json")
_AGAIN_SECONDS: Final = (3.0, 6.0)
"""Before a checkpoint counts as stale: a gateway that was just started, or busy, needs a moment."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the user trusts, instead of what the gateway says at the first look."""

    log_key: Annotated[
        list[str] | None,
        typer.Option(
            "--log-key", metavar="KEY", help="Log key that you trust: name+id+base64.", show_default=False
        ),
    ] = None
    freshness_key: Annotated[
        list[str] | None,
        typer.Option(
            "--freshness-key", metavar="KEY", help="Freshness key that you trust.", show_default=False
        ),
    ] = None
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", metavar="FILE", help="Receipt keys that you trust: a JWK set.", show_default=False
        ),
    ] = None

    def apply(self, state: State) -> None:
        """Trust these, and of what they are for nothing else. Raises UsageError: one of them is none."""
        try:
            if self.log_key:
                state.pin([parse_verifier_key(text).public_key for text in self.log_key])
            if self.freshness_key:
                state.freshness_keys = tuple(str(parse_freshness_key(text)) for text in self.freshness_key)
            if self.keys is not None:
                state.receipt_keys = dict(parse_jwks(read_paper(self.keys)))
        except AuditError as error:
            raise UsageError(f"a pinned key is not usable: {error}") from error


@dataclass(frozen=True, slots=True)
class Way:
    """How it looks, and how often."""

    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False
    interval: Annotated[str, typer.Option("--interval", help="Between two looks, such as 30s or 5m.")] = "30s"
    promise: Annotated[
        str | None,
        typer.Option(
            "--promise",
            help="Within which a receipt's event must be in the log; else as the gateway says.",
            show_default=False,
        ),
    ] = None
    most_entries: Annotated[
        int, typer.Option("--most-entries", min=1, help="Entries that are read in one look.")
    ] = 10_000_000
    most_time: Annotated[
        str, typer.Option("--most-time", help="Within which a look reads entries; the next one reads on.")
    ] = "5m"
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="The alarms that stand are known: let them rest.")
    ] = False


def register(app: typer.Typer) -> None:
    """Add monitor."""
    command(app, "monitor")(monitor)


def monitor(
    call: Invocation,
    *,
    state_file: Annotated[
        Path, typer.Option("--state", metavar="FILE", help="Where what is known is kept.")
    ] = DEFAULT_STATE,
    receipts: Annotated[
        list[Path] | None,
        typer.Option(
            "--receipts",
            metavar="FILE|DIR",
            help="Receipts that you keep; again for more.",
            show_default=False,
        ),
    ] = None,
    trust: Trust,
    way: Way,
) -> Exit | None:
    """Watch your log: signed, only growing, fresh, and with your receipts in it. Alarms end with exit code 9.

    It keeps what it knows in a file, and compares with it at each look. The first look trusts the keys that
    the gateway names, unless you give them. An alarm stands until --acknowledge, whatever later looks find.
    """
    seconds = _duration(way.interval, "--interval") / 1_000
    _duration(way.most_time, "--most-time")
    promise_ms = None if way.promise is None else _duration(way.promise, "--promise")
    with files.held(state_file), call.client() as client:
        source = HttpSource(client, call.around.ticks)
        watch = _Watch(call, state_file, source, trust, way, promise_ms, list(receipts or ()))
        watch.begin()
        while True:
            code = watch.round()
            if way.once:
                return code
            call.around.pause(seconds)


@dataclass(slots=True)
class _Watch:
    """One run of the command. `state` None: nothing is known yet."""

    call: Invocation
    path: Path
    source: HttpSource
    trust: Trust
    way: Way
    promise_ms: int | None
    files: list[Path]
    state: State | None = None
    receipts: Receipts | None = None
    _away_since: int = field(default=0)

    def begin(self) -> None:
        """Take up what is known. Raises UsageError: it is of another gateway, or damaged."""
        state = files.load(self.path)
        if state is None:
            return
        if state.url != self.source.client.url:
            raise UsageError(
                f"{self.path} is of {state.url}, and this is {self.source.client.url}: name another file "
                "with --state for another gateway"
            )
        self.trust.apply(state)
        if self.way.acknowledge:
            now = clock()
            for one in state.standing():
                one.acknowledged_at = now
                self.call.output.note(f"acknowledged: {one.id} {one.kind.value}")
            files.save(self.path, state)
        self._take_up(state)

    def round(self) -> Exit | None:
        """Look once, keep what was found, tell it; the exit code."""
        try:
            state = self.state or self._meet()
            if state is None:
                return None
            found, words = self._look(state)
        except (LogAwayError, UnreachableError) as error:
            return self._away(f"{error}")
        except (LogMissingError, AnswerUnfitError, MalformedError) as error:
            # Before anything is known, there is nothing to compare: nobody says that it is a log.
            if self.state is None:
                return self._away(f"{error}")
            found, words, state = Looked([alarm_of(error, self.state.origin)]), [], self.state
        state.looked_at, state.away_since = clock(), 0
        self._keep(state, found)
        tell_look(self.call.output, state, found, words, now=clock())
        return Exit.NOT_PROVED if state.standing() else None

    def _meet(self) -> State | None:
        """Begin with what the gateway says of itself, and with what the user trusts instead."""
        me = self.source.me()
        if not me.origins:
            self.call.output.line("there is no log yet: nothing has happened that it would tell")
            return None
        origin = me.origins[-1]
        state = State(
            url=self.source.client.url,
            partner=me.partner,
            origin=origin,
            log_keys=() if self.trust.log_key else me.keys[origin],
            freshness_keys=() if self.trust.freshness_key else tuple(self.source.freshness_keys()),
        )
        self.trust.apply(state)
        for words in drop_compromised(state, self.source.compromised_keys()):
            self.call.output.note(words)
        if not state.is_pinned:
            for key in state.log_keys:
                self.call.output.note(
                    f"trusted because the gateway says so at this first look: {VerifierKey(origin, key)}\n"
                    "  ask the operator whether it is right, and give it with --log-key"
                )
        self._take_up(state)
        return state

    def _take_up(self, state: State) -> None:
        self.state = state
        self.receipts = Receipts(state, self.source, clock, may_learn=self.trust.keys is None)

    def _look(self, state: State) -> tuple[Looked, Sequence[str]]:
        """All of one look; a checkpoint that seems stale is looked at again before it counts as that."""
        self._verify_partner(state)
        gathered, receipts = Gathered(), self.receipts
        terms = self._terms(state, gathered)
        if receipts is not None:
            receipts.ask_again()
            receipts.drop_compromised(gathered)
            receipts.from_files(self.files, gathered)
            receipts.from_history(terms.promise_ms, gathered)
        total, begun = Looked(), self.call.around.ticks()
        for seconds in (*_AGAIN_SECONDS, None):
            found = self._look_at_log(state, terms, begun)
            total.news += found.news
            total.entries += found.entries
            total.receipts += found.receipts
            total.alarms = found.alarms
            is_only_stale = {one.kind for one in found.alarms} == {Suspicion.STALE}
            if not is_only_stale or seconds is None:
                break
            self.call.around.pause(seconds)
        total.alarms += gathered.alarms(state.log)
        gathered.remember(state)
        return total, gathered.words

    def _look_at_log(self, state: State, terms: Terms, begun: float) -> Looked:
        one = Look(state, self.source, terms, clock(), self.call.around.ticks, begun)
        one.found.news += drop_compromised(state, self.source.compromised_keys())
        try:
            follow(one)
        except AlarmError as error:
            one.found.alarms.append(error.alarm)
        except (MalformedError, AnswerUnfitError, LogMissingError) as error:
            one.found.alarms.append(Alarm(Suspicion.EPOCH, state.log, f"{state.log}: {error}"))
        else:
            look(one)
        one.found.alarms = [weighed(state, alarm) for alarm in one.found.alarms]
        return one.found

    def _verify_partner(self, state: State) -> None:
        """Raises UsageError: the credential is another partner's. A log that is gone is an alarm, later."""
        partner = self.source.me().partner
        if partner != state.partner:
            raise UsageError(
                f"{self.path} is of the partner {state.partner}, and the credential of {partner}: name "
                "another file with --state"
            )

    def _terms(self, state: State, gathered: Gathered) -> Terms:
        return Terms(
            promise_ms=self._promise(state, gathered) if self.promise_ms is None else self.promise_ms,
            most_entries=self.way.most_entries,
            most_seconds=_duration(self.way.most_time, "--most-time") / 1_000,
            is_freshness_pinned=bool(self.trust.freshness_key),
        )

    def _promise(self, state: State, gathered: Gathered) -> int:
        """The shortest time that the gateway ever promised, in ms. Another one than before is told."""
        found = self._discovered().get("merge_delay_seconds")
        told = found * 1_000 if type(found) is int and 0 < found <= _MOST_PROMISED else _USUAL_MS
        before, state.promise_told_ms = state.promise_told_ms or _USUAL_MS, told
        state.promise_ms = min(state.promise_ms or told, told)
        if told != before:
            gathered.tell(
                f"the gateway promises entries within {told // 1_000} s (it was {before // 1_000} s); it is "
                f"held to {state.promise_ms // 1_000} s, the shortest that it has promised, or to --promise"
            )
        return state.promise_ms

    def _discovered(self) -> Mapping[str, object]:
        return self.source.document("/.well-known/partner-gateway")

    def _keep(self, state: State, found: Looked) -> None:
        """Papers first: an alarm that is remembered has its papers."""
        new: list[Standing] = []
        for alarm in found.alarms:
            standing = state.raise_alarm(alarm, clock())
            if standing.count == 1:
                files.keep_papers(self.path, standing, alarm.papers)
                new.append(standing)
        files.save(self.path, state)
        for one in new:
            tell_alarm(self.call.output, one, files.folder_of(self.path, one))

    def _away(self, text: str) -> Exit:
        now = clock()
        state = self.state
        self._away_since = self._away_since or now
        if state is not None:
            state.away_since = state.away_since or now
            files.save(self.path, state)
            self._away_since = state.away_since
        tell_away(self.call.output, text, since=self._away_since)
        return Exit.NOT_PROVED if state is not None and state.standing() else Exit.AWAY


_MOST_PROMISED: Final = 7 * 86_400
_USUAL_MS: Final = 60_000


def _duration(text: str, name: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error
