"""Refusals of the partners package, as the API tells them."""

from gateway.errors import CallerError
from partners.errors import (
    ContractFileError,
    DestructiveError,
    EndpointChangedError,
    EndpointTermsError,
    PartnersError,
    PreconditionError,
    SlugError,
)


def refused(error: PartnersError) -> CallerError:
    """A refusal of the partners package as the API tells it."""
    if isinstance(error, ContractFileError):
        listed = [
            {
                "file": one.file,
                "line": one.line,
                "pointer": one.pointer,
                "code": one.code,
                "detail": one.detail,
            }
            for one in error.problems
        ]
        count = len(listed)
        text = f"{count} problem{'s' if count != 1 else ''} in the contract. Nothing was changed."
        return CallerError("contract_invalid", text, members={"errors": listed})
    if isinstance(error, EndpointTermsError):
        faults = [{"pointer": one.pointer, "code": one.code, "detail": one.detail} for one in error.problems]
        count = len(faults)
        text = (
            f"{count} fault{'s' if count != 1 else ''} in what is asked of the endpoint. Nothing was changed."
        )
        return CallerError("endpoint_invalid", text, members={"errors": faults})
    if isinstance(error, DestructiveError):
        return CallerError(error.code, str(error), hint="Say allow=destructive if that is meant.")
    if isinstance(error, PreconditionError):
        return CallerError(error.code, str(error), members={"revision": error.actual})
    if isinstance(error, EndpointChangedError):
        return CallerError("precondition_failed", str(error))
    if isinstance(error, SlugError):
        return CallerError("parameter_invalid", str(error))
    return CallerError(error.code, str(error))


def problem_lines(error: CallerError) -> list[str]:
    """Each problem of a contract that was refused, with its place; none: that was not why."""
    listed = error.members.get("errors")
    if error.code != "contract_invalid" or not isinstance(listed, list):
        return []
    return [f"{one['file']}:{one['line']}: {one['detail']}" for one in listed]
