"""Archives that other programs read, and none that two readers could understand in two ways."""

import io
import tarfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.archive import BLOCK, END, head_of, list_begun, list_members, padding, read_member
from audit.errors import MalformedError
from tests.exporting import pack, unpack

FILES = {"manifest.json": b"{}\n", "entries-1-000001.jsonl": b"x" * 512, "empty": b"", "b.avro": b"y" * 513}


def made_by_tar(kind: int, change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=kind) as archive:
        for name, raw in FILES.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode, member.uname = len(raw), 1_795_000_000, 0o600, "somebody"
            change(member)
            archive.addfile(member, io.BytesIO(raw))
    return target.getvalue()


def refused(archive: bytes) -> None:
    with pytest.raises(MalformedError):
        list_members(io.BytesIO(archive))


def test_what_is_written_is_read_by_pythons_tarfile() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(FILES))) as archive:
        found = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        assert {name: source.read() for name, source in found.items() if source is not None} == FILES


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_what_other_programs_pack_is_read(kind: int) -> None:
    assert unpack(made_by_tar(kind)) == FILES
    assert unpack(pack(FILES)) == FILES


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.XHDTYPE, b"L", b"S"]
)
def test_nothing_but_files_is_read(kind: bytes) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.type = kind

    refused(made_by_tar(tarfile.USTAR_FORMAT, change))


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/b", "A", ".hidden", "a b", "caf\u00e9", "-x", "x" * 101]
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.name = name if member.name == "empty" else member.name

    refused(made_by_tar(tarfile.GNU_FORMAT, change))
    with pytest.raises(ValueError, match="name"):
        head_of(name, 0)


def test_a_link_behind_a_plain_type_is_refused() -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.linkname = "elsewhere"

    refused(made_by_tar(tarfile.USTAR_FORMAT, change))


def test_extended_headers_are_refused() -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.pax_headers = {"path": "another"}

    refused(made_by_tar(tarfile.PAX_FORMAT, change))


def test_a_name_twice_cut_ends_and_bytes_behind_the_end_are_refused() -> None:
    good = pack(FILES)
    one = head_of("a", 1) + b"x" + padding(1)
    refused(one + one + END)
    refused(b"")
    refused(one)
    refused(one + bytes(BLOCK))
    refused(good + b"x")
    refused(good + bytes(21 * BLOCK))
    refused(one[:-1] + b"x" + END)
    for end in range(0, len(good) - 1, 97):
        refused(good[:end])
    huge = head_of("a", 8**11 - 1)
    refused(huge + END)


def test_what_is_whole_of_an_unfinished_archive_is_found() -> None:
    whole = pack(FILES)
    assert [one.name for one in list_begun(io.BytesIO(whole[:-1_100]))] == list(FILES)[:3]
    assert list_begun(io.BytesIO(b"")) == ()
    assert [one.name for one in list_begun(io.BytesIO(whole))] == list(FILES)
    source = io.BytesIO(whole)
    members = list_members(source)
    source.truncate(BLOCK)
    with pytest.raises(MalformedError):
        read_member(source, members[0])


@given(st.integers(0, len(pack(FILES)) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_found_or_stands_in_a_file(place: int, bits: int) -> None:
    raw = bytearray(pack(FILES))
    raw[place] ^= bits
    try:
        found = unpack(bytes(raw))
    except MalformedError:
        return
    assert list(found) == list(FILES)
    assert found != FILES


@given(st.binary(max_size=2_000))
def test_other_bytes_raise_nothing_else(raw: bytes) -> None:
    try:
        list_members(io.BytesIO(raw))
    except MalformedError:
        return
