"""A PKCS#11 token in software (SoftHSM), with its keys in a folder of the test's own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

LIBRARIES: Final = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
)
PIN: Final = "4711-token"
TOKEN: Final = "gateway"

_MAKE: Final = """\
import sys
import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism
module, pin = sys.argv[1:3]
token = pkcs11.lib(module).get_token(token_label="gateway")
with token.open(rw=True, user_pin=pin) as session:
    for label in sys.argv[3:]:
        curve = {Attribute.EC_PARAMS: bytes.fromhex("06032b6570")}
        session.create_domain_parameters(KeyType.EC_EDWARDS, curve, local=True).generate_keypair(
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=label
        )
"""


def library() -> Path | None:
    """The library of SoftHSM on this machine."""
    return next((path for path in LIBRARIES if path.exists()), None)


def why_softhsm_is_missing() -> str | None:
    """Say what a machine lacks for a token in software; None where nothing is missing."""
    if library() is None or shutil.which("softhsm2-util") is None:
        return "SoftHSM is not installed (on Debian or Ubuntu: apt-get install softhsm2)"
    return None if find_spec("pkcs11") is not None else "the package python-pkcs11 is not installed"


@dataclass(frozen=True)
class SoftToken:
    """A token named `gateway`. Its library is told where the keys are by the environment of each process."""

    folder: Path

    @property
    def module(self) -> Path:
        found = library()
        assert found is not None
        return found

    @property
    def pin_file(self) -> Path:
        return self.folder / "pin"

    def make(self) -> None:
        """A folder, its settings, a token, its PIN's file; the environment of this process names them."""
        tokens = self.folder / "tokens"
        tokens.mkdir(parents=True)
        lines = f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        (self.folder / "softhsm2.conf").write_text(lines)
        os.environ["SOFTHSM2_CONF"] = str(self.folder / "softhsm2.conf")
        command = [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            TOKEN,
            "--pin",
            PIN,
            "--so-pin",
            "x" * 8,
        ]
        subprocess.run(command, check=True, capture_output=True)
        self.pin_file.touch(mode=0o600)
        self.pin_file.write_text(f"{PIN}\n")

    def add(self, *labels: str) -> None:
        """Key pairs that never leave it. In another process: as tools of HSMs do it."""
        command = [sys.executable, "-c", _MAKE, str(self.module), PIN, *labels]
        subprocess.run(command, check=True)
