"""The words of the routes of exports."""

from typing import Final

from audit.manifest import FORMATS
from gateway.http.shapes import ANY, BINARY, FLAG, Shape, maybe, record, text, whole, word
from gateway.http.told import SPAN, TIME, Parameter

CREATE: Final = (
    "Every entry of a range of the log, in files that prove that none is missing: `from` and `to` are "
    "indexes (of the newest epoch, or of `epoch`), or times; without them it is all that is published. A "
    "time becomes the shortest range that holds every entry of that time; the job names it. `to` is not in "
    "the range. With `content` the content as received stands beside the entries of its events, where it is "
    "kept. With `dry_run` it counts."
)
FILE: Final = (
    "File 0 is the manifest, files from 1 on hold the entries. Each is made when it is asked for: what was "
    "erased meanwhile is not in it. Ask for the manifest last, and compare digests with those that it names. "
    "When our side reads files with content, the partner's log tells so (`content.read`)."
)
EXPORT_ID: Final = Parameter(
    "id", "An export.", text("exp_[a-z2-7]{26}"), place="path", example="exp_" + "a" * 26
)
NUMBER: Final = Parameter("n", "Which file; 0: the manifest.", text("[0-9]{1,6}"), place="path", example="0")
MEDIA: Final = {"jsonl": "application/x-ndjson", "avro": "application/vnd.apache.avro",
                "parquet": "application/vnd.apache.parquet"}  # fmt: skip
FILE_MEDIA: Final[dict[str, Shape]] = {
    "application/json": ANY,
    **dict.fromkeys(MEDIA.values(), BINARY),
}
_EDGE: Final[Shape] = {
    "oneOf": [dict(whole(0)), dict(text(f"({SPAN}|{TIME})")), {"type": "null"}],
}
WANTED: Final[Shape] = record(
    {},
    optional={
        "from": _EDGE,
        "to": _EDGE,
        "epoch": maybe(whole(0)),
        "format": word(*FORMATS),
        "content": FLAG,
    },
)
