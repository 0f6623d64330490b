"""Everything this package raises on purpose.

    AuditError
    |-- VerificationError        the bytes given prove nothing (their sender's fault)
    |   |-- MalformedError       they do not follow their format
    |   |-- UnpinnedKeyError     all that could be checked holds, but nobody trusted vouches for the key
    |   |-- InconsistentError    two checkpoints of one log contradict each other
    |   |-- LostError            nothing shows it: an epoch has lost entries (`audit.monitor_earlier`)
    |   `-- AlarmError           a monitor has seen something that must not be (`audit.alarm`)
    |-- EvidenceRuleError        members that docs/formats.md does not allow (our bug)
    |   `-- EvidenceTooLargeError  more than a record may hold (the caller's fault: shorten it)
    |-- NotInLogError            no such log, entry, size or tile
    |-- DamagedLogError          the log's own rows do not agree with each other
    |-- MissingLibraryError      what reads or writes a format is not installed here
    |-- LogAwayError, LogMissingError, AnswerUnfitError   what a monitor's source says (`audit.log_source`)
    `-- StaleHeadError           somebody else appended first: load the head again

A parser or verifier of untrusted bytes raises VerificationError and its kin, nothing else.
"""

from audit.contradiction import InconsistentError
from audit.failures import AuditError, MalformedError, UnpinnedKeyError, VerificationError

__all__ = [
    "AuditError",
    "DamagedLogError",
    "EvidenceRuleError",
    "EvidenceTooLargeError",
    "InconsistentError",
    "MalformedError",
    "MissingLibraryError",
    "NotInLogError",
    "StaleHeadError",
    "UnpinnedKeyError",
    "VerificationError",
]


class EvidenceRuleError(AuditError):
    """An evidence record was to be made with other members than its kind has."""

    code = "evidence_invalid"


class EvidenceTooLargeError(EvidenceRuleError):
    """An evidence record would exceed its 16,384 bytes."""

    code = "evidence_too_large"


class NotInLogError(AuditError):
    """A log, an entry, a tree size or a tile that does not exist (yet)."""

    code = "log_entry_unknown"


class DamagedLogError(AuditError):
    """Rows of a log that do not agree: a leaf that is not its evidence's, or not in the tree; a gap."""

    code = "log_damaged"


class MissingLibraryError(AuditError):
    """A format needs a library that is not installed. The text names it, and how to install it."""

    code = "library_missing"


class StaleHeadError(AuditError):
    """The log grew between reading its head and writing the next one; nothing was written.

    The caller rolls back, makes sure that it still owns the log, and starts again.
    """

    code = "log_head_stale"
