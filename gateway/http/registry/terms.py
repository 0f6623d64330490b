"""Levels and modes, of one subject and of the whole registry. A contract says those of its own subjects.

Source: Confluent Schema Registry API, `/config` and `/mode`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlmodel import Session
from starlette.responses import Response

from gateway.http.guard import Call
from gateway.http.registry import told
from gateway.http.registry.asked import Ask
from gateway.http.registry.governed import Rule
from gateway.http.registry.shape import answer
from gateway.http.registry.shelf import Shelf, look, shelf_of
from gateway.http.shapes import ref
from gateway.logs import logger
from schemas import refusal, store
from schemas.levels import (
    DEFAULT_LEVEL,
    DEFAULT_MODE,
    effective_level,
    effective_mode,
    parse_level,
    parse_mode,
)
from schemas.refusal import RegistryError
from schemas.registration import WHOLE

_NOT_HELD: Final = (
    "alias",
    "normalize",
    "validateFields",
    "compatibilityGroup",
    "defaultMetadata",
    "overrideMetadata",
    "defaultRuleSet",
    "overrideRuleSet",
)
"""Members of a configuration that change what clients get: refused rather than forgotten."""


@told.tells("registryShowLevel", "The level of the registry", ref("RegistryLevel"))
async def show_level(call: Call) -> Response:
    """The level of the whole registry."""
    found = await look(call, lambda session, _: store.load_terms(session, WHOLE).level)
    return answer(call.request, {"compatibilityLevel": found or DEFAULT_LEVEL})


@told.tells(
    "registryShowSubjectLevel", "The level of a subject", ref("RegistryLevel"), asks=("defaultToGlobal",)
)
async def show_subject_level(call: Call) -> Response:
    """The level of a subject; with `defaultToGlobal` that of the whole registry where it has none."""
    ask = Ask(call)
    subject = ask.subject()

    def work(session: Session, shelf: Shelf) -> str:
        own = _level(session, shelf, subject)
        if own is None and not ask.flag("defaultToGlobal"):
            text = f"Subject '{subject}' does not have subject-level compatibility configured"
            raise RegistryError(40408, text)
        return effective_level(own, store.load_terms(session, WHOLE).level)

    return answer(call.request, {"compatibilityLevel": await look(call, work)})


@told.tells(
    "registrySetLevel",
    "Set the level of the registry",
    ref("RegistryLevelSet"),
    asks=("dry_run",),
    body=ref("RegistryLevelWanted"),
)
async def set_level(call: Call) -> Response:
    """Set the level of the whole registry."""
    return await _set_level(call, WHOLE)


@told.tells(
    "registrySetSubjectLevel",
    "Set the level of a subject",
    ref("RegistryLevelSet"),
    asks=("dry_run",),
    body=ref("RegistryLevelWanted"),
)
async def set_subject_level(call: Call) -> Response:
    """Set the level of a subject."""
    subject = Ask(call).subject_to_write()
    _verify_ungoverned(call, subject, "its level is what the contract says")
    return await _set_level(call, subject)


@told.tells(
    "registryDeleteLevel", "Set the level of the registry back", ref("RegistryLevel"), asks=("dry_run",)
)
async def delete_level(call: Call) -> Response:
    """Set the level of the whole registry back to the default; answers what it was."""

    def work(session: Session) -> str:
        before = store.load_terms(session, WHOLE).level
        store.save_level(session, WHOLE, None)
        return before or DEFAULT_LEVEL

    return answer(call.request, {"compatibilityLevel": await _write(call, WHOLE, work, "level deleted")})


@told.tells(
    "registryDeleteSubjectLevel", "Take the level of a subject away", ref("RegistryLevel"), asks=("dry_run",)
)
async def delete_subject_level(call: Call) -> Response:
    """Take the level of a subject away; answers what it was."""
    subject = Ask(call).subject()
    _verify_ungoverned(call, subject, "its level is what the contract says")

    def work(session: Session) -> str:
        before = store.load_terms(session, subject).level
        if before is None:
            raise _none_set(session, subject, 40408, "compatibility")
        store.save_level(session, subject, None)
        return before

    return answer(call.request, {"compatibilityLevel": await _write(call, subject, work, "level deleted")})


@told.tells("registryShowMode", "The mode of the registry", ref("RegistryMode"))
async def show_mode(call: Call) -> Response:
    """The mode of the whole registry."""
    found = await look(call, lambda session, _: store.load_terms(session, WHOLE).mode)
    return answer(call.request, {"mode": found or DEFAULT_MODE})


@told.tells(
    "registryShowSubjectMode", "The mode of a subject", ref("RegistryMode"), asks=("defaultToGlobal",)
)
async def show_subject_mode(call: Call) -> Response:
    """The mode of a subject; with `defaultToGlobal` that of the whole registry where it has none."""
    ask = Ask(call)
    subject = ask.subject()

    def work(session: Session, shelf: Shelf) -> str:
        own = store.load_terms(session, subject).mode if shelf.sees(subject) else None
        if own is None and not ask.flag("defaultToGlobal"):
            raise RegistryError(40409, f"Subject '{subject}' does not have subject-level mode configured")
        return effective_mode(own, store.load_terms(session, WHOLE).mode)

    return answer(call.request, {"mode": await look(call, work)})


@told.tells(
    "registrySetMode",
    "Set the mode of the registry",
    ref("RegistryMode"),
    asks=("force", "dry_run"),
    body=ref("RegistryMode"),
)
async def set_mode(call: Call) -> Response:
    """Set the mode of the whole registry."""
    return await _set_mode(call, WHOLE)


@told.tells(
    "registrySetSubjectMode",
    "Set the mode of a subject",
    ref("RegistryMode"),
    asks=("force", "dry_run"),
    body=ref("RegistryMode"),
)
async def set_subject_mode(call: Call) -> Response:
    """Set the mode of a subject."""
    subject = Ask(call).subject_to_write()
    _verify_ungoverned(call, subject, "its mode cannot be set")
    return await _set_mode(call, subject)


@told.tells("registryDeleteMode", "Set the mode of the registry back", ref("RegistryMode"), asks=("dry_run",))
async def delete_mode(call: Call) -> Response:
    """Set the mode of the whole registry back to the default; answers what it was."""

    def work(session: Session) -> str:
        before = store.load_terms(session, WHOLE).mode
        store.save_mode(session, WHOLE, None)
        return before or DEFAULT_MODE

    return answer(call.request, {"mode": await _write(call, WHOLE, work, "mode deleted")})


@told.tells(
    "registryDeleteSubjectMode", "Take the mode of a subject away", ref("RegistryMode"), asks=("dry_run",)
)
async def delete_subject_mode(call: Call) -> Response:
    """Take the mode of a subject away; answers what it was."""
    subject = Ask(call).subject()
    _verify_ungoverned(call, subject, "it has no mode of its own")

    def work(session: Session) -> str:
        before = store.load_terms(session, subject).mode
        if before is None:
            raise _none_set(session, subject, 40409, "mode")
        store.save_mode(session, subject, None)
        return before

    return answer(call.request, {"mode": await _write(call, subject, work, "mode deleted")})


def contract_level(rule: Rule) -> str | None:
    """The level of a contract's subject: that of its lines, NONE where they differ, None without lines."""
    levels = {one.line.terms.compatibility for one in rule.channels}
    return None if not levels else next(iter(levels)) if len(levels) == 1 else "NONE"


async def _set_level(call: Call, subject: str) -> Response:
    body = await Ask(call).members(42203, "Invalid compatibility level")
    _verify_held(body)
    level = parse_level(body.get("compatibility", body.get("compatibilityLevel")))
    await _write(call, subject, lambda session: store.save_level(session, subject, level), "level set", level)
    return answer(call.request, {"compatibility": level})


async def _set_mode(call: Call, subject: str) -> Response:
    ask = Ask(call)
    mode = parse_mode((await ask.members(42204, "Invalid mode")).get("mode"))
    is_forced = ask.flag("force")

    def work(session: Session) -> None:
        if mode == "IMPORT" and not is_forced and _has_versions(session, subject):
            text = "Cannot import since found existing subjects; say force=true if that is meant"
            raise refusal.not_permitted(text)
        store.save_mode(session, subject, mode)

    await _write(call, subject, work, "mode set", mode)
    return answer(call.request, {"mode": mode})


async def _write(
    call: Call, subject: str, work: Callable[[Session], Any], event: str, value: str | None = None
) -> Any:
    ask = Ask(call)
    found = await ask.write(work)
    if ask.is_dry:
        return found
    by = call.known
    words = {"subject": subject, "role": by.role, "credential": by.credential.id, "value": value or found}
    logger(__name__).info(event, **words)
    return found


def _level(session: Session, shelf: Shelf, subject: str) -> str | None:
    if not shelf.sees(subject):
        return None
    rule = shelf.rule(subject)
    return store.load_terms(session, subject).level if rule is None else contract_level(rule)


def _has_versions(session: Session, subject: str) -> bool:
    if subject == WHOLE:
        return bool(store.load_subjects(session))
    return bool(store.load_places(session, subject))


def _none_set(session: Session, subject: str, number: int, what: str) -> RegistryError:
    if not store.load_places(session, subject, deleted=True):
        return refusal.subject_unknown(subject)
    return RegistryError(number, f"Subject '{subject}' does not have subject-level {what} configured")


def _verify_held(body: Mapping[str, Any]) -> None:
    unheld = [name for name in _NOT_HELD if body.get(name)]
    if unheld:
        text = f"Invalid configuration: {', '.join(unheld)} cannot be set here; only compatibility can"
        raise RegistryError(42203, text)


def _verify_ungoverned(call: Call, subject: str, what: str) -> None:
    rule = shelf_of(call).rule(subject)
    if rule is not None:
        raise rule.refuse(what)
