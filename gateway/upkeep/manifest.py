"""What a backup says of itself: which files, of which installation, of which moment. Its last member.

Whoever reads one believes nothing of it before it fits the files beside it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway.errors import SetupError

FORMAT: Final = "gateway-backup/v1"
NAME: Final = "manifest.json"
DATABASE: Final = "gateway.db"
BROKER: Final = "broker.db"
MASTER_KEY: Final = "master.key"
MEMBERS: Final = (DATABASE, BROKER, MASTER_KEY)
MOST_BYTES: Final = 64 * 2**20


class BackupError(SetupError):
    """A backup cannot be made, is not whole, or is none."""

    code = "backup_invalid"


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a backup; `sha256` in hex."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module. `made_at`: RFC 3339. `logs`: size of each by origin, as the database had it."""

    made_at: str
    program: str
    revision: str
    origin: str
    house_log: str
    files: Mapping[str, Member]
    logs: Mapping[str, int]

    @property
    def has_master_key(self) -> bool:
        """Whether the secrets in it can be opened with it alone."""
        return MASTER_KEY in self.files


def format_manifest(manifest: Manifest) -> bytes:
    """As it stands in the backup."""
    return json.dumps({"format": FORMAT, **asdict(manifest)}, ensure_ascii=False, indent=1).encode() + b"\n"


def parse_manifest(raw: bytes) -> Manifest:
    """Read one.

    Raises:
        BackupError: it is none, or of another format.
    """
    try:
        whole = json.loads(raw)
        if not isinstance(whole, dict) or whole.pop("format", None) != FORMAT:
            raise BackupError(f"this is no backup of this program: its manifest is not {FORMAT}")
        files = {name: Member(**_object(member)) for name, member in _object(whole.pop("files")).items()}
        made = Manifest(files=files, **whole)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BackupError("the backup's manifest cannot be read: it is damaged") from error
    if not _is_sound(made):
        raise BackupError("the backup's manifest cannot be read: it is damaged")
    return made


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(type(value))
    return value


def _is_sound(made: Manifest) -> bool:
    texts: list[Any] = [made.made_at, made.program, made.revision, made.origin, made.house_log]
    numbers: list[Any] = [one.bytes for one in made.files.values()]
    digests: list[Any] = [one.sha256 for one in made.files.values()]
    return (
        all(isinstance(one, str) for one in [*texts, *digests, *made.logs])
        and all(type(one) is int for one in [*numbers, *made.logs.values()])
        and DATABASE in made.files
        and set(made.files) <= set(MEMBERS)
    )
