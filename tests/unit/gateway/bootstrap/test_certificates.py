import asyncio
import os
import shutil
import ssl
from pathlib import Path

import pytest

from gateway.bootstrap.certificates import Certificates, KnownClients
from gateway.bootstrap.ground import clock
from gateway.errors import SetupError
from gateway.http.tls import make_dev_certificate
from partners.credential import Credential
from partners.directory import Directory
from tests.authorities import make as issue


def shown(context: ssl.SSLContext) -> bytes:
    """The certificate that a client of this context gets, DER."""
    asking = ssl.create_default_context()
    asking.check_hostname = False
    asking.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for one in (client, server):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


def make(folder: Path) -> tuple[Path, Path]:
    return make_dev_certificate(folder, now=clock(), entropy=os.urandom)


def test_renewed_files_are_shown_to_the_next_client(tmp_path: Path) -> None:
    files, renewed = make(tmp_path / "a"), make(tmp_path / "b")
    held = Certificates(*files)
    first = shown(held.context)
    for new, old in zip(renewed, files, strict=True):
        shutil.copy(new, old)
    held.follow()
    assert shown(held.context) != first
    assert shown(held.context) == shown(Certificates(*renewed).context)


@pytest.mark.parametrize("is_gone", [True, False])
def test_files_that_do_not_fit_leave_the_last_good_ones_in_use(tmp_path: Path, *, is_gone: bool) -> None:
    files, renewed = make(tmp_path / "a"), make(tmp_path / "b")
    held = Certificates(*files)
    first = shown(held.context)
    if is_gone:
        files[0].unlink()
    else:
        shutil.copy(renewed[0], files[0])  # the key comes later
    held.follow()
    assert shown(held.context) == first
    for new, old in zip(renewed, files, strict=True):
        shutil.copy(new, old)
    held.follow()
    assert shown(held.context) != first


def overwrite(file: Path, content: bytes) -> None:
    """As a change of rights does, leave name, size, place and time of the last write as they were."""
    before = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_key_that_can_be_read_at_last_is_taken_without_a_newer_time(tmp_path: Path) -> None:
    files, renewed = make(tmp_path / "a"), make(tmp_path / "b")
    held = Certificates(*files)
    first = shown(held.context)
    for new, old in zip(renewed, files, strict=True):
        shutil.copy(new, old)
    key = files[1].read_bytes()
    overwrite(files[1], b"x" * len(key))
    held.follow()
    assert shown(held.context) == first
    overwrite(files[1], key)
    held.follow()
    assert shown(held.context) != first


def test_a_start_without_good_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be used"):
        Certificates(tmp_path / "none", tmp_path / "none")


def accepted(held: Certificates) -> list[str]:
    """Common names of whom a handshake accepts."""
    return sorted(one["subject"][0][0][1] for one in held.context.now.get_ca_certs())


async def test_new_clients_are_accepted_soon_and_nothing_is_made_anew_for_others(tmp_path: Path) -> None:
    now = clock()
    first, second = (issue(name, at=now, is_ca=True) for name in ("first", "second"))
    known = [(first.der,)]
    held = Certificates(*make(tmp_path), clients=lambda: known[-1])
    assert accepted(held) == ["first"]
    context, stop = held.context.now, asyncio.Event()
    held.follow()
    assert held.context.now is context
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(30):
        tasks.create_task(held.run(stop))
        known.append((second.der,))
        while accepted(held) != ["second"]:  # noqa: ASYNC110 - what a role does shows nowhere else
            await asyncio.sleep(0.02)
        stop.set()


def test_the_clients_are_those_of_the_directory_of_the_moment() -> None:
    made = issue("client", at=clock())
    credential = Credential(
        "crd_1", "acme", "partner", "mtls", made.match, made.der, frozenset(), 0, clock() + 9_999, None, ""
    )
    directory = [Directory(1, (), ())]
    known = KnownClients(lambda: directory[-1], clock)
    assert known() == ()
    directory.append(Directory(2, (), (credential,)))
    assert known() == (made.der,)
    directory.append(Directory(3, (), (credential,)))
    assert known() is known()


def test_authorities_of_the_settings_are_read_and_read_again(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    first, second = (issue(name, at=clock(), is_ca=True) for name in ("first", "second"))
    ca.write_bytes(first.pem + second.pem)
    held = Certificates(*make(tmp_path), client_ca=ca)
    assert accepted(held) == ["first", "second"]
    ca.write_bytes(b"junk")
    held.follow()
    assert accepted(held) == ["first", "second"]
    ca.write_bytes(second.pem)
    held.follow()
    assert accepted(held) == ["second"]


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_authorities_that_cannot_be_read_refuse_a_start(tmp_path: Path, content: bytes | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_bytes(content)
    with pytest.raises(SetupError, match=r"tls\.client_ca must be PEM"):
        Certificates(*make(tmp_path), client_ca=ca)
