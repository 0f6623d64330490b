"""What the doctor sees of the witnesses: the policy, and what the database says of them. Dials nobody."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from sqlmodel import Session

from audit.policy import Policy
from gateway.anchoring.standing import look, warn
from gateway.bootstrap.anchoring import load_policy
from gateway.bootstrap.database_look import read_server, read_sqlite
from gateway.database import clock
from gateway.doctor.finding import Finding
from gateway.doctor.witness import WITNESSES, WitnessesSeen, judge
from gateway.errors import GatewayError, SetupError
from gateway.settings import Settings
from gateway.sql_engines import sqlite_file


def examine_witnesses(settings: Settings) -> Iterator[Finding]:
    """Read and judge; nothing where the settings name no policy. Blocks."""
    try:
        policy = load_policy(settings.audit.witness_policy)
    except SetupError as error:
        yield WITNESSES.fault(error.text, "mend the file, or name another in audit.witness_policy")
        return
    if policy is None:
        return
    try:
        troubles = _ask(settings, policy)
    except GatewayError as error:
        yield WITNESSES.not_asked(f"the database does not say how it stands with them: {error}")
        return
    without = [one.name for one in policy.witnesses if not one.url]
    yield from judge(WitnessesSeen(len(policy.witnesses), without, troubles))


def _ask(settings: Settings, policy: Policy) -> tuple[str, ...]:
    host = urlsplit(settings.origin).netloc

    def work(session: Session) -> tuple[str, ...]:
        seen, interval = look(session, host, policy), settings.audit.anchor_interval
        return tuple(warn(seen, now=clock(session), interval_ms=interval, has_key=True))

    file = sqlite_file(settings.database.url)
    return read_server(settings.database.url, work) if file is None else read_sqlite(file, work)
