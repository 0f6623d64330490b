"""Exports, verified where they lie: of many gigabytes too, one file of them in memory at a time."""

from collections.abc import Sequence
from pathlib import Path

from audit.errors import MissingLibraryError
from audit.export_joined import verify_exports
from audit.papers import Keys
from audit.verify import Verdict
from gateway.cli.command import Invocation
from gateway.cli.errors import CommandError, UsageError


def verify_archives(call: Invocation, files: Sequence[Path], pinned: Keys) -> Verdict | None:
    """What exports prove; None: these are other papers.

    Raises:
        VerificationError: they prove nothing.
        UsageError: a file cannot be read.
        CommandError: a library is missing that reads their format.
    """
    with call.output.progress("verifying", None) as bar:
        seen = 0

        def told(done: int, total: int) -> None:
            nonlocal seen
            bar.expect(total)
            bar.advance(done - seen)
            seen = done

        try:
            return verify_exports(files, pinned, told=told)
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
        except MissingLibraryError as error:
            raise CommandError(str(error)) from error
