"""Imports and their results as answers. Pure: values in, JSON values out."""

from collections.abc import Mapping

from audit.ref import format_ref
from gateway.http.guard import Call
from gateway.http.problems import Trouble, trouble_of_refusal
from gateway.imports.job import Failure, Import
from gateway.imports.results import Result
from gateway.instants import format_instant


def import_item(call: Call, job: Import) -> dict[str, object]:
    """An import as it stands."""
    counts, base = job.counts, f"{call.base_of(job.wish.partner)}/imports/{job.id}"
    error = None if job.error is None else _trouble(job.error).document(call.doors.values.origin, None)
    return {
        "id": job.id,
        "partner": job.wish.partner,
        "direction": job.wish.direction,
        "type": job.wish.event_type,
        "state": job.state,
        "dry_run": job.wish.dry_run,
        "bytes": job.size,
        "total": job.total,
        "done": counts.done,
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "refused": counts.refused,
        "waits_for": job.waits_for,
        "created_at": format_instant(job.created_at),
        "ended_at": None if job.ended_at is None else format_instant(job.ended_at),
        "error": error,
        "links": {"self": base, "results": f"{base}/results"},
    }


def result_item(call: Call, job: Import, result: Result, receipts: Mapping[bytes, str]) -> dict[str, object]:
    """One result, as in the answer to a batch."""
    item: dict[str, object] = {"index": result.index}
    if result.refused is not None:
        trouble = trouble_of_refusal(result.refused)
        problem = trouble.document(call.doors.values.origin, None)
        return {**item, "status": trouble.status, "problem": problem}
    is_new = result.kind == "accepted" and not job.wish.dry_run
    item["status"] = 201 if is_new else 200
    if result.ref is not None:
        item["ref"] = format_ref(result.ref)
        if result.ref in receipts:
            item["receipt"] = receipts[result.ref]
    return item


def _trouble(failure: Failure) -> Trouble:
    places = {"line": failure.line, "offset": failure.offset}
    members = {name: place for name, place in places.items() if place is not None}
    return Trouble(failure.code, failure.detail, failure.hint, members=members)
