"""Errors of the gateway, split by who must act.

    GatewayError
    ├── CallerError             the caller must change the request; `code` is one of CALLER_CODES
    │   └── QuotaExceededError  it must wait: `quota_exceeded`
    ├── AwayError               something we depend on is away: try again later; `code` is one of AWAY_CODES
    │   ├── StoreError          the database: `store_unavailable` or `storage_full`
    │   │   ├── StoreUnknownError   a COMMIT whose outcome nobody knows: `outcome_unknown`
    │   │   └── StoreDamagedError   the database's file cannot be read as one: `store_unavailable`
    │   └── OverloadedError     a bounded queue of ours is full: `overloaded`
    ├── LeaseLostError          another instance owns the shard now: drop the work
    ├── PositionMovedError      another reader has moved a position: drop the work, load again
    ├── SetupError              an operator must mend something before the program can run
    │   ├── SettingsError       a setting is unknown, mistyped or unsafe
    │   ├── RevisionError       the database is behind or ahead of this program
    │   ├── MasterKeyError      the master key is missing, readable by others, or malformed
    │   ├── KeysMissingError    the signing keys were never made
    │   └── SealError           a sealed secret does not open: wrong master key, or moved or changed bytes
    ├── RoleStoppedError        a role of this program ended although nobody stopped it
    └── BugError                we are at fault: `internal`

The broker port has its own `BrokerError`. HTTP status codes are chosen in `gateway.http.problems` alone.
"""

from collections.abc import Mapping
from typing import Final, Literal

CALLER_CODES: Final = frozenset(
    {
        "request_malformed",
        "parameter_invalid",
        "body_malformed",
        "cursor_invalid",
        "credential_missing",
        "credential_invalid",
        "credential_expired",
        "credential_revoked",
        "signature_invalid",
        "signature_stale",
        "signature_replayed",
        "scope_missing",
        "partner_suspended",
        "source_address_denied",
        "not_found",
        "method_not_allowed",
        "not_acceptable",
        "event_conflict",
        "idempotency_conflict",
        "state_conflict",
        "limit_reached",
        "schema_incompatible",
        "change_destructive",
        "held",
        "proof_pending",
        "content_erased",
        "content_expired",
        "cursor_expired",
        "precondition_failed",
        "body_too_large",
        "event_too_large",
        "media_type_unsupported",
        "content_encoding_unsupported",
        "event_type_missing",
        "event_type_unknown",
        "event_id_missing",
        "event_id_mismatch",
        "event_attribute_invalid",
        "event_invalid",
        "schema_version_unknown",
        "batch_refused",
        "endpoint_invalid",
        "endpoint_address_denied",
        "endpoint_verification_failed",
        "acknowledgement_invalid",
        "contract_invalid",
        "schema_invalid",
        "quota_exceeded",
    }
)
"""Every code that says: repeat nothing, change the request."""

AWAY_CODES: Final = frozenset(
    {
        "overloaded",
        "broker_unavailable",
        "registry_unavailable",
        "issuer_unavailable",
        "store_unavailable",
        "storage_full",
        "clock_untrusted",
        "key_unavailable",
        "outcome_unknown",
    }
)
"""Every code that says: the same request may pass later."""


class GatewayError(Exception):
    """Root of the gateway's errors. `code` is stable; the text is for people and may change."""

    code: str = "internal"

    def __init__(self, text: str) -> None:
        """Say what is wrong, where, and how to mend it; never with a secret or a payload in it."""
        super().__init__(text)
        self.text = text


class CallerError(GatewayError):
    """The request cannot be fulfilled as it is.

    Attributes:
        code: one of CALLER_CODES.
        text: what is wrong with this request (the problem's `detail`).
        hint: how to mend it, or empty.
        members: further members of the problem document, JSON values only.
        whose: id of the credential and slug of the partner of a caller that has proved itself and is refused
            all the same, where it is known; for the log alone.
    """

    whose: tuple[str, str] | None = None

    def __init__(
        self, code: str, text: str, *, hint: str = "", members: Mapping[str, object] | None = None
    ) -> None:
        """Refuse a code outside the catalogue: clients branch on it."""
        if code not in CALLER_CODES:
            raise BugError(f"{code!r} is not a caller's code of the error catalogue")
        super().__init__(text)
        self.code = code
        self.hint = hint
        self.members: Mapping[str, object] = members or {}


class QuotaExceededError(CallerError):
    """The caller must wait: `quota_exceeded`. `who`: a name for the caller, told to nobody."""

    def __init__(self, text: str, *, who: str, headers: Mapping[str, str]) -> None:
        """`headers`: fields of the answer; `Retry-After` is among them."""
        super().__init__("quota_exceeded", text, members={"headers": headers})
        self.who = who


class AwayError(GatewayError):
    """Something we depend on is away, full or not to be trusted; the same request may pass later."""

    def __init__(self, code: str, text: str) -> None:
        """Refuse a code outside the catalogue: clients branch on it."""
        if code not in AWAY_CODES:
            raise BugError(f"{code!r} is not an away code of the error catalogue")
        super().__init__(text)
        self.code = code


class StoreError(AwayError):
    """The database did not do it, for certain: nothing of the transaction is stored."""

    def __init__(
        self, code: Literal["store_unavailable", "storage_full", "outcome_unknown"], text: str
    ) -> None:
        """Take the code from the adapter's table."""
        super().__init__(code, text)


class StoreUnknownError(StoreError):
    """A COMMIT failed in a way that leaves open whether the transaction is stored.

    The caller must not act on either reading: look again, or let the same request be repeated.
    """

    def __init__(self, text: str) -> None:
        """The code is always `outcome_unknown`."""
        super().__init__("outcome_unknown", text)


class StoreDamagedError(StoreError):
    """The database's file is damaged, is no database, or cannot be opened: no repeating mends that."""

    def __init__(self, text: str) -> None:
        """The code is always `store_unavailable`: a caller finds it away until it is restored."""
        super().__init__("store_unavailable", text)


class OverloadedError(AwayError):
    """A bounded queue of ours is full; nothing was queued."""

    def __init__(self, text: str) -> None:
        """The code is always `overloaded`."""
        super().__init__("overloaded", text)


class LeaseLostError(GatewayError):
    """The lease was taken over, or let go: whatever was computed under it must be dropped."""

    code = "lease_lost"


class PositionMovedError(GatewayError):
    """A stored position is not where this reader left it: drop the work and load again."""

    code = "position_moved"


class SetupError(GatewayError):
    """The program cannot run until an operator mends something; the text says what and how."""

    code = "setup_invalid"


class SettingsError(SetupError):
    """Settings are unknown, mistyped, contradictory or unsafe. `faults` has one line for each."""

    code = "settings_invalid"

    def __init__(self, faults: tuple[str, ...]) -> None:
        """Show every fault at once, so that one start finds them all."""
        super().__init__("\n".join(faults))
        self.faults = faults


class RevisionError(SetupError):
    """The database's schema does not fit this program."""

    code = "database_revision"


class MasterKeyError(SetupError):
    """The master key file cannot be used."""

    code = "master_key"


class KeysMissingError(SetupError):
    """A signing key that the program needs was never made."""

    code = "keys_missing"


class SealError(SetupError):
    """Sealed bytes do not open at this place under this master key."""

    code = "secret_sealed"


class RoleStoppedError(GatewayError):
    """A role ended by itself, which ends the program; the cause is chained where there was one."""

    code = "role_stopped"


class BugError(GatewayError):
    """We are at fault. Clients see `internal` and a request id, the log sees the cause."""
