"""`python -m audit verify`: verification for an outsider, who has Python, cryptography and these files.

Exit: 0 it verifies, 2 wrong usage or a file that cannot be read, 9 it does not verify.
"""

import argparse
import sys
from pathlib import Path

from audit.failures import MalformedError, VerificationError
from audit.papers import Keys, read_json, read_log_key, read_receipt_keys
from audit.verify import format_failure, format_verdict, verify_plain


def main(words: list[str]) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m audit", description=__doc__)
    verify = parser.add_subparsers(required=True).add_parser("verify", allow_abbrev=False)
    verify.add_argument("files", nargs="+", type=read, help="papers that belong together")
    verify.add_argument("--keys", type=read, default=b'{"keys":[]}', help="receipt keys that you trust")
    verify.add_argument("--log-key", action="append", type=read_log_key, default=[], help="of a log, trusted")
    verify.add_argument("--party-key", action="append", type=read, default=[], help="of a sender or receiver")
    verify.add_argument("--content", type=read, help="your copy of what was sent")
    verify.add_argument("--policy", type=read, help="witnesses that you believe (C2SP tlog-policy)")
    try:
        given = parser.parse_args(words)
        pinned = Keys(read_receipt_keys(given.keys), tuple(given.log_key), tuple(given.party_key))
        is_rare = "revoked_keys" in read_json(given.keys, "keys") or {given.content, given.policy} != {None}
    except (OSError, MalformedError) as error:
        parser.error(f"a file or a pinned key is not usable: {error}")
    try:
        verdict, is_enough = None if is_rare else verify_plain(given.files, pinned), True
        if verdict is None:
            from audit.given import verify_given  # noqa: PLC0415 - loaded where there is more than a receipt

            verdict, is_enough = verify_given(given, pinned, parser.error)
        sys.stdout.write(format_verdict(verdict))
    except VerificationError as error:
        sys.stdout.write(format_failure(error))
        return 9
    return 0 if is_enough else 9


def read(name: str) -> bytes:
    """A file of the command line."""
    return Path(name).read_bytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
