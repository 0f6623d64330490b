import asyncio
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.auth.request import Shown
from gateway.bootstrap.ground import clock
from gateway.bootstrap.listeners import Notices, make_certificates, make_doors, notice
from gateway.errors import AwayError, BugError, StoreDamagedError
from gateway.http.rejection import Rejection
from gateway.http.tls import make_dev_certificate
from gateway.logs import configure
from gateway.metrics import Metrics
from partners import store
from partners.credential import Credential
from tests.authorities import make
from tests.world import running


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("info", "json", lambda: 0, stream)
    yield stream
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (AwayError("overloaded", "full"), "info"),
        (StoreDamagedError("damaged"), "error"),
        (BugError("ours"), "error"),
        (ValueError("ours"), "error"),
    ],
)
def test_only_what_is_not_by_design_is_an_error_of_the_log(
    lines: io.StringIO, error: Exception, level: str
) -> None:
    notice("req_1", error)
    line = json.loads(lines.getvalue())
    assert (line["level"], line["request_id"]) == (level, "req_1")
    assert str(error) in line["error"]


def test_of_many_that_were_turned_away_one_line_tells_every_few_seconds(lines: io.StringIO) -> None:
    now = [0.0]
    told = Notices(lambda: now[0])
    for seconds in (0.0, 1.0, 2.0, 5.0, 5.5):
        now[0] = seconds
        told("req_1", AwayError("overloaded", "full"))
    told("req_2", AwayError("store_unavailable", "away"))
    seen = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(one["request_id"], one.get("more")) for one in seen] == [
        ("req_1", None),
        ("req_1", 2),
        ("req_2", None),
    ]


async def test_listeners_accept_the_clients_of_catalogue_and_settings(tmp_path: Path) -> None:
    client, agreed = make("client", at=clock()), make("agreed", at=clock(), is_ca=True)
    (tmp_path / "ca.pem").write_bytes(agreed.pem)
    cert, key = make_dev_certificate(tmp_path, now=clock(), entropy=os.urandom)
    files = {"tls.cert": str(cert), "tls.key": str(key), "tls.client_ca": str(tmp_path / "ca.pem")}
    async with running(tmp_path / "data", flags=files) as world:
        certificates = make_certificates(world.parts)
        assert certificates is not None
        before = certificates.context.now.cert_store_stats()["x509"]
        credential = Credential(
            "crd_1", "acme", "partner", "mtls", client.match, client.der, frozenset(), 0, 2**50, None, ""
        )
        with world.parts.ground.database.begin() as session:
            store.lock(session)
            store.insert_credential(session, credential, now=0)
            store.bump_credential(session, credential.id)
            session.commit()
        await world.parts.catalog.refresh()
        certificates.follow()
        after = certificates.context.now.cert_store_stats()["x509"]
    assert (before, after) == (1, 2)


async def test_the_doors_believe_the_proxies_of_the_settings_and_count_others(
    tmp_path: Path, lines: io.StringIO
) -> None:
    flags = {"proxy.trusted": "10.0.0.0/8", "proxy.client_cert": "nginx"}
    metrics = Metrics()
    async with running(tmp_path / "data", flags=flags) as world:
        assert make_certificates(world.parts) is None
        doors = make_doors(world.parts, ("serve",), metrics, asyncio.Event(), metrics.render)
        headers = (("x-forwarded-for", "203.0.113.7"), ("x-ssl-client-verify", "NONE"))
        peers = [doors.proxies.seen(Shown(headers, peer=peer)).peer for peer in ("10.1.2.3", "192.0.2.1")]
        doors.observe("/v1/events/{type}", "POST", 201, "none", 0.001)
        doors.observe("/v1/events/{type}", "POST", 401, "credential_revoked", 0.001)
        doors.observe("/registry/subjects", "GET", 422, "42201", 0.001)
        doors.shaken("certificate", "certificate has expired", "192.0.2.1")
        doors.shaken("ended", "", "192.0.2.1")
        doors.reject(Rejection("req_1", "/v1/me", "GET", 401, "credential_missing", "192.0.2.1"))
    shown = metrics.render().decode()
    for group, status, code in (
        ("events", 201, "none"),
        ("events", 401, "credential_revoked"),
        ("registry", 422, "other"),
    ):
        assert f'gateway_answers_total{{code="{code}",group="{group}",status="{status}"}} 1.0' in shown
    assert 'gateway_answers_total{code="credential_invalid",group="stream",status="401"} 0.0' in shown
    assert 'gateway_tls_handshakes_failed_total{reason="certificate"} 1.0' in shown
    assert "gateway_request_seconds_count 2.0" in shown
    told = [json.loads(line)["event"] for line in lines.getvalue().splitlines()]
    # Who only looks whether the port is open has no line.
    assert (told.count("handshake refused"), told.count("request refused")) == (1, 1)
    assert peers == ["203.0.113.7", "192.0.2.1"]
    assert b"gateway_proxy_certificates_ignored_total 1.0" in metrics.render()
