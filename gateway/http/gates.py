"""The route table: every path and method, who may call it, with which scope and which parameters.

The tenancy tests are generated from this table; a route that is not in it does not exist.
"""

from collections.abc import Sequence
from typing import Final

from gateway.http import (
    account,
    acknowledgements,
    all_partners,
    anchor,
    consumers,
    content,
    credentials,
    deliveries,
    endpoint_probes,
    endpoint_secrets,
    endpoints,
    erasures,
    events,
    evidence,
    exports,
    history,
    history_of_all,
    holds,
    house_deliveries,
    house_endpoints,
    house_replays,
    imports,
    log,
    operator,
    pages,
    replays,
    service,
    signing_keys,
    standing,
    stream,
    types,
)
from gateway.http.guard import Answer, Gate, Side
from gateway.http.openapi import answers as described
from gateway.http.registry import gates as registry
from partners.credential import Role, Scope

P: Final[Role] = "partner"
A: Final[Role] = "auditor"
T: Final[Role] = "team"
O: Final[Role] = "operator"  # noqa: E741 - the letter that the table of routes in the docs has

HOUSE: Final = frozenset({T, O})
NOBODY: Final[frozenset[Role]] = frozenset()
NONE: Final[frozenset[str]] = frozenset()


def _gate(
    line: str,
    side: Side,
    who: frozenset[Role],
    answer: Answer,
    scope: Scope | None = None,
    offered: frozenset[str] = NONE,
) -> Gate:
    method, path = line.split(" ")
    return Gate(method, path, side, who, scope, answer, offered)


def _both(
    line: str,
    who: str,
    answer: Answer,
    scope: Scope | None = None,
    offered: frozenset[str] = NONE,
    named: frozenset[Role] = HOUSE,
) -> tuple[Gate, Gate]:
    """A partner's own route, and the same under `/v1/partners/{p}` for our side. `who`: letters."""
    letters: dict[str, Role] = {"P": P, "A": A, "O": O}
    own = frozenset(letters[letter] for letter in who)
    there = line.replace("/v1/", "/v1/partners/{p}/", 1)
    return (
        _gate(line, "own", own, answer, scope, offered),
        _gate(there, "named", named, answer, scope, offered),
    )


def _stream(line: str, answer: Answer, offered: frozenset[str]) -> tuple[Gate, Gate]:
    """Named readers: of a partner's own stream, and of our side's, which says which way."""
    method, _, name = line.partition(" ")
    path = f"stream/consumers{name}"
    return (
        _gate(f"{method} /v1/{path}", "own", frozenset({P}), answer, "receive", offered),
        _gate(
            f"{method} /v1/partners/{{p}}/{path}", "named", HOUSE, answer, "receive", offered | consumers.WAY
        ),
    )


def _endpoints(line: str, answer: Answer, offered: frozenset[str] = endpoints.OFFERED) -> tuple[Gate, Gate]:
    """What is done with endpoints, by their partner or by an operator."""
    return _both(line, "P", answer, "manage", offered, OPERATOR)


def _ours(line: str, answer: Answer, offered: frozenset[str] = endpoints.OFFERED) -> Gate:
    """What is done with the house's endpoints, which receive what a partner sends."""
    method, path = line.split(" ")
    there = f"{method} /v1/partners/{{p}}/house-endpoints{path}"
    return _gate(there, "named", HOUSE, answer, "receive", offered)


def _owed(line: str, answer: Answer, offered: frozenset[str] = NONE) -> Gate:
    """What is asked of deliveries and replays to the house's endpoints."""
    method, path = line.split(" ")
    there = f"{method} /v1/partners/{{p}}/house-{path}"
    return _gate(there, "named", HOUSE, answer, "receive", offered)


def _operated(line: str, answer: Answer, scope: Scope, offered: frozenset[str]) -> Gate:
    """What operators alone do with a partner's things."""
    method, path = line.split(" ")
    return _gate(f"{method} /v1/partners/{{p}}{path}", "named", OPERATOR, answer, scope, offered)


def _listed(things: str, answer: Answer, scope: Scope, offered: frozenset[str]) -> Gate:
    """What operators list of all partners at once."""
    return _gate(f"GET /v1/partners/-/{things}", "house", OPERATOR, answer, scope, offered)


def _keys(line: str, answer: Answer, offered: frozenset[str] = signing_keys.OFFERED) -> Gate:
    """What operators do with our signing keys."""
    method, path = line.split(" ")
    there = f"{method} /v1/signing-keys{path}"
    return _gate(there, "house", OPERATOR, answer, "manage", offered)


def _all() -> Sequence[Gate]:
    return GATES


ME: Final = frozenset({P, A, T, O})
DOCUMENT: Final = described.document_of(_all)
OPERATOR: Final = frozenset({O})
LOG: Final = frozenset({P, A, O})

GATES: Final[Sequence[Gate]] = (
    *_both("POST /v1/events/{type}", "P", events.post_event_of_type, "send", events.OFFERED),
    *_both("POST /v1/events", "P", events.post_event, "send", events.OFFERED),
    *_both("POST /v1/imports", "P", imports.create_import, "send", imports.CREATE_OFFERED),
    *_both("GET /v1/imports", "P", imports.list_imports, "send", pages.OFFERED),
    *_both("GET /v1/imports/{id}", "P", imports.show_import, "send"),
    *_both("GET /v1/imports/{id}/results", "P", imports.list_results, "send", imports.RESULTS_OFFERED),
    *_both("DELETE /v1/imports/{id}", "P", imports.cancel_import, "send", imports.CANCEL_OFFERED),
    _gate("GET /v1/stream", "own", frozenset({P}), stream.read_stream, "receive", stream.OFFERED),
    _gate("GET /v1/partners/{p}/stream", "named", HOUSE, stream.read_stream, "receive", stream.NAMED_OFFERED),
    *_stream("GET", consumers.list_consumers, consumers.LIST_OFFERED),
    *_stream("GET /{consumer}", consumers.show_consumer, consumers.SHOW_OFFERED),
    *_stream("PUT /{consumer}", consumers.commit_consumer, consumers.COMMIT_OFFERED),
    *_stream("DELETE /{consumer}", consumers.forget_consumer, consumers.FORGET_OFFERED),
    *_both("GET /v1/deliveries", "PA", deliveries.list_deliveries, "audit", deliveries.LIST_OFFERED),
    _listed("deliveries", all_partners.list_deliveries, "audit", deliveries.LIST_OFFERED),
    _listed("house-deliveries", all_partners.list_house_deliveries, "receive", deliveries.LIST_OFFERED),
    _listed("replays", all_partners.list_replays, "audit", pages.OFFERED),
    _listed("house-replays", all_partners.list_house_replays, "receive", pages.OFFERED),
    _listed("history", all_partners.list_history, "audit", history_of_all.OFFERED),
    _listed("imports", all_partners.list_imports, "send", pages.OFFERED),
    _listed("exports", all_partners.list_exports, "audit", pages.OFFERED),
    _listed("endpoints", all_partners.list_endpoints, "manage", endpoints.LIST_OFFERED),
    _listed("house-endpoints", all_partners.list_house_endpoints, "receive", endpoints.LIST_OFFERED),
    _listed("credentials", all_partners.list_credentials, "manage", credentials.LIST_OFFERED),
    _listed("holds", all_partners.list_holds, "audit", pages.OFFERED),
    _listed("erasures", all_partners.list_erasures, "audit", pages.OFFERED),
    *_both("GET /v1/deliveries/{id}", "PA", deliveries.show_delivery, "audit"),
    _gate(
        "POST /v1/deliveries/{id}/ack",
        "own",
        frozenset({P}),
        acknowledgements.acknowledge_delivery,
        "receive",
        acknowledgements.OFFERED,
    ),
    *_both(
        "POST /v1/deliveries/{id}/retry",
        "P",
        deliveries.retry_delivery,
        "manage",
        deliveries.CHANGE_OFFERED,
        OPERATOR,
    ),
    *_both(
        "POST /v1/deliveries/{id}/cancel",
        "P",
        deliveries.cancel_delivery,
        "manage",
        deliveries.CHANGE_OFFERED,
        OPERATOR,
    ),
    *_both("GET /v1/replays", "P", replays.list_replays, "audit", pages.OFFERED, OPERATOR),
    *_both("POST /v1/replays", "P", replays.create_replay, "manage", replays.CREATE_OFFERED, OPERATOR),
    *_both("GET /v1/replays/{id}", "P", replays.show_replay, "audit", NONE, OPERATOR),
    *_both("DELETE /v1/replays/{id}", "P", replays.cancel_replay, "manage", replays.CANCEL_OFFERED, OPERATOR),
    *_both("GET /v1/history", "PA", history.list_history, "audit", history.LIST_OFFERED),
    _gate(
        "GET /v1/house/history",
        "house",
        OPERATOR,
        history.list_house_history,
        "audit",
        history.LIST_OFFERED,
    ),
    *_both("GET /v1/history/{ref}", "PA", history.show_event, "audit", history.ONE_OFFERED),
    *_both("GET /v1/history/{ref}/content", "PA", content.show_content, "audit"),
    *_both("GET /v1/history/{ref}/proof", "PA", history.show_proof, "audit", history.ONE_OFFERED),
    *_both("GET /v1/history/{ref}/evidence", "PA", evidence.show_evidence, "audit", evidence.OFFERED),
    *_both("GET /v1/exports", "PA", exports.list_exports, "audit", pages.OFFERED, OPERATOR),
    *_both("POST /v1/exports", "PA", exports.create_export, "audit", exports.CREATE_OFFERED, OPERATOR),
    *_both("GET /v1/exports/{id}", "PA", exports.show_export, "audit", NONE, OPERATOR),
    *_both("DELETE /v1/exports/{id}", "PA", exports.cancel_export, "audit", exports.CANCEL_OFFERED, OPERATOR),
    *_both("GET /v1/exports/{id}/files/{n}", "PA", exports.show_file, "audit", NONE, OPERATOR),
    _gate("GET /v1/me", "own", ME, account.show_me),
    _gate("GET /v1/openapi.json", "own", ME, DOCUMENT),
    _gate("GET /v1/partners/{p}/openapi.json", "named", HOUSE, DOCUMENT),
    *_both("GET /v1/contract", "PA", account.show_contract),
    *_both("GET /v1/contract/revisions", "PA", account.list_revisions, None, pages.OFFERED),
    *_both("GET /v1/contract/revisions/{revision}", "PA", account.show_revision),
    *_both("GET /v1/types", "P", types.list_types, None, pages.OFFERED),
    *_both("GET /v1/types/{type}", "P", types.show_type),
    *_both("GET /v1/types/{type}/schema", "P", types.show_type_schema, None, types.SCHEMA_OFFERED),
    *_both("GET /v1/types/{type}/sample", "P", types.show_type_sample, None, types.SAMPLE_OFFERED),
    _gate("GET /v1/schemas/{id}", "own", frozenset({P, T, O}), types.show_schema),
    _gate("GET /v1/partners/{p}/schemas/{id}", "named", HOUSE, types.show_schema),
    *_both("GET /v1/log/consistency", "PA", log.show_consistency, "audit", log.GROWTH_OFFERED, OPERATOR),
    _gate("GET /log/{name}/{epoch}/checkpoint", "log", LOG, log.show_checkpoint, "audit"),
    _gate("GET /log/{name}/{epoch}/evidence/{index}", "log", LOG, log.show_evidence, "audit"),
    _gate("GET /log/{name}/{epoch}/tile/{rest:path}", "log", LOG, log.show_tile, "audit"),
    *_endpoints("GET /v1/endpoints", endpoints.list_endpoints, endpoints.LIST_OFFERED),
    *_endpoints("POST /v1/endpoints", endpoints.create_endpoint),
    *_endpoints("GET /v1/endpoints/{id}", endpoints.show_endpoint, NONE),
    *_endpoints("PATCH /v1/endpoints/{id}", endpoints.change_endpoint),
    *_endpoints("DELETE /v1/endpoints/{id}", endpoints.remove_endpoint),
    *_endpoints("POST /v1/endpoints/{id}/pause", endpoints.pause_endpoint),
    *_endpoints("POST /v1/endpoints/{id}/resume", endpoints.resume_endpoint),
    *_endpoints("POST /v1/endpoints/{id}/verify", endpoint_probes.verify_endpoint),
    *_endpoints("POST /v1/endpoints/{id}/test", endpoint_probes.try_endpoint),
    *_endpoints("GET /v1/endpoints/{id}/secrets", endpoint_secrets.list_secrets, pages.OFFERED),
    *_endpoints("POST /v1/endpoints/{id}/secrets", endpoint_secrets.create_secret),
    *_endpoints("DELETE /v1/endpoints/{id}/secrets/{sid}", endpoint_secrets.remove_secret),
    _ours("GET ", house_endpoints.list_endpoints, endpoints.LIST_OFFERED),
    _ours("POST ", house_endpoints.create_endpoint),
    _ours("GET /{id}", house_endpoints.show_endpoint, NONE),
    _ours("PATCH /{id}", house_endpoints.change_endpoint),
    _ours("DELETE /{id}", house_endpoints.remove_endpoint),
    _ours("POST /{id}/pause", house_endpoints.pause_endpoint),
    _ours("POST /{id}/resume", house_endpoints.resume_endpoint),
    _ours("POST /{id}/test", house_endpoints.try_endpoint),
    _ours("GET /{id}/secrets", house_endpoints.list_secrets, pages.OFFERED),
    _ours("POST /{id}/secrets", house_endpoints.create_secret),
    _ours("DELETE /{id}/secrets/{sid}", house_endpoints.remove_secret),
    _owed("GET deliveries", house_deliveries.list_deliveries, deliveries.LIST_OFFERED),
    _owed("GET deliveries/{id}", house_deliveries.show_delivery),
    _owed("POST deliveries/{id}/retry", house_deliveries.retry_delivery, deliveries.CHANGE_OFFERED),
    _owed("POST deliveries/{id}/cancel", house_deliveries.cancel_delivery, deliveries.CHANGE_OFFERED),
    _owed("GET replays", house_replays.list_replays, pages.OFFERED),
    _owed("POST replays", house_replays.create_replay, replays.CREATE_OFFERED),
    _owed("GET replays/{id}", house_replays.show_replay),
    _owed("DELETE replays/{id}", house_replays.cancel_replay, replays.CANCEL_OFFERED),
    *_both(
        "GET /v1/credentials",
        "PO",
        credentials.list_credentials,
        "manage",
        credentials.LIST_OFFERED,
        OPERATOR,
    ),
    *_both(
        "POST /v1/credentials",
        "PO",
        credentials.create_credential,
        "manage",
        credentials.CREATE_OFFERED,
        OPERATOR,
    ),
    *_both("GET /v1/credentials/{id}", "PO", credentials.show_credential, "manage", NONE, OPERATOR),
    *_both(
        "PATCH /v1/credentials/{id}",
        "PO",
        credentials.change_credential,
        "manage",
        credentials.CHANGE_OFFERED,
        OPERATOR,
    ),
    *_both(
        "DELETE /v1/credentials/{id}",
        "PO",
        credentials.revoke_credential,
        "manage",
        credentials.REVOKE_OFFERED,
        OPERATOR,
    ),
    _gate("GET /v1/partners", "house", OPERATOR, operator.list_partners, None, pages.OFFERED),
    _gate("GET /v1/partners/{p}", "named", OPERATOR, operator.show_partner),
    _gate(
        "POST /v1/partners/{p}/suspend",
        "named",
        OPERATOR,
        standing.suspend_partner,
        "manage",
        standing.OFFERED,
    ),
    _gate(
        "POST /v1/partners/{p}/resume",
        "named",
        OPERATOR,
        standing.resume_partner,
        "manage",
        standing.OFFERED,
    ),
    _gate(
        "DELETE /v1/partners/{p}",
        "named",
        OPERATOR,
        standing.close_partner,
        "manage",
        standing.CLOSE_OFFERED,
    ),
    _gate(
        "PUT /v1/partners/{p}/contract",
        "new",
        OPERATOR,
        operator.put_contract,
        "manage",
        operator.PUT_OFFERED,
    ),
    _operated("GET /holds", holds.list_holds, "audit", pages.OFFERED),
    _operated("POST /holds", holds.set_hold, "manage", holds.SET_OFFERED),
    _operated("GET /holds/{id}", holds.show_hold, "audit", NONE),
    _operated("DELETE /holds/{id}", holds.lift_hold, "manage", holds.LIFT_OFFERED),
    _operated("GET /erasures", erasures.list_erasures, "audit", pages.OFFERED),
    _operated("POST /erasures", erasures.create_erasure, "manage", erasures.CREATE_OFFERED),
    _operated("GET /erasures/{id}", erasures.show_erasure, "audit", NONE),
    _gate("GET /v1/status", "house", OPERATOR, operator.show_status),
    _keys("GET ", signing_keys.list_keys, pages.OFFERED),
    _keys("POST /{purpose}/rotate", signing_keys.rotate_key),
    _keys("POST /{purpose}/freeze", signing_keys.freeze_key),
    _keys("POST /{kid}/retire", signing_keys.retire_key),
    *registry.GATES,
    _gate("GET /log/checkpoint", "open", NOBODY, anchor.show_anchor),
    _gate("GET /log/anchor/keys", "open", NOBODY, anchor.show_anchor_keys, offered=anchor.KEYS_OFFERED),
    _gate("GET /log/anchor/{epoch}/checkpoint", "open", NOBODY, anchor.show_anchor_checkpoint),
    _gate("GET /log/anchor/{epoch}/tile/{rest:path}", "open", NOBODY, anchor.show_anchor_tile),
    _gate("GET /.well-known/jwks.json", "open", NOBODY, service.show_jwks),
    _gate("GET /.well-known/partner-gateway", "open", NOBODY, service.show_discovery),
    _gate("GET /errors/{code}", "open", NOBODY, service.show_error),
    _gate("GET /docs", "open", NOBODY, described.page_of(_all)),
    _gate("GET /docs/page.css", "open", NOBODY, described.show_style),
    _gate("GET /docs/page.js", "open", NOBODY, described.show_script),
    _gate("GET /livez", "private", NOBODY, service.show_live),
    _gate("GET /readyz", "private", NOBODY, service.show_ready),
    _gate("GET /metrics", "private", NOBODY, service.show_metrics),
)
