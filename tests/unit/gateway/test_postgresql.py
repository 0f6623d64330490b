"""What a URL of PostgreSQL says; connections to real servers are in tests/integration."""

import traceback

import pytest

from gateway.errors import SetupError
from gateway.postgresql import Cluster


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim%zz@host/name",
        "postgresql://user:geheim@host/name?no_such_option=geheim",
        "postgresql://user:geheim@[::1/name",
        "postgresql://user:geheim@host/name?sslmode",
        "postgresql://user:geheim@one:1,two:2,three:3/name?port=4,5",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SetupError, match=r"database\.url") as caught:
        Cluster(url, pool=8)
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///name",
        "postgresql://one,two,three/name",
        "postgresql://one:1,two:2/name",
        "postgresql://one,two/name?port=5",
        "postgresql://[::1]:1,two:2/name?sslmode=verify-full",
        "postgresql:///name?host=/run/postgresql",
        "postgresql://us%40er:p%2Fw@one/name?options=-c%20search_path%3Dgateway",
    ],
)
def test_every_form_of_libpq_is_read_without_connecting(url: str) -> None:
    cluster = Cluster(url, pool=8)
    assert cluster.newest.started_at_us == 0
    assert "p/w" not in repr(cluster)
