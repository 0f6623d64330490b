"""`python -m audit.verify_export`: exports, verified by who has Python, cryptography and these files.

A program of its own beside `python -m audit`, whose whole way somebody is to read in an afternoon.

Exit: 0 it verifies, 2 wrong usage or a file that cannot be read, 9 it does not verify.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from audit.errors import AuditError, MalformedError, VerificationError
from audit.export_joined import verify_exports
from audit.papers import Keys, read_log_key
from audit.verify import format_failure, format_verdict


def main(words: Sequence[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m audit.verify_export", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="exports, in their order where they are several")
    parser.add_argument("--log-key", action="append", default=[], help="key of a log that you trust")
    given = parser.parse_args(words)
    try:
        pinned = Keys({}, tuple(map(read_log_key, given.log_key)))
    except MalformedError as error:
        parser.error(f"a pinned key is not usable: {error}")
    try:
        verdict = verify_exports(given.files, pinned)
    except VerificationError as error:
        sys.stdout.write(format_failure(error))
        return 9
    except (OSError, AuditError) as error:
        parser.error(f"a file cannot be read: {error}")
    if verdict is None:
        parser.error("these are no exports: python -m audit verify takes other papers")
    sys.stdout.write(format_verdict(verdict))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
