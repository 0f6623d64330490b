"""Files that new secrets go to: seen to be writable before a secret is made, and never left behind empty."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.cli.errors import UnwritableError, UsageError
from gateway.cli.place import write_secret


@contextmanager
def claimed(path: Path, what: str) -> Iterator[Callable[[str], None]]:
    """Claim a file for a secret while the block runs; yields what writes it (mode 0600).

    A file that was not there before, and that the block wrote nothing to, is gone afterwards. `what`: what
    the file is for, in words.

    Raises:
        UsageError: the file holds something, or cannot be written.
        UnwritableError: by what is yielded: the disk is full by now.
    """
    was_there = path.exists()
    if was_there and path.stat().st_size:
        raise UsageError(f"{path} is not empty: name a new file for {what}")
    try:
        write_secret(path, "")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error

    def keep(text: str) -> None:
        try:
            write_secret(path, text)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise UnwritableError(
                f"{path} cannot be written: {reason}; what was made stays, but nobody has {what}",
                hint="Revoke or rotate what was made, with a file that can be written.",
            ) from error

    try:
        yield keep
    finally:
        if not was_there and path.is_file() and not path.stat().st_size:
            path.unlink()
