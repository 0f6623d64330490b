"""An export proves that it is whole, and a changed one proves nothing. At least a hundred are changed."""

import hashlib
import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, UnpinnedKeyError, VerificationError
from audit.evidence import Kind
from audit.export import verify_export
from audit.export_avro import decode_container, encode_container
from audit.export_joined import verify_exports, verify_joined
from audit.export_lines import decode_lines, encode_lines
from audit.export_parquet import decode_table, encode_table
from audit.export_row import COLUMNS, Value
from audit.manifest import FORMATS, Format
from audit.merkle import hash_leaf
from audit.note import VerifierKey
from audit.papers import Keys
from gateway.database import Database
from tests.exporting import manifest_of, pack, unpack
from tests.made_logs import database_at, erase, exported, grow, keys_of, mixed, verify
from tests.unit.audit.builders import LOG, LOG_SIGNER, ORIGIN, OTHER_SIGNER, evidence

pytestmark = pytest.mark.asyncio(loop_scope="module")

Row = tuple[Value, ...]
SIZE, FIRST, END, PART = 70, 9, 61, 20
SECOND = f"{LOG}/2"
ENCODE: Final[dict[Format, Callable[[Sequence[Row]], bytes]]] = {
    "jsonl": encode_lines,
    "avro": encode_container,
    "parquet": encode_table,
}
DECODE: Final[dict[Format, Callable[[bytes], Iterator[Row]]]] = {
    "jsonl": decode_lines,
    "avro": decode_container,
    "parquet": decode_table,
}
PLACE: Final = {name: place for place, name in enumerate(COLUMNS)}
FLIPS: Final = 34
"""Of each format; with what else is changed they are more than a hundred."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Database]:
    """A log of two epochs, some of its evidence erased, once with an entry that says so."""
    opened = database_at(tmp_path_factory.mktemp("exported"), migrated_file)
    with opened.begin() as session:
        batch = [mixed(number) for number in range(SIZE)]
        leaf_sha256 = hash_leaf(batch[22].leaf()).hex()
        batch[50] = evidence(50, kind=Kind.ERASED, index=22, leaf_sha256=leaf_sha256)
        for start in range(0, SIZE, 23):
            grow(session, batch[start : start + 23])
        for index in (22, 40):
            erase(session, index)
        grow(session, [mixed(number) for number in range(5)], origin=SECOND)
    yield opened
    opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archives(database: Database) -> dict[Format, bytes]:
    """Of each format, three files over the middle of the first epoch and all of the second."""
    stretches = (ORIGIN, FIRST, END), (SECOND, 0, 5)
    return {
        kind: await exported(database, *stretches, kind=kind, name=f"exp_{kind}", part_entries=PART)
        for kind in FORMATS
    }


@pytest.mark.parametrize("kind", FORMATS)
async def test_an_export_proves_that_nothing_is_missing(archives: dict[Format, bytes], kind: Format) -> None:
    heard: list[tuple[int, int]] = []
    verdict = verify_export(
        io.BytesIO(archives[kind]),
        keys_of(ORIGIN, SECOND),
        told=lambda done, total: heard.append((done, total)),
    ).verdict
    said = "\n".join(verdict.proved)
    assert f"every entry of {ORIGIN} from index {FIRST} up to, not with, {END}: 52 entries" in said
    assert "2 of them without evidence" in said
    assert f"every entry of {SECOND} from index 0 up to, not with, 5: 5 entries" in said
    assert "1 entries are erased by what the log itself says" in said
    assert any("1 of the entries without evidence were erased" in one for one in verdict.word)
    assert heard[-1] == (57, 57)


async def test_all_formats_hold_the_same_rows(archives: dict[Format, bytes]) -> None:
    found = {kind: [row for _, rows in files_of(archives[kind]) for row in rows] for kind in FORMATS}
    assert found["jsonl"] == found["avro"] == found["parquet"]
    erased = [row for row in found["jsonl"] if row[PLACE["erased"]]]
    assert [row[PLACE["index"]] for row in erased] == [22, 40]
    assert [row[PLACE["evidence"]] for row in erased] == [None, None]


@pytest.mark.parametrize("kind", FORMATS)
async def test_the_same_export_is_the_same_archive(database: Database, kind: Format) -> None:
    stretch = (ORIGIN, FIRST, END)
    twice = [await exported(database, stretch, kind=kind, name=f"exp_{kind}{one}") for one in range(2)]
    assert twice[0] == twice[1]


@pytest.mark.parametrize(
    ("first", "end"), [(0, SIZE), (0, 0), (64, 64), (63, 65), (1, 2), (SIZE, SIZE), (0, 64)]
)
async def test_any_range_is_proved(database: Database, first: int, end: int) -> None:
    archive = await exported(database, (ORIGIN, first, end), name=f"exp_{first}_{end}")
    verdict = verify(archive)
    assert verdict.sections[0].end - verdict.sections[0].first == end - first


async def test_a_key_that_nobody_pinned_proves_nothing(archives: dict[Format, bytes]) -> None:
    assert verify_export(io.BytesIO(archives["jsonl"]), keys_of(ORIGIN)), (
        "a log's key is its key in any epoch"
    )
    for pinned in (Keys(), keys_of("gw.example/log/other/1")):
        with pytest.raises(UnpinnedKeyError, match="all that could be checked holds"):
            verify_export(io.BytesIO(archives["jsonl"]), pinned)
    wrong = Keys({}, tuple(VerifierKey(one, OTHER_SIGNER.public_key) for one in (ORIGIN, SECOND)))
    with pytest.raises(UnpinnedKeyError):
        verify_export(io.BytesIO(archives["jsonl"]), wrong)


async def test_exports_that_follow_each_other_are_joined_root_by_root(database: Database) -> None:
    ranges = [(0, 30), (30, 31), (31, SIZE), (40, SIZE)]
    archives = [await exported(database, (ORIGIN, *one), name=f"exp_j{one}") for one in ranges]
    verdicts = [verify(one) for one in archives]
    assert len(verify_joined(verdicts[:3])) == 2
    with pytest.raises(InconsistentError):
        verify_joined([verdicts[0], verdicts[2]])
    with pytest.raises(InconsistentError):
        verify_joined([verdicts[1], verdicts[3]])


async def test_a_range_may_lie_under_a_later_checkpoint(database: Database) -> None:
    archive = await exported(database, (ORIGIN, 3, 20), name="exp_later")
    section = manifest_of(archive).sections[0]
    assert section.consistency
    assert verify(archive).sections == (section,)


def files_of(archive: bytes) -> list[tuple[str, list[Row]]]:
    files, manifest = unpack(archive), manifest_of(archive)
    return [
        (file.name, list(DECODE[manifest.format](files[file.name])))
        for section in manifest.sections
        for file in section.files
    ]


Change = Callable[[dict[str, Any], dict[str, list[Row]]], None]


def resealed(archive: bytes, change: Change) -> bytes:
    """The archive with other rows or another manifest, with digests, sizes and counts that fit them."""
    files = unpack(archive)
    whole = json.loads(files["manifest.json"])
    rows = dict(files_of(archive))
    change(whole, rows)
    made: dict[str, bytes] = {}
    for section in whole["sections"]:
        times = [row[PLACE["at"]] for file in section["files"] for row in rows[file["name"]]]
        known = [at for at in times if isinstance(at, int)]
        section["first_at"], section["last_at"] = min(known, default=None), max(known, default=None)
        for file in section["files"]:
            some = rows[file["name"]]
            raw = ENCODE[whole["format"]](some)
            made[file["name"]] = raw
            file["bytes"], file["sha256"] = len(raw), hashlib.sha256(raw).hexdigest()
            file["erased"] = sum(row[PLACE["evidence"]] is None for row in some)
    text = json.dumps(whole, ensure_ascii=False, indent=1).encode() + b"\n"
    return pack({**made, "manifest.json": text})


def with_values(row: Row, **values: Value) -> Row:
    return tuple(values.get(name, row[place]) for name, place in PLACE.items())


def first_file(rows: dict[str, list[Row]]) -> list[Row]:
    return next(iter(rows.values()))


def dropped(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    del first_file(rows)[7]


def dropped_at_the_end(whole: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    section = whole["sections"][0]
    rows[section["files"][-1]["name"]].pop()
    section["files"][-1]["to"] -= 1
    section["to"] -= 1


def dropped_at_the_beginning(whole: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    section = whole["sections"][0]
    del first_file(rows)[0]
    section["files"][0]["from"] += 1
    section["from"] += 1


def dropped_with_renumbering(whole: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    section = whole["sections"][0]
    name = section["files"][-1]["name"]
    del rows[name][3]
    start = section["files"][-1]["from"]
    rows[name] = [with_values(row, index=start + place) for place, row in enumerate(rows[name])]
    section["files"][-1]["to"] -= 1
    section["to"] -= 1


def swapped(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    some[2], some[3] = with_values(some[3], index=some[2][1]), with_values(some[2], index=some[3][1])


def doubled(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    first_file(rows).insert(4, first_file(rows)[4])


def replaced(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    other = mixed(99)
    some[5] = with_values(some[5], leaf=other.leaf().decode(), evidence=other.raw.decode())


def other_evidence(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    some[5] = with_values(some[5], evidence=str(some[5][-1]).replace("acme", "evil"))


def loose_evidence(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    some[5] = with_values(some[5], evidence=str(some[5][-1]).replace('{"v":1,', '{"v":1, ', 1))


def evidence_given_to_the_erased(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    place = next(place for place, row in enumerate(some) if row[PLACE["erased"]])
    some[place] = with_values(some[place], erased=False, evidence=mixed(22).raw.decode().replace("acme", "x"))


def content_of_another(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    some[5] = with_values(some[5], content="base64:eA==")


def claims_content(whole: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    whole["content"] = True
    content_of_another(whole, rows)


COLUMN_VALUES: Final[dict[str, Value]] = {
    "epoch": 2,
    "index": 30,
    "kind": "event.accepted",
    "hour": "2026-11-22T14Z",
    "at": 1_795_352_745_000,
    "partner": "globex",
    "direction": "sideways",
    "ref": "evt_" + "a" * 52,
    "source": "=cmd|'/c calc'!A1",
    "id": "=1+1",
    "type": "order.other",
    "endpoint": "ep_other",
    "credential": "crd_other",
    "code": "delivered!",
    "reason": "because",
    "status": 200_000,
    "number": 99,
    "ms": 12_345,
    "leaf": mixed(1).leaf().decode(),
}


def column(name: str, value: Value) -> Change:
    def change(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
        some = first_file(rows)
        place = next(place for place, row in enumerate(some) if row[0] == 1 and row[PLACE[name]] != value)
        some[place] = with_values(some[place], **{name: value})

    change.__name__ = f"column_{name}"
    return change


def column_of_the_erased(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    some = first_file(rows)
    place = next(place for place, row in enumerate(some) if row[PLACE["erased"]])
    some[place] = with_values(some[place], id="A-1")


def root(name: str) -> Change:
    def change(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
        section = whole["sections"][0]
        section[name] = whole["sections"][1][name if name != "root_from" else "root_to"]

    change.__name__ = name
    return change


def edge_cut(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][0]["edge"].pop()


def edge_turned(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][0]["edge"].reverse()


def consistency_cut(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][0]["consistency"].pop()


def consistency_longer(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    hashes = whole["sections"][0]["consistency"]
    hashes.append(hashes[0])


def other_origin(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][0]["origin"] = "gw.example/log/other/1"


def epochs_swapped(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"].reverse()


def other_checkpoint(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][0]["checkpoint"] = whole["sections"][1]["checkpoint"]


def checkpoint_by_another(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    section = whole["sections"][0]
    made = Checkpoint(ORIGIN, section["to"], bytes(32))
    section["checkpoint"] = sign_checkpoint(made, OTHER_SIGNER).decode()


def checkpoint_too_small(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    made = Checkpoint(ORIGIN, whole["sections"][0]["to"] - 1, bytes(32))
    whole["sections"][0]["checkpoint"] = sign_checkpoint(made, LOG_SIGNER).decode()


def shifted(whole: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    section = whole["sections"][0]
    for name in ("from", "to"):
        section[name] += 1
        for file in section["files"]:
            file[name] += 1
    for file in section["files"]:
        some = rows[file["name"]]
        rows[file["name"]] = [with_values(row, index=int(row[1] or 0) + 1) for row in some]


def a_file_less(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][0]["files"].pop(1)


def files_swapped(whole: dict[str, Any], rows: dict[str, list[Row]]) -> None:
    names = [file["name"] for file in whole["sections"][0]["files"][:2]]
    rows[names[0]], rows[names[1]] = rows[names[1]], rows[names[0]]


def an_epoch_less_in_words(whole: dict[str, Any], _: dict[str, list[Row]]) -> None:
    whole["sections"][1]["from"] = whole["sections"][1]["to"] = 0


CHANGES: Final[tuple[Change, ...]] = (
    dropped,
    dropped_at_the_end,
    dropped_at_the_beginning,
    dropped_with_renumbering,
    swapped,
    doubled,
    replaced,
    other_evidence,
    loose_evidence,
    evidence_given_to_the_erased,
    content_of_another,
    claims_content,
    *(column(name, value) for name, value in COLUMN_VALUES.items()),
    column_of_the_erased,
    root("root_from"),
    root("root_to"),
    edge_cut,
    edge_turned,
    consistency_cut,
    consistency_longer,
    other_origin,
    epochs_swapped,
    other_checkpoint,
    checkpoint_by_another,
    checkpoint_too_small,
    shifted,
    a_file_less,
    files_swapped,
    an_epoch_less_in_words,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", FORMATS)
async def test_a_changed_export_proves_nothing(
    archives: dict[Format, bytes], kind: Format, change: Change
) -> None:
    archive = archives[kind]
    assert unpack(resealed(archive, lambda _whole, _rows: None)) == unpack(archive)
    with pytest.raises(VerificationError):
        verify(resealed(archive, change), ORIGIN, SECOND)


@pytest.mark.parametrize("number", range(FLIPS))
@pytest.mark.parametrize("kind", FORMATS)
async def test_a_flipped_byte_anywhere_proves_nothing(
    archives: dict[Format, bytes], kind: Format, number: int
) -> None:
    archive = bytearray(archives[kind])
    chance = random.Random(f"{kind} {number}")  # noqa: S311 - the same bytes in each run
    archive[chance.randrange(len(archive))] ^= 1 << chance.randrange(8)
    with pytest.raises(VerificationError):
        verify(bytes(archive), ORIGIN, SECOND)


@pytest.mark.parametrize("kind", FORMATS)
async def test_evidence_left_out_is_told_from_what_the_log_says_was_erased(
    archives: dict[Format, bytes], kind: Format
) -> None:
    """A leaf cannot tell why its evidence is missing; the entry that says so can, and is missing here."""

    def left_out(_: dict[str, Any], rows: dict[str, list[Row]]) -> None:
        some = first_file(rows)
        kept = {name: some[5][PLACE[name]] for name in ("epoch", "index", "kind", "hour", "leaf")}
        some[5] = tuple(True if name == "erased" else kept.get(name) for name in PLACE)

    verdict = verify(resealed(archives[kind], left_out), ORIGIN, SECOND).verdict
    assert any("2 of the entries without evidence were erased" in one for one in verdict.word)
    assert any("what the entries without evidence said" in one for one in verdict.not_proved)


async def test_an_archive_with_more_or_fewer_files_proves_nothing(archives: dict[Format, bytes]) -> None:
    files = unpack(archives["jsonl"])
    with pytest.raises(VerificationError):
        verify(pack({**files, "more.jsonl": b""}), ORIGIN, SECOND)
    for name in files:
        with pytest.raises(VerificationError):
            verify(pack({other: raw for other, raw in files.items() if other != name}), ORIGIN, SECOND)
    with pytest.raises(VerificationError):
        verify(b"", ORIGIN)


async def test_exports_are_told_from_other_papers(archives: dict[Format, bytes], tmp_path: Path) -> None:
    good, other, cut = (tmp_path / name for name in ("export.tar", "receipt", "cut.tar"))
    good.write_bytes(archives["jsonl"])
    other.write_bytes(b"x.y.z")
    cut.write_bytes(archives["jsonl"][:-20_000])
    pinned = keys_of(ORIGIN, SECOND)
    assert verify_exports([other], pinned) is None
    assert verify_exports([], pinned) is None
    found = verify_exports([good], pinned)
    assert found is not None
    assert found.proved
    for files in ([good, other], [cut], [good, good]):
        with pytest.raises(VerificationError):
            verify_exports(files, pinned)
