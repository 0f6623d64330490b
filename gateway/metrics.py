"""Every metric, in a registry of our own, with closed label sets.

A label value outside its set is counted as `other`: nothing that comes from outside may add a time series.
No label names a partner, an event type or an endpoint.

Where several processes stand behind one door, whoever is asked answers for all of them: `readings` of each
are passed around, and `render` adds them up.
"""

import math
from collections import Counter as Sum
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from gateway.errors import AWAY_CODES, CALLER_CODES

OTHER: Final = "other"
DIRECTIONS: Final = frozenset({"inbound", "outbound"})
REFUSALS: Final = CALLER_CODES | AWAY_CODES | {"internal"}
CLAIMS: Final = frozenset({"won", "repeat", "conflict", "waited", "taken_over", "deleted"})
APPENDS: Final = frozenset({"stored", "refused", "unknown"})
WITNESSES: Final = frozenset({"cosigned", "conflict", "refused", "invalid", "away"})
ROLES: Final = frozenset({"server", "relay", "sequencer"})
READERS: Final = frozenset({"relay", "sequence"})
OUTCOMES: Final = frozenset({"delivered", "retry", "parked", "held"})
REASONS: Final = frozenset(
    {
        "none",
        "dns_failed",
        "connect_failed",
        "tls_failed",
        "timed_out",
        "redirected",
        "client_error",
        "server_error",
        "throttled",
        "gone",
        "address_denied",
        "endpoint_auth_failed",
        "response_invalid",
    }
)
HANDSHAKES: Final = frozenset(
    {"certificate", "cipher", "client_alert", "ended", "not_tls", "other", "timeout", "version"}
)
ROUTE_GROUPS: Final = frozenset(
    {
        "contract",
        "credentials",
        "deliveries",
        "endpoints",
        "events",
        "exports",
        "history",
        "imports",
        "log",
        "none",
        "open",
        "operator",
        "registry",
        "stream",
        OTHER,
    }
)
"""What answers are counted by: routes that belong together; `none`: no route of ours, or no HTTP."""

STATUSES: Final = frozenset(map(str, (*range(200, 208), 304, *range(400, 418), 422, 429, 500, 503)))
NOT_LET_IN: Final = frozenset(
    {
        *(("401", code) for code in ("credential_missing", "credential_invalid", "credential_expired")),
        *(("401", code) for code in ("credential_revoked", "signature_invalid", "signature_stale")),
        ("401", "signature_replayed"),
        *(("403", code) for code in ("scope_missing", "partner_suspended", "source_address_denied")),
        ("429", "quota_exceeded"),
    }
)
"""Status and code of answers that are counted from zero on, in each group: what alarms are made of."""
_CODES: Final = REFUSALS | {"none"}

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels in order."""

Readings = Mapping[Series, float]
"""Everything that only grows: counters and histograms, not gauges."""

_GROWING: Final = frozenset({"counter", "histogram"})
_SUFFIXES: Final = ("_total", "_bucket", "_sum", "_count")

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class Metrics:
    """The gateway's metrics; one object a process, handed to whoever counts. Times in milliseconds in."""

    def __init__(self) -> None:
        """Make every series at zero, so that a rate exists before the first event."""
        self.registry = CollectorRegistry()
        self._series: dict[tuple[Counter, tuple[str, ...]], Counter] = {}
        self._accepted = self._counter("events_accepted", "Events answered 2xx", direction=DIRECTIONS)
        self._repeats = self._counter("events_repeated", "Of these, repeats", direction=DIRECTIONS)
        self._refused = self._counter("events_refused", "Events refused, by code", code=REFUSALS)
        self._waited = self._counter("import_waits", "Steps of imports that had to wait", code=REFUSALS)
        self._request = self._histogram("request_seconds", "From head read to answer, event routes")
        self._met: dict[tuple[str, int, str], Counter] = {}
        self._answers = self._answer_counter()
        self._handshakes = self._counter(
            "tls_handshakes_failed", "Handshakes of TLS that came to nothing", reason=HANDSHAKES
        )
        self._ignored = self._counter(
            "proxy_certificates_ignored", "Requests with a certificate header of nobody who is believed"
        )
        self._claims = self._counter("claims", "Claims, by what became of them", outcome=CLAIMS)
        self._commit = self._histogram("group_commit_seconds", "One group commit")
        self._group = self._counter("group_commit_items", "Items written by group commits")
        self._appended = self._counter("broker_records", "Records appended, by answer", answer=APPENDS)
        self._append = self._histogram("broker_append_seconds", "One append, until its last answer")
        self._attempts = self._counter(
            "delivery_attempts", "POSTs to endpoints", outcome=OUTCOMES, reason=REASONS
        )
        self._attempt = self._histogram("delivery_attempt_seconds", "One attempt")
        self._unrouted = self._counter("events_unrouted", "Outbound events without an endpoint")
        self._unreadable = self._counter("records_unreadable", "Records passed over", direction=DIRECTIONS)
        self._entries = self._counter("log_entries", "Entries appended to logs")
        self._forged = self._counter("receipts_forged", "Records whose receipt fails")
        self._rounds = self._counter("anchor_rounds", "Entries of the anchor asked for")
        self._witness = self._counter("witness_answers", "Answers of witnesses", outcome=WITNESSES)
        self._append_log = self._histogram("log_append_seconds", "One append to a log, until committed")
        self._leases = self._gauge("leases_held", "Shards held", role=ROLES)
        self._unread = self._gauge(
            "unread_records",
            "Records that a role has yet to read",
            role=READERS,
            direction=DIRECTIONS,
        )
        self.unread(None)
        self._restarts = self._counter("role_restarts", "Restarts after a dependency was away", role=ROLES)

    def accepted(self, direction: str, *, repeats: int = 0, count: int = 1) -> None:
        """Count events answered 2xx, `repeats` of them with an earlier receipt."""
        self._one(self._accepted, _known(direction, DIRECTIONS)).inc(count)
        if repeats:
            self._one(self._repeats, _known(direction, DIRECTIONS)).inc(repeats)

    def refused(self, code: str, count: int = 1) -> None:
        """Count events refused with a code of the error catalogue."""
        self._refused.labels(_known(code, REFUSALS)).inc(count)

    def waited(self, code: str) -> None:
        """Count a step of an import that could not be taken yet, and is tried again."""
        self._waited.labels(_known(code, REFUSALS)).inc()

    def request(self, ms: float) -> None:
        """Time one request of an event route."""
        self._request.observe(ms / 1_000)

    def answered(self, group: str, status: int, code: str) -> None:
        """Count an answer. `group`: of ROUTE_GROUPS; `code`: of the error catalogue, or `none`.

        Series are made as they are met: of all that there can be, few ever are.
        """
        found = self._met.get((group, status, code))
        if found is None:
            shown = _known(group, ROUTE_GROUPS), _known(str(status), STATUSES), _known(code, _CODES)
            found = self._answers.labels(*shown)
            if OTHER not in shown:
                self._met[group, status, code] = found
        found.inc()

    def handshake_failed(self, reason: str) -> None:
        """Count a handshake of TLS that came to nothing."""
        self._handshakes.labels(_known(reason, HANDSHAKES)).inc()

    def proxy_certificate_ignored(self) -> None:
        """Count a request whose header of a client certificate was passed over: no believed proxy sent it."""
        self._ignored.inc()

    def claim(self, outcome: str, count: int = 1) -> None:
        """Count claims by what became of them."""
        self._claims.labels(_known(outcome, CLAIMS)).inc(count)

    def group_commit(self, items: int, ms: float) -> None:
        """Time one group commit."""
        self._group.inc(items)
        self._commit.observe(ms / 1_000)

    def appended(self, answer: str, count: int = 1) -> None:
        """Count records by the broker's answer."""
        self._appended.labels(_known(answer, APPENDS)).inc(count)

    def append(self, ms: float) -> None:
        """Time one append to the broker."""
        self._append.observe(ms / 1_000)

    def anchored(self) -> None:
        """Count a round of the anchor."""
        self._rounds.inc()

    def witness(self, outcome: str) -> None:
        """Count what became of asking a witness once."""
        self._witness.labels(_known(outcome, WITNESSES)).inc()

    def attempt(self, outcome: str, reason: str | None, ms: float) -> None:
        """Count and time one delivery attempt."""
        self._one(self._attempts, _known(outcome, OUTCOMES), _known(reason or "none", REASONS)).inc()
        self._attempt.observe(ms / 1_000)

    def unrouted(self, count: int = 1) -> None:
        """Count outbound events that no endpoint wants."""
        self._unrouted.inc(count)

    def unreadable(self, direction: str, count: int = 1) -> None:
        """Count records passed over, with evidence."""
        self._unreadable.labels(_known(direction, DIRECTIONS)).inc(count)

    def log_append(self, entries: int, ms: float) -> None:
        """Count and time one append to a log."""
        self._entries.inc(entries)
        self._append_log.observe(ms / 1_000)

    def forged(self, count: int = 1) -> None:
        """Count records whose receipt is not ours, or not of this record."""
        self._forged.inc(count)

    def leases(self, role: str, held: int) -> None:
        """Say how many shards a role holds."""
        self._leases.labels(_known(role, ROLES)).set(held)

    def unread(self, counts: Mapping[tuple[str, str], int] | None) -> None:
        """Say how many records each role has yet to read, by role and direction; None: nobody can say now."""
        for role, direction in product(READERS, DIRECTIONS):
            many = math.nan if counts is None else counts.get((role, direction), 0)
            self._unread.labels(role=role, direction=direction).set(many)

    def restarted(self, role: str) -> None:
        """Count a role's restart."""
        self._restarts.labels(_known(role, ROLES)).inc()

    def readings(self) -> Readings:
        """What this process has counted so far."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in self.registry.collect()
            if family.type in _GROWING
            for sample in family.samples
            if sample.name.endswith(_SUFFIXES)
        }

    def render(self, others: Iterable[Readings] = ()) -> bytes:
        """The text exposition, of type CONTENT_TYPE; `others`: what other processes have counted."""
        more = add_up(others)
        if not more:
            return generate_latest(self.registry)
        shown = CollectorRegistry()
        shown.register(_Summed(self.registry, more))
        return generate_latest(shown)

    def _one(self, counter: Counter, *labels: str) -> Counter:
        """As `labels` of the library, which takes longer than the counting: each event is counted."""
        found = self._series.get((counter, labels))
        if found is None:
            found = self._series[counter, labels] = counter.labels(*labels)
        return found

    def _counter(self, name: str, text: str, **labels: frozenset[str]) -> Counter:
        made = Counter(f"gateway_{name}", text, list(labels), registry=self.registry)
        for values in _combinations(labels.values()) if labels else ():
            made.labels(*values)
        return made

    def _answer_counter(self) -> Counter:
        """Of all series that there can be, those that alarms are made of; the others are made once met."""
        labels = ["group", "status", "code"]
        text = "Answers, by route group, status and code"
        made = Counter("gateway_answers", text, labels, registry=self.registry)
        for group, (status, code) in product(ROUTE_GROUPS - {"none", "open", OTHER}, NOT_LET_IN):
            made.labels(group, status, code)
        return made

    def _gauge(self, name: str, text: str, **labels: frozenset[str]) -> Gauge:
        made = Gauge(f"gateway_{name}", text, list(labels), registry=self.registry)
        for values in _combinations(labels.values()):
            made.labels(*values)
        return made

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"gateway_{name}", text, buckets=_SECONDS, registry=self.registry)


def add_up(each: Iterable[Readings]) -> Readings:
    """The sum of each series."""
    found: Sum[Series] = Sum()
    for one in each:
        found.update(one)
    return found


class _Summed:
    """A registry's families, with other readings added."""

    def __init__(self, registry: CollectorRegistry, more: Readings) -> None:
        self._registry = registry
        self._more = more

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            names = {f"{family.name}{suffix}" for suffix in _SUFFIXES}
            more = {series: value for series, value in self._more.items() if series[0] in names}
            shown = Metric(family.name, family.documentation, family.type)
            for sample in family.samples:
                series = (sample.name, tuple(sorted(sample.labels.items())))
                shown.add_sample(sample.name, sample.labels, sample.value + more.pop(series, 0))
            for (name, labels), value in more.items():  # `other` labels, which this process has not met
                shown.add_sample(name, dict(labels), value)
            yield shown


def _known(value: str, allowed: frozenset[str]) -> str:
    return value if value in allowed else OTHER


def _combinations(sets: Iterable[frozenset[str]]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for allowed in sets:
        found = [(*start, value) for start in found for value in sorted(allowed)]
    return found
