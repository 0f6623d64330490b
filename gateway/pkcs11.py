"""A PKCS#11 token that holds signing keys: an HSM, or SoftHSM. Sees labels, public keys and signatures alone.

One session at a time, opened anew where the token has lost it. Calls block: they belong on a thread of their
own, never on the event loop. The library is loaded with the first call, so that a gateway without a token
needs none.

Source: PKCS#11 3.0, CKM_EDDSA; the signature is that of RFC 8032, as `audit.note.Signer` has it.
"""

import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from audit.errors import VerificationError
from audit.note import verify_signature
from gateway.errors import AwayError, CallerError, SetupError

T = TypeVar("T")

WAIT_SECONDS: Final = 10.0
"""For others that ask the token; it answers one at a time."""

_KEY_BYTES: Final = 32


@dataclass(slots=True, eq=False)
class Token:
    """One token. `module`: its library; `label`: its name; `pin_file`: closed to others than its owner."""

    module: Path
    label: str
    pin_file: Path
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _session: Any = field(default=None, init=False, repr=False)
    _keys: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def find(self, label: str) -> bytes:
        """The public half (32 bytes) of the key pair with this label.

        Raises:
            CallerError: `state_conflict`: there is none, or none that signs by Ed25519.
            AwayError: `key_unavailable`: the token cannot be asked.
        """
        from pkcs11 import Attribute, ObjectClass  # noqa: PLC0415 - of an extra
        from pkcs11.exceptions import MultipleObjectsReturned, NoSuchKey  # noqa: PLC0415 - as above

        def look(session: Any) -> bytes:
            try:
                session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
                key = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label)
                # An octet string in DER; some tokens leave its head out.
                return bytes(key[Attribute.EC_POINT])[-_KEY_BYTES:]
            except (NoSuchKey, MultipleObjectsReturned) as error:
                text = f"The token {self.label!r} has no key pair, or several, with the label {label!r}."
                raise CallerError("state_conflict", text) from error

        public_key = self._ask(look, is_fresh=True)
        self.sign(label, public_key, b"gateway/pkcs11/v1")
        return public_key

    def sign(self, label: str, public_key: bytes, message: bytes) -> bytes:
        """The 64-byte signature by the key with this label, whose public half is known.

        Raises:
            AwayError: `key_unavailable`: the token cannot be asked, or has not this key.
        """
        from pkcs11 import Mechanism, ObjectClass  # noqa: PLC0415 - of an extra

        def ask(session: Any) -> bytes:
            if label not in self._keys:
                self._keys[label] = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)
            return bytes(self._keys[label].sign(message, mechanism=Mechanism.EDDSA))

        signature = self._ask(ask)
        try:
            # Another key under the same label would make checkpoints that nobody can verify.
            verify_signature(public_key, signature, message)
        except VerificationError as error:
            text = f"the key {label!r} of the token {self.label!r} is another one than the key that is known"
            raise AwayError("key_unavailable", text) from error
        return signature

    def close(self) -> None:
        """Log out, and let others in; whatever is asked later logs in again."""
        if self._turn.acquire(timeout=WAIT_SECONDS):
            try:
                self._close()
            finally:
                self._turn.release()

    def _ask(self, work: Callable[[Any], T], *, is_fresh: bool = False) -> T:
        """Do it in the session that there is, else in a new one. `is_fresh`: in a new one at once."""
        from pkcs11.exceptions import PKCS11Error  # noqa: PLC0415 - of an extra

        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise AwayError("key_unavailable", f"the token {self.label!r} does not answer")
        try:
            if is_fresh:
                self._close()
            if self._session is not None:
                try:
                    return work(self._session)
                except PKCS11Error:
                    # Restarted, or taken out and put back: a new session may work.
                    self._close()
            self._session = self._open()
            return work(self._session)
        except PKCS11Error as error:
            self._close()
            text = f"the token {self.label!r} refuses: {type(error).__name__} {error}".rstrip()
            raise AwayError("key_unavailable", text) from error
        finally:
            self._turn.release()

    def _open(self) -> Any:
        from pkcs11 import lib  # noqa: PLC0415 - of an extra
        from pkcs11.exceptions import UserAlreadyLoggedIn  # noqa: PLC0415 - as above

        try:
            library = lib(str(self.module))
        except RuntimeError as error:
            text = f"the library {self.module} of the token cannot be loaded"
            raise AwayError("key_unavailable", text) from error
        token = library.get_token(token_label=self.label)
        try:
            return token.open(user_pin=_read_pin(self.pin_file))
        except UserAlreadyLoggedIn:
            # Who logs in does so for the whole process.
            return token.open()

    def _close(self) -> None:
        session, self._session, self._keys = self._session, None, {}
        if session is not None:
            try:
                session.close()
            except RuntimeError:
                return


def verify_installed() -> None:
    """Make sure that the extra is installed.

    Raises:
        SetupError: it is not.
    """
    try:
        import pkcs11  # noqa: F401, PLC0415 - of an extra
    except ImportError as error:
        raise SetupError(
            "keys.pkcs11 needs the extra pkcs11: pip install 'partner-gateway[pkcs11]'"
        ) from error


def _read_pin(path: Path) -> str:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            text = f"the PIN's file {path} is open to others (mode {mode:04o}): chmod 600 {path}"
            raise AwayError("key_unavailable", text)
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AwayError("key_unavailable", f"the PIN's file {path} cannot be read") from error
