"""Which URLs may be endpoints, and what host patterns cover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partners.endpoint import STANDARD_75H, Endpoint, key_place, parse_host_pattern, verify_url
from partners.errors import EndpointUrlError

ACME = (parse_host_pattern("*.acme.example"), parse_host_pattern("hooks.acme.example:8443"))


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://hooks.acme.example/in", "https://hooks.acme.example/in"),
        ("https://HOOKS.Acme.example./in?a=B", "https://hooks.acme.example/in?a=B"),
        ("https://hooks.acme.example:443/in", "https://hooks.acme.example:443/in"),
        ("https://hooks.acme.example:8443/in", "https://hooks.acme.example:8443/in"),
        ("https://a.b.acme.example", "https://a.b.acme.example"),
    ],
)
def test_urls_under_the_allowed_hosts_are_stored_in_one_form(url: str, stored: str) -> None:
    assert verify_url(url, ACME) == stored


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.acme.example",
        "http://hooks.acme.example/in",
        "ftp://hooks.acme.example/in",
        "https:///in",
        "https://user:pw@hooks.acme.example/in",
        "https://hooks.acme.example/in#part",
        "https://hooks.acme.example:8444/in",
        "https://hooks.acme.example:0/in",
        "https://hooks.acme.example:/in",
        "https://hooks.acme.example:99999/in",
        "https://hooks.acme.example:x/in",
        "https://acme.example/in",
        "https://evilacme.example/in",
        "https://hooks.acme.example.evil.example/in",
        "https://hooks%2eacme.example/in",
        "https://höoks.acme.example/in",
        "https://hooks.acme.example/a b",
        "https://hooks.acme.example/\tin",
        "https://hooks.acme.example\\@evil.example/",
        "https://hooks..acme.example/in",
        "https://-.acme.example/in",
        "https://[::1/in",
        "https://" + "a" * 250 + ".acme.example/",
        "https://hooks.acme.example/" + "a" * 2_048,
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(EndpointUrlError):
        verify_url(url, ACME)


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "1.2.3", "1.2.3.4.5", "[fe80::1%25eth0]", "a.0"],
)
def test_hosts_that_a_resolver_would_read_as_an_address_are_refused(host: str) -> None:
    with pytest.raises(EndpointUrlError):
        verify_url(f"https://{host}/", ())


@pytest.mark.parametrize(
    "url", ["https://192.0.2.1/", "https://[2001:db8::1]/a", "https://hooks.acme.example/"]
)
def test_without_patterns_any_host_may_be_written(url: str) -> None:
    assert verify_url(url, ()) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_plain_http_to_loopback_is_allowed_only_when_asked_for(host: str) -> None:
    url = f"http://{host}:9000/hook"
    assert verify_url(url, ACME, allow_insecure_loopback=True) == url
    with pytest.raises(EndpointUrlError):
        verify_url(url, ())


@pytest.mark.parametrize("host", ["192.168.0.1", "localhost.acme.example", "127.0.0.1.acme.example", "[::2]"])
def test_the_exemption_covers_nothing_but_loopback(host: str) -> None:
    with pytest.raises(EndpointUrlError):
        verify_url(f"http://{host}/", (), allow_insecure_loopback=True)


@given(st.text(max_size=60), st.booleans())
def test_any_text_is_a_url_or_raises_the_one_error(text: str, is_exempt: bool) -> None:  # noqa: FBT001 - drawn
    for url in (text, "https://" + text, "https://" + text + ".example/"):
        try:
            stored = verify_url(url, (), allow_insecure_loopback=is_exempt)
        except EndpointUrlError:
            continue
        assert verify_url(stored, (), allow_insecure_loopback=is_exempt) == stored


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.", "*.com", "*.*.example", "a.*.example", "a b", "a:0", "a:70000", "*.192.0.2.1", "-a.b"],
)
def test_patterns_that_cover_too_much_or_nothing_are_refused(pattern: str) -> None:
    with pytest.raises(EndpointUrlError):
        parse_host_pattern(pattern)


@given(st.text(alphabet="*.:[]abc019-", max_size=20))
def test_any_text_is_a_pattern_or_raises_the_one_error(text: str) -> None:
    try:
        pattern = parse_host_pattern(text)
    except EndpointUrlError:
        return
    assert pattern.host


def test_the_standard_schedule_begins_at_once_and_lasts_75_hours() -> None:
    assert len(STANDARD_75H) == 10
    assert STANDARD_75H[0] == 0
    assert sum(STANDARD_75H) == 75 * 3_600 + 35 * 60 + 5


def test_an_endpoint_shows_no_key() -> None:
    endpoint = Endpoint(
        "ep_1",
        "acme",
        "a",
        "https://a.example",
        frozenset(),
        "none",
        1,
        None,
        (0,),
        (b"sealed bytes",),
        "active",
    )
    assert "sealed bytes" not in repr(endpoint)


def test_a_secret_is_sealed_for_one_endpoint_only() -> None:
    assert key_place("ep_1") != key_place("ep_2")
