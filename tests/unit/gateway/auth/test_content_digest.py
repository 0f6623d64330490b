import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.content_digest import read_digests, verify_digests
from gateway.errors import CallerError

HELLO = b'{"hello": "world"}\n'
# RFC 9530, appendix D.
HELLO_256 = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_the_digest_of_the_rfc_is_that_of_its_body() -> None:
    verify_digests(read_digests(HELLO_256), HELLO)
    with pytest.raises(CallerError, match=r'"content-digest": the sha-256 digest') as caught:
        verify_digests(read_digests(HELLO_256), HELLO[:-1])
    assert caught.value.members["component"] == "content-digest"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha-256",
        "sha-256=YQ==",
        'sha-256="YQ=="',
        "md5=:YQ==:",
        "SHA-256=:YQ==:",
        f"{HELLO_256},{HELLO_256}",
    ],
)
def test_a_field_without_a_digest_that_counts_is_refused(text: str) -> None:
    with pytest.raises(CallerError) as caught:
        read_digests(text)
    assert (caught.value.code, caught.value.members["component"]) == ("signature_invalid", "content-digest")


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_digest_fits_its_own_body_alone(body: bytes, other: bytes) -> None:
    text = f"sha-512=:{base64.b64encode(hashlib.sha512(body).digest()).decode()}:"
    verify_digests(read_digests(text), body)
    if other != body:
        with pytest.raises(CallerError):
            verify_digests(read_digests(text), other)


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"sha-256=:{text}"))
def test_any_text_is_read_or_refused_by_one_family(text: str) -> None:
    try:
        found = read_digests(text)
    except CallerError:
        return
    assert found.keys() <= {"sha-256", "sha-512"}
