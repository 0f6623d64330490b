"""What `python -m audit verify` does with other papers than a receipt and its proof."""

from argparse import Namespace
from collections.abc import Callable
from typing import NoReturn

from audit.papers import Keys, read_json
from audit.verify import Verdict
from audit.whole import verify_files


def verify_given(given: Namespace, pinned: Keys, fail: Callable[[str], NoReturn]) -> tuple[Verdict, bool]:
    """What `python -m audit verify` does with papers, as it was given them, that are not a receipt alone.

    Returns what is proved, and whether enough witnesses saw it. `fail`: ends the program, with words. Raises
    as `audit.whole.examine`.
    """
    is_bundle = len(given.files) == 1 and given.files[0].startswith((b"receipt.jws\x00", b"keys/"))
    if is_bundle and given.policy is None and "revoked_keys" not in read_json(given.keys, "JWK set"):
        return verify_files(given.files, pinned, content=given.content), True
    from audit.judging import judge  # noqa: PLC0415 - loaded where there is more than a bundle

    return judge(given, pinned, fail)
