"""Exports as answers. Pure: values in, JSON values out."""

from gateway.exports.job import Export
from gateway.http.problems import Trouble
from gateway.instants import format_instant


def export_item(export: Export, base: str, origin: str, *, is_dry: bool = False) -> dict[str, object]:
    """An export as it stands. `origin`: of the gateway. Of a dry run there is no job to be found."""
    wish, error = export.wish, export.error
    problem = None if error is None else Trouble(error.code, error.detail, error.hint)
    place = f"{base}/exports/{export.id}"
    return {
        "id": None if is_dry else export.id,
        "partner": wish.partner,
        "format": wish.format,
        "content": wish.has_content,
        "state": export.state,
        "dry_run": is_dry,
        "total": wish.total,
        "done": export.done,
        "erased": export.erased,
        "bytes": export.size,
        "files": export.parts + 1 if export.state == "done" else None,
        "ranges": [{"origin": one.origin, "from": one.first, "to": one.end} for one in wish.stretches],
        "created_at": format_instant(export.created_at),
        "ended_at": None if export.ended_at is None else format_instant(export.ended_at),
        "error": None if problem is None else problem.document(origin, None),
        "links": None if is_dry else {"self": place, "manifest": f"{place}/files/0"},
    }
