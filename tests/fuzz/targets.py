"""What is fuzzed: every reader of bytes from outside, seeds that it takes, and the errors that it documents.

A target that raises anything else, takes longer than a second and a half a KiB-sized input, or grows beyond
the memory it is given, has a fault.
"""

import hashlib
import io
import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import avro.datafile
import avro.io
import avro.schema

from audit.anchor import format_anchor_proof, parse_anchor_proof, verify_anchor_proof
from audit.bundle import Bundle, format_bundle, parse_bundle, write_tar
from audit.checkpoint import read_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.evidence import parse_evidence
from audit.policy import parse_policy
from audit.proof import parse_consistency, parse_proof
from audit.receipt import format_jwk, parse_jwks, parse_receipt
from audit.ref import format_ref
from audit.revoked import without_signature
from audit.tile import decode_bundle, parse_tile_path
from audit.whole import verify_files
from audit.witness import read_submission
from gateway.auth.certificate import read_leaf
from gateway.auth.content_digest import read_digests
from gateway.auth.proxy_certificate import CARRIERS, Notation, read_passed
from gateway.auth.public_key import load_key
from gateway.auth.request import Shown
from gateway.auth.signature_fields import read_descriptions
from gateway.auth.token import read_token
from gateway.auth.web_keys import read_keys
from gateway.broker.java_properties import parse_login, parse_properties
from gateway.broker.port import Record
from gateway.dialler import Answer, Outgoing
from gateway.egress.acknowledgement import verify_answer
from gateway.egress.statement import verify_statement
from gateway.errors import AwayError, CallerError, SettingsError
from gateway.event import Content
from gateway.imports.job import CONTAINER, NDJSON, Counts, Import, Piece, Sender, Wish
from gateway.imports.reading import Items
from gateway.imports.splitting import BlockSplitter, LineSplitter
from gateway.ingress.content import Received, read_events
from gateway.ingress.form import CONFLUENT, read_form
from gateway.ingress.outcome import Refused
from gateway.record import GUID_HEADER, decode_record
from gateway.standard_webhooks import read_message
from partners.access import decode_access, encode_access, parse_access
from partners.api_key import mint, parse_api_key
from partners.contract_file import read_contract
from partners.directory import Directory
from partners.errors import AccessError, ContractFileError, CredentialError
from schemas.codec import Codec, compile_codec
from schemas.container import ContainerLimits, read_container
from schemas.errors import DatumError, JsonTextError, PayloadError, SchemaError
from schemas.json_reader import members, read_json, split_array
from schemas.schema import parse_schema
from tests.acknowledging import signed_fields, statement
from tests.authorities import CLIENT, make, uris
from tests.dossier import dossier
from tests.fuzz.exported import ARCHIVES, FILES, read_archive, read_entries
from tests.issuers import ec_signer, key_set
from tests.signing import credential_of, private_key, public_der
from tests.unit.audit.anchors import SEEN_AT, WITNESSES, Anchor, policy
from tests.unit.audit.builders import RECEIPT_SIGNER, load_vectors, papers
from tests.unit.gateway.witness.submissions import LOGS, submission

Read = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """A reader. `documented`: what it may raise; `seeds`: inputs that lead deep into it."""

    name: str
    read: Read
    documented: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...] = field(repr=False)


WIDE: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Wide",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "n", "type": "int", "default": 7},
        {"name": "l", "type": "long"},
        {"name": "f", "type": "float"},
        {"name": "d", "type": "double"},
        {"name": "b", "type": "boolean"},
        {"name": "raw", "type": "bytes"},
        {"name": "fix", "type": {"type": "fixed", "name": "Fix", "size": 3}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "dec", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "maybe", "type": ["null", "string", "long"], "default": None},
        {"name": "list", "type": {"type": "array", "items": ["null", "int"]}},
        {"name": "map", "type": {"type": "map", "values": "Fix"}},
    ],
}
PLAIN: Final[dict[str, Any]] = {
    "id": "A-1",
    "n": 1,
    "l": -(2**40),
    "f": 1.5,
    "d": -0.1,
    "b": True,
    "raw": "aGk=",
    "fix": "AAEC",
    "e": "B",
    "dec": "12.34",
    "day": "2026-11-26",
    "at": "2026-11-26T02:00:00.000001Z",
    "uuid": "6f1c3f0e-7a54-4c1b-9a57-0d6a3b1f2c3d",
    "maybe": "x",
    "list": [1, None],
    "map": {"k": "AAEC"},
}


def _codec() -> Codec:
    return compile_codec(parse_schema(json.dumps(WIDE)), ("/id", "/maybe"), "plain")


_CODEC: Final = _codec()
_JSON: Final = json.dumps(PLAIN).encode()
_AVRO: Final = _CODEC.avro_from_json(_JSON).avro


def _agreeing_json(raw: bytes) -> None:
    """What is taken goes to Avro and back, and comes to the same bytes."""
    encoded = _CODEC.avro_from_json(raw)
    again = _CODEC.avro_from_json(_CODEC.json_from_avro(encoded.avro))
    assert again == encoded, "JSON out is no inverse"
    assert _CODEC.checked_avro(encoded.avro).values == encoded.values


def _agreeing_avro(raw: bytes) -> None:
    """What is legal is normalised once, and then stays; what is canonical is taken as it is."""
    normal = _CODEC.normalised_avro(raw).avro
    assert _CODEC.checked_avro(normal).avro == normal
    with suppress(DatumError):
        assert _CODEC.checked_avro(raw).avro == normal == raw


def _schema(raw: bytes) -> None:
    schema = parse_schema(raw.decode())
    assert parse_schema(schema.text) == schema


def _container(raw: bytes) -> None:
    for _ in read_container(raw, ContainerLimits()).data:
        pass


def _container_seed(codec: str) -> bytes:
    out = io.BytesIO()
    schema = avro.schema.parse('{"type":"record","name":"R","fields":[{"name":"x","type":"string"}]}')
    with avro.datafile.DataFileWriter(out, avro.io.DatumWriter(), schema, codec=codec) as file:
        for _ in range(5):
            file.append({"x": "a" * 20})
        file.flush()
        return out.getvalue()


def _post(media_type: str, event_type: str | None) -> Read:
    essence = media_type.split(";", 1)[0]

    def read(raw: bytes) -> None:
        form = read_form(essence, {})
        assert not isinstance(form, Refused)
        headers = {"content-type": media_type}
        if event_type is None and "cloudevents" not in media_type:
            headers |= {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "t", "ce-source": "/s"}
        read_events(Received(event_type, media_type, headers, raw, raw, most=100, form=form))

    return read


_LINE_BYTES: Final = 200
_SMALL: Final = ContainerLimits(datum_bytes=1_000, block_bytes=100_000, total_bytes=2**40)


def _import(media_type: str) -> Read:
    """A body in pieces, and the items of each: as many as were counted, or a place where it breaks."""

    def read(raw: bytes) -> None:
        made = BlockSplitter(_SMALL) if media_type == CONTAINER else LineSplitter(_LINE_BYTES)
        cut = raw[0] * 8 if raw else 0
        pieces = [*made.feed(raw[1:cut]), *made.feed(raw[max(1, cut) :]), *made.finish()]
        assert sum(one.count for one in pieces) == made.items
        head = made.header if isinstance(made, BlockSplitter) else None
        wish = Wish("acme", "inbound", "t", media_type, Sender("api_key", "c"), dry_run=False)
        job = Import("imp", wish, "running", 0, None, Counts(), 0, header=head, schema_id=1)
        for piece in pieces:
            _items(Items(job, piece, _SMALL, start=piece.first), piece)

    return read


def _items(items: Items, piece: Piece) -> None:
    found = 0
    while found < piece.count and (some := items.take(50, 10_000)).items:
        found += len(some.items)
    # What says that it holds more than it does is told of by whoever works it off.
    assert found <= piece.count


def _headers(raw: bytes) -> None:
    """Names and values of `ce-` headers, as lines."""
    headers = {"content-type": "application/json"}
    for line in raw.decode("latin-1").split("\n")[:50]:
        name, _, value = line.partition(":")
        headers[f"ce-{name.lower()}"] = value
    read_events(Received(None, "application/json", headers, b"{}", b"{}"))


def _record(raw: bytes) -> None:
    """A record of anybody: a byte for the framing, a value, and header values cut out of it."""
    cut = raw[0] if raw else 0
    value, rest = raw[1 : 1 + cut], raw[1 + cut :]
    names = ("ce_id", "ce_type", "ce_source", "content-type", "gateway_receipt", GUID_HEADER, "ce_x")
    parts = rest.split(b"\xff", len(names))
    record = Record("t", 0, None, value, tuple(zip(names, parts, strict=False)), 1)
    decode_record(record)
    structured = (("content-type", b"application/cloudevents+json"),)
    decode_record(Record("t", 0, None, raw, structured, 1))


def _webhook(raw: bytes) -> None:
    """The three headers of a signed webhook, as lines."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    read_message(dict(zip(names, raw.decode("latin-1").split("\n"), strict=False)))


def _content(raw: bytes) -> None:
    assert Content(raw, "application/json").raw == raw
    split_array(raw, most=50)


_LOG: Final[Any] = load_vectors("log.json")["v3"]
_PAPERS: Final = papers()
_DOSSIER: Final = dossier()
_CHECKPOINT: Final[bytes] = _LOG["checkpoint_70000"].encode()
_PROOF: Final[bytes] = _LOG["proof_299_of_300"].encode()

_EVENT: Final = (
    b'{"specversion":"1.0","id":"1","source":"/s","type":"t",'
    b'"time":"2026-11-26T00:00:00Z","x":1,"data":{"a":[1]}}'
)
_JSON_ERRORS: Final = (JsonTextError, DatumError)

_SIGNER: Final = ec_signer("k")
_TOKEN: Final = _SIGNER.token(
    {"iss": "https://id.example", "sub": "acme", "aud": ["gw"], "exp": 1_800_000_000}
)
_LEAF: Final = make("leaf", at=1_800_000_000_000, extensions=(uris("urn:acme"), CLIENT))
_XFCC: Final = f'By=x://gw;Hash={_LEAF.match[7:]};Cert="{quote(_LEAF.pem, safe="")}";Subject="CN=\\"a"'


def _proxy(notation: Notation) -> Read:
    """Any bytes in the first header of a notation."""
    return lambda raw: read_passed(notation, Shown(((CARRIERS[notation][0], raw.decode("latin-1")),)))


_OUT: Final = Outgoing("https://hooks.example/in", (("webhook-id", format_ref(b"r" * 32)),), b"{}")
_SIGNS: Final = private_key("ed25519")
_KEYS: Final = Directory(1, [], [credential_of("crd_1", "message_signature", public_der(_SIGNS))])
_FIELDS: Final = dict(
    signed_fields(_SIGNS, "crd_1", _OUT, created=1, covered=('"@status"', '"webhook-id";req'), body=b"")
)
_STATEMENT: Final = statement(
    _SIGNS, "ed25519", "crd_1", {"webhook_id": format_ref(b"r" * 32), "content_sha256": "0" * 64}
)
_ACCESS: Final = (
    b'{"kind":"oauth2","token_url":"https://a.example/t","client_id":"a","client_secret":"b","scope":"c d"}',
    b'{"kind":"headers","headers":{"Authorization":"Bearer x","X-A":"b"}}',
    json.dumps({"kind": "none", "ca": _LEAF.pem.decode()}).encode(),
)


def _answer(raw: bytes) -> None:
    """Signature-Input, Signature and Content-Digest of an answer, as lines."""
    names = ("signature-input", "signature", "content-digest")
    lines = [*raw.decode("latin-1").split("\n"), "", "", ""]
    fields = tuple(zip(names, lines, strict=False))
    answer = Answer(200, None, None, hashlib.sha256(b"").digest(), b"", 1, None, fields)
    verify_answer(_OUT, answer, _KEYS, "acme", now=1_000)


def _statement(raw: bytes) -> None:
    verify_statement(raw, _KEYS, "acme", endpoint="ep_1", ref=b"r" * 32, now=1_000)


def _bundled(raw: bytes) -> None:
    """Bytes in place of each file of a bundle, which is told by how the bytes begin."""
    for name, known in _DOSSIER.files.items():
        if raw[:12] == known[:12]:
            verify_files([write_tar({**_DOSSIER.files, name: raw})], _DOSSIER.keys)


def _revoked(raw: bytes) -> None:
    """Papers beside the proof, of a gateway whose receipt key is marked as compromised."""
    files = [raw] if raw[:4] != _PAPERS.receipt[:4] else [raw, _PAPERS.proof]
    kept, _ = without_signature(files, {RECEIPT_SIGNER.key_id: 1})
    verify_files(kept, _PAPERS.keys)


def _access(raw: bytes) -> None:
    """What is taken comes back as it was."""
    access = parse_access(read_json(raw))
    assert decode_access(encode_access(access)) == access


_TRUSTED: Final = policy()
_POLICY: Final = f"witness a {WITNESSES[0].key} https://w.example\ngroup g 1 a\nquorum g\n".encode()

TARGETS: Final[tuple[Target, ...]] = (
    Target(
        "signed-answer",
        _answer,
        (CallerError,),
        ("\n".join(_FIELDS[name] for name in ("signature-input", "signature", "content-digest")).encode(),),
    ),
    Target("statement", _statement, (CallerError,), (_STATEMENT,)),
    Target("endpoint-access", _access, (AccessError, *_JSON_ERRORS), _ACCESS),
    Target("json", read_json, _JSON_ERRORS, (_JSON, b'{"a":1,"a":2}', b'"\\ud800"', b"[1e999]")),
    Target("json-members", members, _JSON_ERRORS, (_JSON, _EVENT)),
    Target("json-elements", _content, _JSON_ERRORS, (b"[" + _EVENT + b"]", b"[[],{}]")),
    Target("json-to-avro", _agreeing_json, _JSON_ERRORS, (_JSON,)),
    Target("avro", _agreeing_avro, (DatumError,), (_AVRO,)),
    Target("schema", _schema, (SchemaError, UnicodeDecodeError), (json.dumps(WIDE).encode(),)),
    Target(
        "container",
        _container,
        (PayloadError, SchemaError),
        tuple(_container_seed(codec) for codec in ("null", "deflate", "zstandard")),
    ),
    Target("import-lines", _import(NDJSON), (), (b"\x05" + _JSON + b"\n\n" + _EVENT + b"\r\n",)),
    Target(
        "import-blocks",
        _import(CONTAINER),
        (),
        tuple(b"\x09" + _container_seed(codec) for codec in ("null", "deflate")),
    ),
    Target("event-json", _post("application/cloudevents+json", None), (), (_EVENT,)),
    Target("event-batch", _post("application/cloudevents-batch+json", None), (), (b"[" + _EVENT + b"]",)),
    Target("event-lines", _post("application/x-ndjson", "t"), (), (_JSON + b"\n" + _JSON + b"\r\n",)),
    Target("event-framed", _post(CONFLUENT, "t"), (), (b"\x00\x00\x00\x00\x01" + _AVRO,)),
    Target("event-headers", _headers, (), (b"id:1\nsource:/s\ntype:t\nspecversion:1.0\nx:%E2%82%AC",)),
    Target(
        "kafka-record",
        _record,
        (),
        (b"\x06\x00\x00\x00\x00\x01x" + b"1\xfft\xff/s\xffapplication/json\xffa.b.c",),
    ),
    Target("receipt", parse_receipt, (MalformedError,), (_PAPERS.receipt,)),
    Target("evidence", parse_evidence, (MalformedError,), (_PAPERS.evidence.raw,)),
    Target("checkpoint", read_checkpoint, (MalformedError,), (_CHECKPOINT,)),
    Target("proof", parse_proof, (MalformedError,), (_PROOF,)),
    Target(
        "consistency",
        parse_consistency,
        (MalformedError,),
        (b"old 300\n" + b"A" * 43 + b"=\n\n" + _CHECKPOINT,),
    ),
    Target(
        "bundle",
        parse_bundle,
        (MalformedError,),
        (format_bundle(Bundle(_PAPERS.receipt, _PAPERS.proof, _PAPERS.keys)),),
    ),
    Target(
        "key-set",
        parse_jwks,
        (MalformedError,),
        (json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}).encode(),),
    ),
    Target(
        "papers",
        lambda raw: verify_files([raw, _PAPERS.receipt] if raw[:4] == b"c2sp" else [raw], _PAPERS.keys),
        (VerificationError,),
        (_PAPERS.receipt, _PAPERS.proof, format_bundle(Bundle(_PAPERS.receipt, _PAPERS.proof))),
    ),
    Target(
        "evidence-bundle",
        lambda raw: verify_files([raw], _DOSSIER.keys),
        (VerificationError,),
        (_DOSSIER.raw,),
    ),
    Target("evidence-file", _bundled, (VerificationError,), tuple(_DOSSIER.files.values())),
    Target(
        "revoked-papers",
        _revoked,
        (VerificationError,),
        (_PAPERS.receipt, _PAPERS.proof, format_bundle(Bundle(_PAPERS.receipt, _PAPERS.proof)), _DOSSIER.raw),
    ),
    Target("export", read_archive, (VerificationError,), ARCHIVES),
    Target("export-entries", read_entries, (VerificationError,), FILES),
    Target("policy", parse_policy, (MalformedError,), (_POLICY,)),
    Target("anchor-proof", parse_anchor_proof, (MalformedError,), (format_anchor_proof(Anchor().proof()),)),
    Target(
        "anchor-way",
        lambda raw: verify_anchor_proof(parse_anchor_proof(raw), Anchor().leaf, _TRUSTED, latest=SEEN_AT),
        (VerificationError,),
        (format_anchor_proof(Anchor().proof()),),
    ),
    Target("submission", lambda raw: read_submission(raw, LOGS), (), (submission(6, 20),)),
    Target("tile", decode_bundle, (MalformedError,), (b"\x00\x02ab\x00\x00",)),
    Target(
        "tile-path",
        lambda raw: parse_tile_path(raw.decode("latin-1")),
        (MalformedError,),
        (b"tile/0/x001/234.p/7", b"tile/entries/000"),
    ),
    Target(
        "api-key",
        lambda raw: parse_api_key(raw.decode("latin-1")),
        (CredentialError,),
        (mint(lambda count: b"k" * count)[0].encode(),),
    ),
    Target(
        "signature-input",
        lambda raw: [one.text() for one in read_descriptions(raw.decode("latin-1")).values()],
        (CallerError,),
        (b'sig1=("@method" "@path" "ce-id";sf);created=1;keyid="a\\"b";tag="gateway", s2=();a;b=1.5',),
    ),
    Target(
        "content-digest",
        lambda raw: read_digests(raw.decode("latin-1")),
        (CallerError,),
        (b"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:, md5=:YWJj:",),
    ),
    Target("webhook", _webhook, (CallerError,), (b"msg_1\n1800000000\nv1,YQ== v1a,YQ== v2,x",)),
    Target(
        "public-key",
        load_key,
        (CallerError,),
        (bytes.fromhex("302a300506032b6570032100") + b"k" * 32,),
    ),
    Target(
        "contract",
        lambda raw: read_contract(raw.decode("utf-8", "replace"), name="c.yaml"),
        (ContractFileError,),
        (b"gateway: v1\npartner: acme\nname: A\nsends:\n  t.x: {schema: a.avsc, id: [/a, /b]}\n",),
    ),
    Target(
        "properties",
        lambda raw: parse_properties(raw.decode("utf-8", "replace"), path="p"),
        (SettingsError,),
        (b"bootstrap.servers=a:1\\\n ,b:2\nsasl.jaas.config=x \\u0041 required;\n",),
    ),
    Target(
        "login",
        lambda raw: parse_login(raw.decode("utf-8", "replace")),
        (ValueError,),
        (b'org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";',),
    ),
    Target("token", lambda raw: read_token(raw.decode("latin-1")), (CallerError,), (_TOKEN.encode(),)),
    Target("web-keys", read_keys, (AwayError,), (key_set(_SIGNER.jwk(), _SIGNER.jwk(alg="ES256")),)),
    Target("certificate", read_leaf, (CallerError,), (_LEAF.der,)),
    Target("proxy-rfc9440", _proxy("rfc9440"), (CallerError,), (b":" + b64encode(_LEAF.der) + b":",)),
    Target(
        "proxy-xfcc",
        _proxy("xfcc"),
        (CallerError,),
        (_XFCC.encode(),),
    ),
    Target("proxy-aws", _proxy("aws_alb"), (CallerError,), (quote(_LEAF.pem, safe="+=/").encode(),)),
)
