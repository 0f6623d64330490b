"""The schema registry, where it is another program: reachable, ours to use, open for new schemas."""

from typing import Final

from gateway.doctor.finding import Area, Finding
from schemas.remote_answers import RemoteAwayError, RemoteError, RemoteRefusedError

REGISTRY: Final = Area("registry")
_WRITABLE: Final = "READWRITE"


def judge_own() -> Finding:
    """There is nothing to be asked."""
    return REGISTRY.ok("the schema registry is the gateway's own, at /registry")


def judge_silence(url: str, error: RemoteError) -> Finding:
    """Judge why a registry did not say that it is well."""
    match error:
        case RemoteRefusedError() if error.is_about_us:
            return REGISTRY.fault(
                f"{url} refuses our credentials ({error.text})",
                "check basic.auth.user.info or bearer.auth.token in registry.properties_file, and the rights",
            )
        case RemoteAwayError():
            mend = "check registry.url and its certificates, and that the registry is up"
            return REGISTRY.fault(f"the schema registry does not answer: {error}", mend)
        case _:
            return REGISTRY.fault(
                f"{url} does not answer as a schema registry: {error}",
                "check registry.url: it needs the path where there is one, such as /apis/ccompat/v7",
            )


def judge_mode(url: str, mode: str) -> Finding:
    """Judge whether schemas of contracts can be registered."""
    if mode == _WRITABLE:
        return REGISTRY.ok(f"{url} answers, knows us, and takes schemas")
    what = f"{url} is in mode {mode}: contracts with new schemas cannot be applied"
    return REGISTRY.fault(what, f"set its mode to {_WRITABLE} (PUT /mode), or that of the topics' subjects")


def judge_unknown_mode(url: str, error: RemoteError) -> Finding:
    """It does not tell its mode; some do not."""
    return REGISTRY.ok(f"{url} answers and knows us; its mode it does not tell ({error})")
