import os
import shutil
import ssl
from pathlib import Path

import pytest

from gateway.bootstrap.certificates import Certificates
from gateway.bootstrap.ground import clock
from gateway.errors import SetupError
from gateway.http.tls import make_dev_certificate


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
