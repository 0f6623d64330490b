"""A whole contract file to values, and its faults with their places."""

import pytest

from partners.contract import (
    Authentication,
    Authority,
    Contract,
    ContractFile,
    DeliveryTerms,
    EndpointRules,
    Forward,
    IdRule,
    Keep,
    Limits,
    Oauth,
    Terms,
)
from partners.contract_file import MAX_FILE_BYTES, MAX_FILES_BYTES, attach_files, read_contract
from partners.endpoint import STANDARD_75H, DeclaredEndpoint
from partners.errors import ContractFileError
from tests.certificates import certified

CERTIFICATE = certified()
FULL = """\
gateway: v1
partner: acme
name: Acme GmbH
contacts: {technical: edi@acme.example}
authentication:
  accept: [api_key, mtls, message_signature]
  require_signature: false
  certificates: [certs/acme.pem]
  oauth: {issuer: https://id.acme.example, audience: gw, subject: acme-prod}
sends:
  order.placed:
    schema: schemas/order_placed.avsc
    id: /order_id
    json: plain
    key: /customer_id
    time: /placed_at
    search: [/order_id, /customer_id]
    compatibility: BACKWARD
    accept_versions: 3
    forward: {to: globex, as: order.received}
  price.quoted:
    schema: schemas/price.avsc
    id: [/symbol, /date]
  note.left: {schema: schemas/note.avsc, id: generated, json: avro}
receives:
  order.accepted: {schema: schemas/order_accepted.avsc, compatibility: FULL, id: /order_id}
  order.shipped: {schema: schemas/order_shipped.avsc}
limits: {events_per_second: 200, bytes_per_day: 5GiB, event_bytes: 256KiB, endpoints: 10, streams: 5}
delivery: {retry: [0s, 10s, 5m], order: key, hold: 30d}
endpoints:
  hosts: ["*.acme.example"]
  verification: none
  declared:
    - name: all
      url: https://hooks.acme.example/in
    - name: orders
      url: https://hooks.acme.example/orders
      events: [order.accepted]
      order: endpoint
      concurrency: 2
      rate: 50/s
      retry: standard-75h
topics: {framing: header}
keep: {content: 30d, evidence: 7y}
"""

ORDER = Terms(
    event_type="order.placed",
    direction="inbound",
    schema_path="schemas/order_placed.avsc",
    id=IdRule("pointers", ("/order_id",)),
    key_pointer="/customer_id",
    time_pointer="/placed_at",
    search=("/order_id", "/customer_id"),
    json="plain",
    compatibility="BACKWARD",
    accept_versions=3,
    forward=Forward("globex", "order.received"),
)


def plain(event_type: str, path: str, rule: IdRule, **other: str) -> Terms:
    inbound = other.get("direction", "inbound") == "inbound"
    return Terms(
        event_type=event_type,
        direction="inbound" if inbound else "outbound",
        schema_path=path,
        id=rule,
        key_pointer=None,
        time_pointer=None,
        search=(),
        json="avro" if other.get("json") == "avro" else "plain",
        compatibility="FULL" if other.get("level") == "FULL" else "BACKWARD" if inbound else "FORWARD",
        accept_versions=2,
        forward=None,
    )


def read(text: str) -> ContractFile:
    return read_contract(text, name="acme.yaml")


def faults(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ContractFileError) as caught:
        read(text)
    return [(one.line, one.pointer, one.code) for one in caught.value.problems]


def test_every_field_is_read() -> None:
    assert read(FULL).contract == Contract(
        partner="acme",
        name="Acme GmbH",
        contacts=(("technical", "edi@acme.example"),),
        authentication=Authentication(
            accept=("api_key", "mtls", "message_signature"),
            require_signature=False,
            certificates=("certs/acme.pem",),
            oauth=Oauth("https://id.acme.example", "gw", "acme-prod"),
        ),
        terms=(
            ORDER,
            plain("price.quoted", "schemas/price.avsc", IdRule("pointers", ("/symbol", "/date"))),
            plain("note.left", "schemas/note.avsc", IdRule("generated"), json="avro"),
            plain(
                "order.accepted",
                "schemas/order_accepted.avsc",
                IdRule("pointers", ("/order_id",)),
                direction="outbound",
                level="FULL",
            ),
            plain("order.shipped", "schemas/order_shipped.avsc", IdRule(), direction="outbound"),
        ),
        limits=Limits(200, 5 * 2**30, 256 * 1024, 10, 5),
        delivery=DeliveryTerms((0, 10, 300), "key", 30 * 86_400),
        endpoints=EndpointRules(
            ("*.acme.example",),
            "none",
            (
                DeclaredEndpoint(
                    "all", "https://hooks.acme.example/in", frozenset(), "key", 8, None, (0, 10, 300)
                ),
                DeclaredEndpoint(
                    "orders",
                    "https://hooks.acme.example/orders",
                    frozenset({"order.accepted"}),
                    "endpoint",
                    2,
                    50,
                    STANDARD_75H,
                ),
            ),
        ),
        framing="header",
        keep=Keep(30, 7 * 365),
    )


def test_a_short_file_gets_the_defaults() -> None:
    contract = read("gateway: v1\npartner: acme\nsends:\n  order.placed: {schema: order.avsc}\n").contract
    assert contract == Contract(
        partner="acme",
        name="acme",
        contacts=(),
        authentication=Authentication(),
        terms=(plain("order.placed", "order.avsc", IdRule("required")),),
        limits=Limits(),
        delivery=DeliveryTerms(),
        endpoints=EndpointRules(),
        framing="prefix",
        keep=Keep(90, 2_555),
    )


def test_the_files_to_send_along_are_listed_once_and_sorted() -> None:
    assert read(FULL).paths() == (
        "certs/acme.pem",
        "schemas/note.avsc",
        "schemas/order_accepted.avsc",
        "schemas/order_placed.avsc",
        "schemas/order_shipped.avsc",
        "schemas/price.avsc",
    )


@pytest.mark.parametrize("asked", ["gateway.*", "gateway.contract.changed"])
def test_an_endpoint_may_ask_for_what_the_gateway_itself_tells(asked: str) -> None:
    lines = FULL.splitlines()
    lines[37] = f"      events: [order.accepted, '{asked}']"
    found = read_contract("\n".join(lines), name="acme.yaml").contract.endpoints.declared
    assert found[1].types == {"order.accepted", asked}


def test_a_demand_for_signatures_that_are_not_taken_says_what_to_add() -> None:
    text = "gateway: v1\npartner: acme\nauthentication:\n  accept: [api_key]\n  require_signature: true\n"
    with pytest.raises(ContractFileError) as caught:
        read_contract(text, name="acme.yaml")
    (one,) = caught.value.problems
    assert (one.line, one.pointer, one.code) == (3, "/authentication", "reference")
    assert "name message_signature in accept, or hmac" in one.detail


@pytest.mark.parametrize(
    ("line", "written", "pointer", "code"),
    [
        (1, "gateway: v2", "/gateway", "enum"),
        (2, "partner: House_1", "/partner", "format"),
        (2, "partner: house", "/partner", "format"),
        (2, "partner: 12", "/partner", "type"),
        (3, "name: ''", "/name", "length"),
        (3, "nam: Acme", "/nam", "unknown_field"),
        (3, "name: [Acme]", "/name", "type"),
        (4, "contacts: {technical: nobody}", "/contacts/technical", "format"),
        (4, "contacts: {'a b': edi@acme.example}", "/contacts/a b", "format"),
        (6, "  accept: [api_kye]", "/authentication/accept/0", "enum"),
        (6, "  accept: [mtls, mtls]", "/authentication/accept/1", "duplicate_key"),
        (7, "  require_signature: yes", "/authentication/require_signature", "type"),
        (8, "  certificates: [../acme.pem]", "/authentication/certificates/0", "format"),
        (8, "  certificates: [{ca: ca.pem}]", "/authentication/certificates/0/uri", "missing"),
        (8, "  certificates: [{ca: /ca.pem, uri: x}]", "/authentication/certificates/0/ca", "format"),
        (8, "  certificates: [{ca: a, uri: b, c: d}]", "/authentication/certificates/0/c", "unknown_field"),
        (9, "  oauth: {issuer: 'http://id.acme.example', audience: gw, subject: a}",
         "/authentication/oauth/issuer", "format"),
        (9, "  oauth: {issuer: 'https://id.acme.example', audience: gw}",
         "/authentication/oauth/subject", "missing"),
        (7, "  addresses: 203.0.113.0/24", "/authentication/addresses", "type"),
        (7, "  addresses: []", "/authentication/addresses", "length"),
        (7, "  addresses: [203.0.113.7/24]", "/authentication/addresses/0", "format"),
        (7, "  addresses: [acme.example]", "/authentication/addresses/0", "format"),
        (7, "  addresses: [10.0.0.010]", "/authentication/addresses/0", "format"),
        (7, "  addresses: ['fe80::1%eth0']", "/authentication/addresses/0", "format"),
        (7, "  addresses: ['::ffff:203.0.113.0/120']", "/authentication/addresses/0", "format"),
        (7, "  addresses: [203.0.113.7, 0.0.0.0/0]", "/authentication/addresses/1", "range"),
        (7, "  addresses: ['2001:DB8::1', '2001:db8:0::1/128']",
         "/authentication/addresses/1", "duplicate_key"),
        (11, "  Order-Placed:", "/sends/Order-Placed", "format"),
        (11, "  gateway.order:", "/sends/gateway.order", "not_allowed"),
        (12, "    schema: /etc/passwd", "/sends/order.placed/schema", "format"),
        (12, "    schema: a/../b.avsc", "/sends/order.placed/schema", "format"),
        (12, "    schema: 'a\\b.avsc'", "/sends/order.placed/schema", "format"),
        (12, "    schema: a//b.avsc", "/sends/order.placed/schema", "format"),
        (12, "    schema:", "/sends/order.placed/schema", "type"),
        (13, "    id: order_id", "/sends/order.placed/id", "format"),
        (13, "    id: /order~2id", "/sends/order.placed/id", "format"),
        (13, "    id: []", "/sends/order.placed/id", "length"),
        (13, "    id: [/a, b]", "/sends/order.placed/id/1", "format"),
        (13, "    id: {pointer: /a}", "/sends/order.placed/id", "type"),
        (13, "    id: 7", "/sends/order.placed/id", "type"),
        (14, "    json: xml", "/sends/order.placed/json", "enum"),
        (15, "    keys: /customer_id", "/sends/order.placed/keys", "unknown_field"),
        (17, "    search: /order_id", "/sends/order.placed/search", "type"),
        (18, "    compatibility: backward", "/sends/order.placed/compatibility", "enum"),
        (19, "    accept_versions: 0", "/sends/order.placed/accept_versions", "range"),
        (19, "    accept_versions: true", "/sends/order.placed/accept_versions", "type"),
        (19, "    accept_versions: two", "/sends/order.placed/accept_versions", "type"),
        (20, "    forward: {to: acme, as: order.received}", "/sends/order.placed/forward", "reference"),
        (20, "    forward: {as: order.received}", "/sends/order.placed/forward/to", "missing"),
        (28, "limits: {bytes_per_day: 5GB}", "/limits/bytes_per_day", "format"),
        (28, "limits: {event_bytes: 1GiB}", "/limits/event_bytes", "range"),
        (28, "limits: {endpoints: 1}", "/endpoints/declared", "range"),
        (28, "limits: 200", "/limits", "type"),
        (29, "delivery: {hold: 30}", "/delivery/hold", "format"),
        (29, "delivery: {retry: [5s, 10s]}", "/delivery/retry", "range"),
        (29, "delivery: {retry: [0s, soon]}", "/delivery/retry/1", "format"),
        (29, "delivery: {retry: standard}", "/delivery/retry", "enum"),
        (31, "  hosts: ['*.example']", "/endpoints/hosts/0", "format"),
        (32, "  verification: maybe", "/endpoints/verification", "enum"),
        (34, "    - name: Orders Hook", "/endpoints/declared/0/name", "format"),
        (34, "    - name: orders", "/endpoints/declared/1/name", "duplicate_key"),
        (35, "      url: https://hooks.other.example/in", "/endpoints/declared/0/url", "format"),
        (35, "      url: http://hooks.acme.example/in", "/endpoints/declared/0/url", "format"),
        (38, "      events: [order.acepted]", "/endpoints/declared/1/events/0", "reference"),
        (38, "      events: [order.placed]", "/endpoints/declared/1/events/0", "reference"),
        (38, "      events: [gateway.moon.full]", "/endpoints/declared/1/events/0", "reference"),
        (38, "      events: ['order.*']", "/endpoints/declared/1/events/0", "reference"),
        (40, "      concurrency: 1000", "/endpoints/declared/1/concurrency", "range"),
        (41, "      rate: fast", "/endpoints/declared/1/rate", "format"),
        (43, "topics: {framing: none}", "/topics/framing", "enum"),
        (44, "keep: {content: 36h}", "/keep/content", "range"),
        (44, "keep: {content: 9y, evidence: 7y}", "/keep", "range"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_line_and_pointer(
    line: int, written: str, pointer: str, code: str
) -> None:
    lines = FULL.splitlines()
    lines[line - 1] = written
    expected_line = {"/endpoints/declared": 33, "/endpoints/declared/1/name": 36}.get(pointer, line)
    assert faults("\n".join(lines)) == [(expected_line, pointer, code)]


def test_all_faults_are_found_in_one_reading() -> None:
    text = FULL.replace("partner: acme", "partner: A").replace("id: /order_id\n", "id: x\n", 1)
    assert faults(text.replace("200", "-1").replace("7y", "7")) == [
        (2, "/partner", "format"),
        (13, "/sends/order.placed/id", "format"),
        (28, "/limits/events_per_second", "range"),
        (44, "/keep/evidence", "format"),
    ]


def test_what_must_be_there_is_asked_for() -> None:
    assert faults("name: Acme\n") == [(1, "/gateway", "missing"), (1, "/partner", "missing")]
    assert faults("- a\n") == [(1, "", "type")]
    text = "gateway: v1\npartner: acme\nendpoints:\n  declared:\n    - order: none\n"
    assert faults(text) == [
        (5, "/endpoints/declared/0/name", "missing"),
        (5, "/endpoints/declared/0/url", "missing"),
    ]


def test_the_field_that_was_meant_is_named() -> None:
    with pytest.raises(ContractFileError, match=r"acme.yaml:3: /recieves: .*did you mean 'receives'"):
        read("gateway: v1\npartner: acme\nrecieves: {}\n")
    with pytest.raises(ContractFileError, match=r"did you mean 'BACKWARD'"):
        read(FULL.replace("BACKWARD", "BACKWARDS"))


def test_what_only_senders_have_is_unknown_to_receivers() -> None:
    text = "gateway: v1\npartner: a\nreceives:\n  x: {schema: x.avsc, forward: {to: b}}\n"
    assert faults(text) == [(4, "/receives/x/forward", "unknown_field")]


def test_plain_http_to_loopback_is_read_only_when_allowed() -> None:
    text = FULL.replace("https://hooks.acme.example/in", "http://127.0.0.1:9000/in")
    file = read_contract(text, name="acme.yaml", allow_insecure_loopback=True)
    assert file.contract.endpoints.declared[0].url == "http://127.0.0.1:9000/in"
    assert faults(text) == [(35, "/endpoints/declared/0/url", "format")]


def contents() -> dict[str, str]:
    return dict.fromkeys(read(FULL).paths(), "{}") | {"certs/acme.pem": CERTIFICATE.pem}


def test_attached_files_are_kept_by_path() -> None:
    file = attach_files(read(FULL), contents())
    assert file.files == tuple(sorted(contents().items()))


def test_a_file_that_is_no_certificate_is_reported_as_its_own() -> None:
    with pytest.raises(ContractFileError) as caught:
        attach_files(read(FULL), contents() | {"certs/acme.pem": "{}"})
    assert [(one.file, one.line, one.code) for one in caught.value.problems] == [
        ("certs/acme.pem", 1, "format")
    ]


def test_authorities_stand_among_the_certificates() -> None:
    text = FULL.replace("[certs/acme.pem]", "[certs/acme.pem, {ca: certs/ca.pem, uri: 'spiffe://acme/gw'}]")
    file = read(text)
    assert file.contract.authentication.certificates == ("certs/acme.pem",)
    assert file.contract.authentication.authorities == (Authority("certs/ca.pem", "spiffe://acme/gw"),)
    assert "certs/ca.pem" in file.paths()
    files = contents() | {"certs/ca.pem": CERTIFICATE.pem}
    with pytest.raises(ContractFileError, match="may not issue others"):
        attach_files(file, files)
    attach_files(file, files | {"certs/ca.pem": certified(is_authority=True, usages=()).pem})


def test_a_certificate_that_is_named_twice_is_reported() -> None:
    file = read(FULL.replace("[certs/acme.pem]", "[certs/acme.pem, certs/same.pem]"))
    with pytest.raises(ContractFileError, match=r"the same as 'certs/acme\.pem'"):
        attach_files(file, contents() | {"certs/same.pem": CERTIFICATE.pem})


def test_a_missing_a_needless_and_a_bad_file_are_all_reported() -> None:
    files = contents() | {
        "other.avsc": "{}",
        "schemas/note.avsc": "x" * (MAX_FILE_BYTES + 1),
        "schemas/order_accepted.avsc": "\ud800",
    }
    del files["schemas/price.avsc"], files["certs/acme.pem"]
    with pytest.raises(ContractFileError) as caught:
        attach_files(read(FULL), files)
    assert sorted((one.file, one.line, one.pointer, one.code) for one in caught.value.problems) == [
        ("acme.yaml", 1, "", "reference"),
        ("acme.yaml", 8, "/authentication/certificates", "reference"),
        ("acme.yaml", 22, "/sends/price.quoted/schema", "reference"),
        ("schemas/note.avsc", 1, "", "length"),
        ("schemas/order_accepted.avsc", 1, "", "not_allowed"),
    ]


def test_the_files_of_a_contract_have_a_bound_together_in_bytes() -> None:
    many = MAX_FILES_BYTES // MAX_FILE_BYTES + 1
    lines = "".join(f"  t{one}: {{schema: s{one}.avsc}}\n" for one in range(many))
    file = read(f"gateway: v1\npartner: acme\nsends:\n{lines}")
    files = {f"s{one}.avsc": "ä" * (MAX_FILE_BYTES // 2) for one in range(many)}
    with pytest.raises(ContractFileError, match="bytes together"):
        attach_files(file, files)
    attach_files(file, {**files, "s0.avsc": ""})


def test_addresses_are_read_into_their_one_form() -> None:
    text = "gateway: v1\npartner: acme\nauthentication: {addresses: [203.0.113.7, 2001:DB8:0::/32]}\n"
    addresses = read_contract(text, name="c.yaml").contract.authentication.addresses
    assert addresses == ("203.0.113.7/32", "2001:db8::/32")
    assert (
        read_contract("gateway: v1\npartner: acme\n", name="c.yaml").contract.authentication.addresses == ()
    )
