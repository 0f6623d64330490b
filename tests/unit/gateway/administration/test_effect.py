from gateway.administration.effect import without_effect
from partners.contract_file import read_contract

PLAIN = """\
gateway: v1
partner: acme
name: Acme
sends:
  order.placed: {schema: order.avsc, id: /order_id}
"""


def lines(more: str) -> str:
    return "\n".join(without_effect(read_contract(PLAIN + more, name="acme.yaml")))


def test_a_contract_that_takes_effect_as_it_stands_has_no_remarks() -> None:
    assert lines("") == ""
    signed = "authentication: {accept: [message_signature, hmac], require_signature: true}\n"
    assert lines(signed) == ""


def test_what_is_only_kept_is_said() -> None:
    said = lines(
        "authentication: {accept: [api_key, mtls]}\n"
        "limits: {events_per_second: 5, endpoints: 3}\n"
        "keep: {content: 30d, evidence: 1y}\n"
        "endpoints:\n  declared:\n    - {name: hook, url: 'https://hooks.acme.example/in'}\n"
    )
    assert "hook gets nothing until its owner is proved" in said
    assert "keep.evidence" not in said
    assert "limits" not in said
    assert "require_signature" not in said
    assert "mtls" not in said
    assert lines("delivery: {order: key, hold: 60d}\n") == ""


def test_certificates_and_clients_that_the_contract_does_not_accept_are_told() -> None:
    section = (
        "authentication:\n  accept: [api_key]\n  certificates: [a.pem]\n"
        "  oauth: {issuer: https://id.acme.example, audience: gw, subject: acme}\n"
    )
    said = lines(section)
    assert "certificates: of no use, since authentication.accept does not name mtls" in said
    assert "oauth: of no use, since authentication.accept does not name jwt" in said
    assert lines(section.replace("[api_key]", "[mtls, jwt]")) == ""


def test_an_event_that_no_record_can_hold_is_told() -> None:
    assert "limits.event_bytes" not in lines("limits: {event_bytes: 976KiB}\n")
    assert "a record holds 1000000 bytes at most" in lines("limits: {event_bytes: 4MiB}\n")
