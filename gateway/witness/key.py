"""The witness's key: one line of text in a file that only its owner may read, made at the first start.

    PRIVATE+KEY+<name>+<id>+<base64 of type and seed>

Never shows, logs or returns the seed.
"""

import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.cosignature import ED25519, ML_DSA_44, CosignerKey
from audit.errors import MalformedError
from audit.note import decode_base64
from gateway.errors import SetupError

ALGORITHMS: Final = {"ed25519": ED25519, "ml-dsa-44": ML_DSA_44}
SEED_BYTES: Final = 32
_FIRST: Final = "PRIVATE+KEY+"
_PARTS: Final = 3
_FILE_BYTES: Final = 4_096


class CosigningKey:
    """A private key that cosigns. Fits `audit.cosignature.Cosigner`."""

    __slots__ = ("_private", "_seed", "key")

    def __init__(self, name: str, algorithm: int, seed: bytes) -> None:
        """Take the 32-byte seed.

        Raises:
            MalformedError: a name that no key may have, or an algorithm that does not cosign.
        """
        self._seed = seed
        self._private: Ed25519PrivateKey | MLDSA44PrivateKey
        if algorithm == ML_DSA_44:
            self._private = MLDSA44PrivateKey.from_seed_bytes(seed)
        else:
            self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.key = CosignerKey(name, algorithm, self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """The raw signature."""
        return self._private.sign(message)

    def text(self) -> str:
        """The line of the key's file."""
        secret = base64.b64encode(bytes([self.key.algorithm]) + self._seed).decode()
        return f"{_FIRST}{self.key.name}+{self.key.key_id.hex()}+{secret}\n"

    def __repr__(self) -> str:
        """Show what is public."""
        return f"CosigningKey({self.key.name}+{self.key.key_id.hex()})"


def make_key(path: Path, name: str, algorithm: int, entropy: Callable[[int], bytes]) -> CosigningKey:
    """Make a key and its file (mode 0600), durable before this returns.

    Raises:
        SetupError: there is such a file already, it cannot be written, or no key may have that name.
    """
    try:
        made = CosigningKey(name, algorithm, entropy(SEED_BYTES))
    except MalformedError as error:
        raise SetupError(f"--name {name!r}: {error}") from error
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(made.text())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except (OSError, UnicodeEncodeError) as error:
        raise SetupError(f"the key {path} cannot be written: {error}") from error
    return made


def load_key(path: Path) -> CosigningKey:
    """Read a key's file.

    Raises:
        SetupError: it is missing, open to others, or no such key.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(_FILE_BYTES)
    except OSError as error:
        raise SetupError(f"the key {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise SetupError(f"the key {path} is open to others (mode {mode:04o}): chmod 600 {path}")
    made = _parse(raw)
    if made is None:
        raise SetupError(f"{path} is not the key of a witness: restore it from a backup")
    return made


def _parse(raw: bytes) -> CosigningKey | None:
    # Nothing of what is wrong with it is told: it may quote the secret.
    try:
        text = raw.decode("ascii")
        if not text.startswith(_FIRST) or not text.endswith("\n"):
            return None
        name, _key_id, secret = text.removeprefix(_FIRST).strip().split("+", _PARTS - 1)
        whole = decode_base64(secret, "key")
        if len(whole) != 1 + SEED_BYTES:
            return None
        made = CosigningKey(name, whole[0], whole[1:])
    except (ValueError, MalformedError):
        return None
    return made if made.text() == text else None


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable.

    Raises:
        OSError: it cannot be.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
