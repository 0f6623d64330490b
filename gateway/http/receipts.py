"""Answers to senders: one event's receipt, or the results of a batch. Pure: outcomes in, JSON values out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from audit.ref import format_ref
from gateway.http.problems import Trouble, trouble_of_refusal
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused, Valid
from gateway.instants import format_instant


@dataclass(frozen=True, slots=True)
class Manner:
    """How the sender wants to be answered.

    `base`: path of the partner's resources. `origin`: for the types of problems.
    """

    base: str
    origin: str
    minimal: bool
    lenient: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """The results of a batch. `status` 422: nothing was taken."""

    status: int
    body: dict[str, object]


def receipt_body(accepted: Accepted, ref: str, base: str) -> dict[str, object]:
    """The answer to an accepted or repeated event; `ref`: its reference as text."""
    subject, version, schema_id = accepted.schema
    record: dict[str, object] = {"topic": accepted.topic, "partition": accepted.partition}
    if accepted.position is not None:
        record["offset"] = accepted.position.offset
    return {
        "ref": ref,
        "id": accepted.key.id,
        "source": accepted.key.source,
        "type": accepted.type,
        "received_at": format_instant(accepted.at),
        "duplicate": accepted.duplicate,
        "receipt": accepted.receipt,
        "schema": {"subject": subject, "version": version, "id": schema_id},
        "contract": accepted.contract,
        "record": record,
        "links": {"self": f"{base}/history/{ref}", "proof": f"{base}/history/{ref}/proof"},
    }


def preview_body(valid: Valid) -> dict[str, object]:
    """The answer to a dry run of an event that would be accepted now."""
    subject, version, schema_id = valid.schema
    return {
        "ref": format_ref(valid.ref),
        "id": valid.key.id,
        "source": valid.key.source,
        "type": valid.type,
        "duplicate": valid.duplicate,
        "dry_run": True,
        "schema": {"subject": subject, "version": version, "id": schema_id},
    }


def status_of(outcome: Outcome, *, dry_run: bool) -> int:
    """The status of one event: 201 when it is new, 200 when it is repeated or only looked at."""
    match outcome:
        case Accepted(duplicate=False) if not dry_run:
            return 201
        case Accepted() | Valid():
            return 200
        case _:
            return trouble_of_refusal(outcome).status


def summarize(outcomes: Sequence[Outcome], manner: Manner) -> Summary:
    """The answer to a batch: 200, 207 where some were refused, 422 where nothing was taken."""
    counts = Counter(map(_kind, outcomes))
    nothing = not counts["accepted"] and not counts["duplicates"]
    results = [_result(index, outcome, manner) for index, outcome in enumerate(outcomes)]
    body: dict[str, object] = {
        "accepted": 0 if _is_strict_refusal(counts, manner) else counts["accepted"],
        "duplicates": 0 if _is_strict_refusal(counts, manner) else counts["duplicates"],
        "refused": len(outcomes) if _is_strict_refusal(counts, manner) else counts["refused"],
        "results": results,
    }
    if manner.dry_run:
        body["dry_run"] = True
    if nothing or _is_strict_refusal(counts, manner):
        return Summary(422, body)
    return Summary(207 if counts["refused"] else 200, body)


def batch_trouble(summary: Summary) -> Trouble:
    """The problem of a batch of which nothing was taken, with its results."""
    detail = "Nothing of this batch was taken: see results."
    return Trouble("batch_refused", detail, members=summary.body)


def _is_strict_refusal(counts: Counter[str], manner: Manner) -> bool:
    return not manner.lenient and counts["refused"] > 0


def _kind(outcome: Outcome) -> str:
    match outcome:
        case Refused() | Failed():
            return "refused"
        case Accepted(duplicate=True) | Valid(duplicate=True):
            return "duplicates"
        case _:
            return "accepted"


def _result(index: int, outcome: Outcome, manner: Manner) -> dict[str, object]:
    one: dict[str, object] = {"index": index, "status": status_of(outcome, dry_run=manner.dry_run)}
    match outcome:
        case Accepted():
            one["ref"] = format_ref(outcome.ref)
            if not manner.minimal:
                one["receipt"] = outcome.receipt
        case Valid():
            one["ref"] = format_ref(outcome.ref)
        case _:
            one["problem"] = trouble_of_refusal(outcome).document(manner.origin, None)
    return one
