"""What ends a command before its work is done.

    CommandError                the root here, a `GatewayError`
    ├── UsageError              the command line, or a file that it names, is wrong
    ├── ProblemError            the gateway answered with a problem document
    ├── AbsentError             what is asked for is not there, and will not be
    ├── UnreachableError        nobody answered
    ├── UnwritableError         what there is to say cannot be written
    └── AnswerError             somebody answered, but not as a gateway does

Exit codes are chosen in `gateway.cli.exits` alone.
"""

from collections.abc import Mapping
from typing import Any

from gateway.errors import GatewayError


class CommandError(GatewayError):
    """A command cannot go on; the text says why, `hint` how to mend it."""

    code = "command_failed"

    def __init__(self, text: str, *, hint: str = "") -> None:
        """Take words for a terminal, without secrets."""
        super().__init__(text)
        self.hint = hint


class UsageError(CommandError):
    """The command line, or a file or variable that it goes by, is wrong."""

    code = "usage_invalid"


class AbsentError(CommandError):
    """What is asked for is not there: nothing went wrong, and asking again gives nothing else."""

    code = "not_found"


class UnreachableError(CommandError):
    """Nobody answered at the address, or the answer broke off."""

    code = "gateway_unreachable"


class UnwritableError(CommandError):
    """Standard output takes no more: a full disk, most often. What the command did is done."""

    code = "answer_unwritable"


class AnswerError(CommandError):
    """An answer that no gateway gives: a proxy's page, another program's. `status` is the HTTP status."""

    code = "answer_unexpected"

    def __init__(self, text: str, *, status: int, hint: str = "") -> None:
        """Keep the status: a 502 of a proxy means that the gateway is away."""
        super().__init__(text, hint=hint)
        self.status = status


class ProblemError(CommandError):
    """A refusal of the gateway, with its problem document (RFC 9457); `path` is what was asked for."""

    code = "request_refused"

    def __init__(
        self, document: Mapping[str, Any], *, status: int, retry_after_seconds: int | None, path: str = ""
    ) -> None:
        """Take the document as it came; what is not a text in it is passed over."""
        super().__init__(str(document.get("detail", "")), hint=str(document.get("hint", "")))
        self.code = str(document.get("code", "answer_unexpected"))
        self.document = document
        self.status = status
        self.path = path
        self.retry_after_seconds = retry_after_seconds
