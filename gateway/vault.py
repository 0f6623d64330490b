"""Seal and open secrets at rest: AES-256-GCM bound to the place where the bytes are stored.

A row copied to another table, key or column does not open there, since the place and the key's version are
authenticated with it. The master key lives in a file that only its owner may read; sealing keys and the
pepper of API keys are derived from it, each for one purpose. Never logs, returns or shows the master key.
"""

import base64
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import MasterKeyError, SealError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_VERSION_BYTES: Final = 4
_TAG_BYTES: Final = 16
_TITLE: Final = "gateway-master-key/v1"
_FILE_BYTES: Final = 4096


class MasterKey:
    """One or more versions of the master key; the newest seals, every one opens."""

    __slots__ = ("_versions", "newest")

    def __init__(self, versions: Mapping[int, bytes]) -> None:
        """Take 32-byte keys by version number, from 1.

        Raises:
            MasterKeyError: none, a wrong length or a wrong number.
        """
        if not versions or any(
            len(key) != KEY_BYTES or not 0 < number < 2**32 for number, key in versions.items()
        ):
            raise MasterKeyError("a master key has versions from 1, each of 32 bytes")
        self._versions = dict(versions)
        self.newest = max(versions)

    def has(self, version: int) -> bool:
        """Whether there is such a version."""
        return version in self._versions

    def with_new(self, key: bytes) -> "MasterKey":
        """The same with one version more, which seals from then on."""
        return MasterKey({**self._versions, self.newest + 1: key})

    def without_old(self) -> "MasterKey":
        """The newest version alone."""
        return MasterKey({self.newest: self._versions[self.newest]})

    def text(self) -> str:
        """As it stands in its file."""
        versions = sorted(self._versions.items())
        lines = [f"{number} {base64.b64encode(key).decode('ascii')}\n" for number, key in versions]
        return f"{_TITLE}\n{''.join(lines)}"

    def derive(self, purpose: str, version: int) -> bytes:
        """32 bytes for one purpose (HKDF-SHA-256).

        Raises:
            SealError: there is no such version.
        """
        key = self._versions.get(version)
        if key is None:
            raise SealError(f"sealed under version {version} of the master key, which is not in the key file")
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"gateway/{purpose}/v1".encode()).derive(key)

    def __repr__(self) -> str:
        """Show versions only."""
        return f"MasterKey(versions={sorted(self._versions)})"


class Vault:
    """Seals and opens. Sealed bytes: key version (4 bytes), nonce (12), ciphertext and tag.

    What was sealed under a version that it does not have makes it read the key file again: it then seals
    under the newest version of that, too.
    """

    __slots__ = ("_entropy", "_master", "_reread")

    def __init__(
        self,
        master: MasterKey,
        entropy: Callable[[int], bytes],
        reread: Callable[[], MasterKey] | None = None,
    ) -> None:
        """`entropy` returns that many random bytes; a nonce must never come twice. `reread`: the key file."""
        self._master = master
        self._entropy = entropy
        self._reread = reread

    @property
    def newest(self) -> int:
        """The version that seals."""
        return self._master.newest

    def seal(self, secret: bytes, place: str) -> bytes:
        """Encrypt for one place only; `place` is made by `place_of`."""
        version = self._master.newest
        nonce = self._entropy(NONCE_BYTES)
        cipher = AESGCM(self._master.derive("seal", version))
        head = version.to_bytes(_VERSION_BYTES)
        return head + nonce + cipher.encrypt(nonce, secret, head + place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt what was sealed for this place.

        Raises:
            SealError: other bytes, another place or another master key; which of them is not known.
        """
        head, nonce = sealed[:_VERSION_BYTES], sealed[_VERSION_BYTES : _VERSION_BYTES + NONCE_BYTES]
        if len(sealed) < _VERSION_BYTES + NONCE_BYTES + _TAG_BYTES:
            raise SealError(f"the sealed secret at {place} is cut short: restore it from a backup")
        cipher = AESGCM(self._key(int.from_bytes(head)))
        try:
            return cipher.decrypt(nonce, sealed[_VERSION_BYTES + NONCE_BYTES :], head + place.encode())
        except InvalidTag as error:
            raise SealError(
                f"the secret at {place} does not open: another master key, or the stored bytes were changed; "
                "set keys.master_file to the key that this database was made with"
            ) from error

    def _key(self, version: int) -> bytes:
        if self._reread is not None and not self._master.has(version):
            try:
                self._master = self._reread()
            except MasterKeyError as error:
                raise SealError(
                    f"sealed under version {version} of the master key, whose file cannot be read: {error}"
                ) from error
        return self._master.derive("seal", version)

    def pepper(self) -> bytes:
        """The key for digests of API keys, as version 1 gives it: digests cannot be made again.

        `gateway.sealing.pepper` keeps it for the time when version 1 is gone.
        """
        return self._master.derive("api-key-pepper", 1)


def version_of(sealed: bytes) -> int:
    """The version of the master key that something is sealed under."""
    return int.from_bytes(sealed[:_VERSION_BYTES])


def place_of(table: str, key: str, column: str) -> str:
    """The place of a sealed value, unambiguous: parts are parted by a character that none of them holds."""
    parts = (table, key, column)
    if any("/" in part or not part for part in parts):
        raise ValueError("table, key and column of a place are not empty and hold no slash")
    return "/".join(parts)


def make_master(path: Path, entropy: Callable[[int], bytes]) -> MasterKey:
    """Make a master key file (mode 0600), durable before this returns.

    Raises:
        MasterKeyError: the file exists already (it is never overwritten), or cannot be written.
    """
    master = MasterKey({1: entropy(KEY_BYTES)})
    try:
        make_file(path, master.text())
    except FileExistsError as error:
        raise MasterKeyError(f"{path} exists already; a master key is never overwritten") from error
    except OSError as error:
        raise MasterKeyError(f"cannot make the master key {path}: {error.strerror}") from error
    _sync_folder(path.parent)
    return master


def amend_master(path: Path, change: Callable[[MasterKey], MasterKey]) -> MasterKey:
    """Put what a change makes of a master key file in its place, whole or not at all; returns that.

    Of two that amend a file at once one is refused: neither makes a version that the other does not know.
    Durable before this returns.

    Raises:
        MasterKeyError: it cannot be read or written, or somebody else amends it; what `change` raises.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise MasterKeyError(
            f"{draft} exists: somebody else changes the master key now, or was killed when doing so; take it "
            "away in the latter case"
        ) from error
    except OSError as error:
        raise MasterKeyError(f"cannot write the master key {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as file:
            # Not before: what was read sooner may be another's by now.
            master = change(load_master(path))
            _write_durably(file, master.text())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise MasterKeyError(f"cannot write the master key {path}: {error.strerror}") from error
    except BaseException:
        # Also where somebody stops it: what is left would be taken for somebody who amends it now.
        draft.unlink(missing_ok=True)
        raise
    return master


def make_file(path: Path, text: str) -> None:
    """Make a file that only its owner may read, durable before this returns. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        _write_durably(file, text)


def _write_durably(file: BinaryIO, text: str) -> None:
    file.write(text.encode("ascii"))
    file.flush()
    os.fsync(file.fileno())


def load_master(path: Path) -> MasterKey:
    """Read a master key file.

    Raises:
        MasterKeyError: missing, readable by others than its owner, or malformed; says how to mend it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(_FILE_BYTES)
    except FileNotFoundError as error:
        raise MasterKeyError(
            f"there is no master key at {path}: set keys.master_file, or run `gateway init` on a new system"
        ) from error
    except OSError as error:
        raise MasterKeyError(f"cannot read the master key {path}: {error.strerror}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise MasterKeyError(
            f"the master key {path} is open to others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}"
        )
    return _parse(raw, path)


def _parse(raw: bytes, path: Path) -> MasterKey:
    try:
        title, *lines = raw.decode("ascii").splitlines()
        pairs = [line.split(" ") for line in lines]
        versions = {int(number): base64.b64decode(text, validate=True) for number, text in pairs}
        if title != _TITLE or len(versions) != len(pairs):
            raise ValueError(title)  # noqa: TRY301 - one answer for every way to be malformed
        return MasterKey(versions)
    except (ValueError, MasterKeyError):
        # The cause may quote the file, so it is not chained.
        raise MasterKeyError(f"{path} is not a master key file: restore it from a backup") from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
