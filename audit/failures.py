"""The errors of those who verify; the whole tree is drawn in `audit.errors`."""


class AuditError(Exception):
    """Root of this package's errors. `code` is stable; the text is for people."""

    code = "audit_failed"


class VerificationError(AuditError):
    """What was to be proved is not proved."""

    code = "verification_failed"


class MalformedError(VerificationError):
    """Bytes do not follow their format. The text says which format, where, and what was expected."""

    code = "proof_malformed"


class UnpinnedKeyError(VerificationError):
    """A signature was made by a key that the caller has not pinned."""

    code = "key_unpinned"
