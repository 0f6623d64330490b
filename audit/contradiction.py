"""The error of whoever finds that a log contradicts itself; the whole tree is drawn in `audit.errors`."""

from audit.failures import VerificationError


class InconsistentError(VerificationError):
    """A log shows two histories: the one checkpoint is not a prefix of the other."""

    code = "log_inconsistent"
