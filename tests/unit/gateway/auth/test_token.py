import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.token import MAX_CHARACTERS, read_token
from gateway.errors import CallerError
from tests.issuers import b64

HEADER = {"alg": "ES256", "kid": "k", "typ": "JWT"}
CLAIMS = {"iss": "https://id.example", "sub": "acme", "aud": "gw", "exp": 1_800_000_000}


def compact(header: object = None, claims: object = None, signature: bytes = b"s") -> str:
    parts = [HEADER if header is None else header, CLAIMS if claims is None else claims]
    raws = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in parts]
    return ".".join([*map(b64, raws), b64(signature)])


def test_a_token_is_taken_apart() -> None:
    token = read_token(compact(claims={**CLAIMS, "nbf": 1.5, "iat": 2, "aud": ["a", "b"]}))
    assert (token.algorithm, token.kid, token.issuer, token.subject) == (
        "ES256",
        "k",
        "https://id.example",
        "acme",
    )
    assert (token.audience, token.expires_at) == (frozenset("ab"), 1_800_000_000_000)
    assert (token.not_before, token.issued_at, token.signature) == (1_500, 2_000, b"s")
    assert (
        token.signed
        == compact(claims={**CLAIMS, "nbf": 1.5, "iat": 2, "aud": ["a", "b"]}).rpartition(".")[0].encode()
    )
    assert "acme" not in repr(token.signed)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", None])
def test_each_spelling_of_the_two_sorts_is_taken(typ: str | None) -> None:
    header = {**HEADER, "typ": typ} if typ else {"alg": "ES256"}
    assert read_token(compact(header)).kid == header.get("kid")


GOOD = compact()
H, P, S = GOOD.split(".")
HOSTILE = {
    "empty": "",
    "two parts": f"{H}.{P}",
    "four parts": f"{H}.{P}.{S}.x",
    "encrypted": "a.b.c.d.e",
    "oversize": GOOD + "A" * MAX_CHARACTERS,
    "padding": f"{H}.{P}.{b64(b's')}==",
    "standard base64": f"{H}.{P}.+/+/",
    "length of no base64": f"{H}.{P}.AAAAA",
    "spare bits": f"{H}.{P}.AB",
    "blank": f"{H}. {P}.{S}",
    "line break": f"{H}\n.{P}.{S}",
    "beyond ASCII": f"{H}.{P}.ä",
    "header empty": f".{P}.{S}",
    "payload empty": f"{H}..{S}",
    "header no JSON": compact(b"{"),
    "header no object": compact(b"[]"),
    "header is text": compact(b'"x"'),
    "header not UTF-8": compact(b'{"alg":"\xff"}'),
    "header with a mark": compact(b'\xef\xbb\xbf{"alg":"ES256"}'),
    "header with alg twice": compact(b'{"alg":"none","alg":"ES256"}'),
    "header deep": compact(b'{"alg":"ES256","x":' + b"[" * 900 + b"]" * 900 + b"}"),
    "payload deep": compact(claims=b"[" * 3_000),
    "payload with sub twice": compact(claims=b'{"iss":"a","sub":"b","sub":"c","aud":"d"}'),
    "member twice below": compact(claims=b'{"iss":"a","sub":"b","aud":"d","x":{"y":1,"y":2}}'),
    "trailing text": compact(claims=json.dumps(CLAIMS).encode() + b"x"),
    "NaN": compact(claims=b'{"iss":"a","sub":"b","aud":"d","exp":NaN}'),
    "no alg": compact({"kid": "k"}),
    "alg of no text": compact({"alg": 1}),
    "alg null": compact({"alg": None}),
    "kid null": compact({**HEADER, "kid": None}),
    "kid long": compact({**HEADER, "kid": "k" * 513}),
    "kid with NUL": compact({**HEADER, "kid": "\x00"}),
    "typ other": compact({**HEADER, "typ": "dpop+jwt"}),
    "typ of no text": compact({**HEADER, "typ": ["JWT"]}),
    **{f"header {name}": compact({**HEADER, name: value}) for name, value in {
        "crit": ["exp"], "jku": "https://evil.example", "jwk": {"kty": "oct"}, "x5u": "https://evil.example",
        "x5c": [], "cty": "JWT", "enc": "A256GCM", "zip": "DEF", "b64": False,
    }.items()},
    **{f"claims {name} {value!r:.20}": compact(claims={**CLAIMS, name: value}) for name, value in [
        ("iss", None), ("iss", ""), ("iss", ["a"]), ("iss", "a\nb"), ("iss", "a" * 513), ("sub", 5),
        ("sub", "a\nb"), ("sub", "\ud800"), ("aud", None), ("aud", 5), ("aud", ["a", 5]), ("aud", {}),
        ("exp", "soon"), ("exp", True), ("exp", -1), ("exp", 1e30), ("exp", 10**30), ("exp", None),
        ("nbf", []), ("iat", "0"), ("iat", -0.5), ("cnf", {}), ("cnf", {"jkt": "x"}), ("cnf", "x"),
        ("cnf", {"x5t#S256": 5}), ("cnf", {"x5t#S256": "x", "jwk": {}}),
    ]},
    "no sub": compact(claims={"iss": "a", "aud": "b"}),
    "no aud": compact(claims={"iss": "a", "sub": "b"}),
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_other_text_is_refused_with_words(text: str) -> None:
    with pytest.raises(CallerError, match=r"The token \w+ .*\.") as caught:
        read_token(text)
    assert caught.value.code == "credential_invalid"
    assert "evil" not in caught.value.text


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from([H, P, S, ".", "a", "", "="]), max_size=7).map("".join),
        st.tuples(st.binary(max_size=40), st.binary(max_size=40)).map(lambda two: compact(*two)),
    )
)
def test_any_text_raises_one_family(text: str) -> None:
    with suppress(CallerError):
        read_token(text)
