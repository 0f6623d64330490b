"""The exit codes: one table from error code to exit code, and nothing else decides one."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from gateway.broker.port import BrokerError
from gateway.cli.errors import AbsentError, AnswerError, ProblemError, UnreachableError, UsageError
from gateway.errors import AwayError, CallerError, SettingsError, SetupError, StoreDamagedError
from partners.errors import ContractFileError


class Exit(IntEnum):
    """What a script may branch on."""

    DONE = 0
    FAULT = 1
    USAGE = 2
    CREDENTIAL = 3
    NOT_FOUND = 4
    CONFLICT = 5
    REFUSED = 6
    CHANGES = 7
    AWAY = 8
    NOT_PROVED = 9
    INTERRUPTED = 130


BY_CODE: Final[Mapping[str, Exit]] = {
    "request_malformed": Exit.USAGE,
    "parameter_invalid": Exit.USAGE,
    "body_malformed": Exit.REFUSED,
    "cursor_invalid": Exit.USAGE,
    "credential_missing": Exit.CREDENTIAL,
    "credential_invalid": Exit.CREDENTIAL,
    "credential_expired": Exit.CREDENTIAL,
    "credential_revoked": Exit.CREDENTIAL,
    "signature_invalid": Exit.CREDENTIAL,
    "signature_stale": Exit.CREDENTIAL,
    "signature_replayed": Exit.CREDENTIAL,
    "scope_missing": Exit.CREDENTIAL,
    "partner_suspended": Exit.CREDENTIAL,
    "source_address_denied": Exit.CREDENTIAL,
    "not_found": Exit.NOT_FOUND,
    "method_not_allowed": Exit.USAGE,
    "not_acceptable": Exit.USAGE,
    "event_conflict": Exit.CONFLICT,
    "idempotency_conflict": Exit.CONFLICT,
    "state_conflict": Exit.CONFLICT,
    "limit_reached": Exit.CONFLICT,
    "schema_incompatible": Exit.REFUSED,
    "change_destructive": Exit.REFUSED,
    "held": Exit.CONFLICT,
    "proof_pending": Exit.AWAY,
    "content_erased": Exit.NOT_FOUND,
    "content_expired": Exit.NOT_FOUND,
    "cursor_expired": Exit.NOT_FOUND,
    "precondition_failed": Exit.CONFLICT,
    "body_too_large": Exit.REFUSED,
    "event_too_large": Exit.REFUSED,
    "media_type_unsupported": Exit.USAGE,
    "content_encoding_unsupported": Exit.USAGE,
    "event_type_missing": Exit.REFUSED,
    "event_type_unknown": Exit.REFUSED,
    "event_id_missing": Exit.REFUSED,
    "event_id_mismatch": Exit.REFUSED,
    "event_attribute_invalid": Exit.REFUSED,
    "event_invalid": Exit.REFUSED,
    "schema_version_unknown": Exit.REFUSED,
    "batch_refused": Exit.REFUSED,
    "endpoint_invalid": Exit.REFUSED,
    "endpoint_address_denied": Exit.REFUSED,
    "endpoint_verification_failed": Exit.REFUSED,
    "acknowledgement_invalid": Exit.REFUSED,
    "contract_invalid": Exit.REFUSED,
    "schema_invalid": Exit.REFUSED,
    "quota_exceeded": Exit.AWAY,
    "internal": Exit.FAULT,
    "overloaded": Exit.AWAY,
    "broker_unavailable": Exit.AWAY,
    "registry_unavailable": Exit.AWAY,
    "issuer_unavailable": Exit.AWAY,
    "store_unavailable": Exit.AWAY,
    "storage_full": Exit.AWAY,
    "clock_untrusted": Exit.AWAY,
    "key_unavailable": Exit.AWAY,
    "outcome_unknown": Exit.AWAY,
}
"""Every code of the error catalogue. `NOT_PROVED` is not in it: only verify and monitor end so."""

_SERVER_FAULT: Final = 500


def exit_of(error: Exception) -> Exit:
    """The exit code that an error ends a command with."""
    match error:
        case ProblemError() | CallerError() | AbsentError():
            # A caller's error comes from a command that asks no gateway.
            status = error.status if isinstance(error, ProblemError) else 0
            return BY_CODE.get(error.code, Exit.AWAY if status > _SERVER_FAULT else Exit.FAULT)
        case AnswerError():
            return Exit.AWAY if error.status > _SERVER_FAULT else Exit.FAULT
        case UsageError() | SettingsError():
            return Exit.USAGE
        case SetupError() | StoreDamagedError():
            return Exit.CONFLICT
        case UnreachableError() | AwayError():
            return Exit.AWAY
        case BrokerError():
            return Exit.AWAY if error.code == "broker_unavailable" else Exit.CONFLICT
        case ContractFileError():
            return Exit.REFUSED
        case _:
            return Exit.FAULT
