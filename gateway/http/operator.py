"""For operators: partners, contracts, the state of the gateway."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from starlette.responses import Response

from gateway.administration.coming import Companion
from gateway.administration.desk import ContractText, Wish
from gateway.administration.evidence import Author
from gateway.administration.outcome import ContractOutcome
from gateway.administration.recorded import Recorded
from gateway.administration.standing import Seen, etag_of
from gateway.errors import CallerError
from gateway.http.guard import Call
from gateway.http.once import ERRORS as ONCE_ERRORS
from gateway.http.once import KEY, Done, once
from gateway.http.pages import page_response
from gateway.http.parameters import flag
from gateway.http.preconditions import IF_MATCH, TAG, read_if_match
from gateway.http.reading import CONTRACT_BYTES, read_members
from gateway.http.shapes import ref, text
from gateway.http.told import BODY_ERRORS, DRY_RUN, JSON, PAGED, Body, Parameter, Reply, shows, tells
from gateway.http.words import json_response
from partners.partner import Partner
from partners.plan import Difference

PUT_OFFERED: Final = frozenset({"dry_run", "allow"})
_ALLOWED: Final = frozenset({"destructive", "incompatible"})
_MEMBERS: Final = ("contract", "files", "file_name", "beside")
_BESIDE: Final = frozenset({"contract", "files", "file_name", "first"})
_MAX_FILES: Final = 500


@tells(
    "listPartners",
    "Operator",
    "All partners",
    shows(ref("PartnerPage"), "By name, closed ones too.", Link="The next page."),
    parameters=PAGED,
    errors=("cursor_invalid",),
)
async def list_partners(call: Call) -> Response:
    """All partners, closed ones too."""
    return page_response(
        call,
        call.snapshot.directory.partners(),
        key=lambda one: one.slug,
        item=lambda one: partner_item(call, one),
        bound=("partners",),
    )


@tells(
    "showPartner",
    "Operator",
    "One partner",
    shows(ref("PartnerShown"), "With its endpoints and their state.", ETag=TAG),
)
async def show_partner(call: Call) -> Response:
    """One partner, with its endpoints and their state."""
    endpoints = [
        {
            "id": one.id,
            "name": one.name,
            "url": one.url,
            "events": sorted(one.types),
            "state": one.state,
            "order": one.order,
            "concurrency": one.concurrency,
            "rate": one.per_second,
        }
        for one in call.snapshot.directory.endpoints(call.partner.slug)
    ]
    contract = call.snapshot.directory.contract(call.partner.slug)
    tag = etag_of(call.partner, 0 if contract is None else contract.revision)
    item = partner_item(call, call.partner)
    return json_response({**item, "endpoints": endpoints}, headers={"ETag": tag})


@tells(
    "putContract",
    "Operator",
    "Bring a contract into force",
    shows(ref("ContractApplied"), "What changed; with `dry_run` what would change.", ETag=TAG),
    Reply(201, "The partner's first contract.", {JSON: ref("ContractApplied")}, {"ETag": TAG}),
    about="The whole contract is sent; what it no longer names goes. New signing secrets are in the answer.",
    parameters=(
        DRY_RUN,
        Parameter(
            "allow",
            "What may be done that is otherwise refused, with commas between.",
            text("(destructive|incompatible)(,(destructive|incompatible))*"),
            example="destructive",
        ),
        IF_MATCH,
        Parameter("If-None-Match", "`*`: only if there is none yet.", text("\\*"), place="header"),
        KEY,
    ),
    body=Body({JSON: ref("ContractWanted")}),
    errors=(
        *BODY_ERRORS,
        *ONCE_ERRORS,
        "change_destructive",
        "contract_invalid",
        "outcome_unknown",
        "precondition_failed",
        "registry_unavailable",
        "schema_incompatible",
        "schema_invalid",
        "state_conflict",
    ),
)
async def put_contract(call: Call) -> Response:
    """Bring a contract into force; with `dry_run` only say what that would do."""
    slug = call.part("p")
    wish = Wish(_seen(call), flag(call.query, "dry_run"), _allow(call.query))
    seconds = call.doors.values.body_seconds
    members = await read_members(call.request, _MEMBERS, seconds=seconds, cap=CONTRACT_BYTES)
    sent = _contract_text(slug, members)
    author = Author(call.known.role, call.known.credential.id)
    return await once(
        call,
        members,
        lambda desk: desk.put_contract(slug, sent, wish, by=author),
        lambda outcome: _applied(slug, outcome, is_dry=wish.dry_run),
    )


def _applied(slug: str, outcome: ContractOutcome, *, is_dry: bool) -> Done:
    body = _outcome(slug, outcome, is_dry=is_dry)
    tag = None if is_dry or outcome.partner is None else etag_of(outcome.partner, outcome.revision)
    headers = {} if tag is None else {"ETag": tag}
    # A list without secrets hides nothing from who asks again.
    shown_once = frozenset({"secrets"}) if body["secrets"] else frozenset[str]()
    return Done(body, 201 if outcome.created and not is_dry else 200, headers, shown_once)


@tells(
    "showStatus",
    "Operator",
    "How the gateway is doing",
    shows(ref("Status"), "Roles, broker, logs, lag, what waits, and what to worry about."),
    errors=("broker_unavailable",),
)
async def show_status(call: Call) -> Response:
    """Roles, heads, lag, broker, warnings."""
    return json_response(await call.doors.status())


def partner_item(call: Call, partner: Partner) -> dict[str, object]:
    """A partner as it is listed."""
    contract = call.snapshot.directory.contract(partner.slug)
    return {
        "slug": partner.slug,
        "name": partner.name,
        "state": partner.state,
        "contract": None if contract is None else contract.revision,
        "log": f"{call.doors.values.log_host}/log/{partner.log}",
        "topics": {"inbound": partner.topics.inbound, "outbound": partner.topics.outbound},
    }


def _seen(call: Call) -> Seen | None:
    """The contract that the author has seen; `If-None-Match: *` says that there was none."""
    return Seen(0) if call.request.headers.get("if-none-match") == "*" else read_if_match(call)


def _allow(query: Mapping[str, str]) -> frozenset[str]:
    words = frozenset(query["allow"].split(",")) if "allow" in query else frozenset[str]()
    if not words <= _ALLOWED:
        raise CallerError("parameter_invalid", f"allow takes a list of {', '.join(sorted(_ALLOWED))}.")
    return words


def _contract_text(slug: str, members: Mapping[str, Any]) -> ContractText:
    listed = members.get("beside", [])
    if not isinstance(listed, list) or len(listed) > _MAX_FILES:
        raise CallerError("parameter_invalid", f"The member beside must be a list of at most {_MAX_FILES}.")
    return ContractText(*_texts(members, f"{slug[:64]}.yaml"), tuple(map(_companion, listed)))


def _companion(one: object) -> Companion:
    """A contract that is applied together with the one that is asked for."""
    if not isinstance(one, dict) or one.keys() - _BESIDE or not isinstance(one.get("first", False), bool):
        known = ", ".join(sorted(_BESIDE))
        raise CallerError("parameter_invalid", f"What the member beside lists has the members {known}.")
    return Companion(*_texts(one, "beside.yaml"), is_first=one.get("first", False))


def _texts(members: Mapping[str, Any], usual: str) -> tuple[str, str, Mapping[str, str]]:
    """A contract, the name of its file, and the files that it names."""
    text, files = members.get("contract"), members.get("files", {})
    name = members.get("file_name", usual)
    if not isinstance(text, str):
        raise CallerError("parameter_invalid", "The member contract must be the text of the contract file.")
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 255:  # noqa: PLR2004 - a file name
        raise CallerError("parameter_invalid", "The member file_name must be a file name.")
    if not isinstance(files, dict) or len(files) > _MAX_FILES:
        raise CallerError("parameter_invalid", f"The member files must be an object of at most {_MAX_FILES}.")
    if not all(isinstance(content, str) for content in files.values()):
        raise CallerError("parameter_invalid", "The member files maps each path to the text of that file.")
    return text, name, files


def _outcome(slug: str, outcome: ContractOutcome, *, is_dry: bool) -> dict[str, object]:
    return {
        "partner": slug,
        "revision": outcome.revision,
        "previous": outcome.previous or None,
        "created": outcome.created,
        "changed": outcome.changed,
        "dry_run": is_dry,
        "blocked": list(outcome.blocked),
        "plan": outcome.plan,
        "differences": [_difference(one) for one in outcome.differences],
        "hits": [asdict(one) for one in outcome.impacts],
        "recorded": [_recorded(one) for one in outcome.recorded],
        "secrets": [] if is_dry else [{"endpoint": name, "secret": text} for name, text in outcome.secrets],
    }


def _difference(one: Difference) -> dict[str, object]:
    """`schema` null: the type's schema stays, or there is no type."""
    schema = one.schema
    return {
        "sign": one.sign,
        "section": one.section,
        "name": one.name,
        "words": one.words,
        "destructive": one.is_destructive,
        "schema": None
        if schema is None
        else {
            "from": schema.was,
            "to": schema.now,
            "compatibility": schema.level,
            "broken": schema.is_broken,
            "fields": [
                {"sign": each.sign, "pointer": each.pointer, "was": each.was or None, "now": each.now or None}
                for each in schema.fields
            ],
            "more": schema.has_more,
        },
    }


def _recorded(one: Recorded) -> dict[str, object]:
    """`checked` null: they could not be looked at, for that reason."""
    is_seen = not one.reason
    return {
        "section": one.section,
        "name": one.name,
        "checked": one.checked if is_seen else None,
        "refused": one.refused if is_seen else None,
        "reason": one.reason or None,
        "faults": [asdict(each) for each in one.faults],
    }
