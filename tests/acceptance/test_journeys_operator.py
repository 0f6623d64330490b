"""An operator: a partner let in, its contract changed, its leaked key ended. No restart between.

The commands are typed as the docs have them; each test is a partner of its own, at one gateway.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from audit.pressing import expand
from tests.acceptance.journeys import Developer, Operator, join, until
from tests.acceptance.running import Gateway

pytestmark = pytest.mark.curl
EFFECTIVE_SECONDS = 60


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One `gateway up` for all of them."""
    one = Gateway(tmp_path_factory.mktemp("operators") / "data")
    try:
        yield one.start()
    finally:
        one.kill()


def begin(up: Gateway, slug: str, folder: Path) -> Operator:
    """An operator with the contract of a new partner in force."""
    operator = Operator(up, folder)
    assert operator.run(f"contract init {slug}").code == 0
    assert operator.run(f"apply -f {slug}.yaml --yes").code == 0
    return operator


def receives(file: Path) -> None:
    """Let the partner receive a type too, with the same schema, at an endpoint."""
    line = "receives:\n  order.accepted: {schema: schemas/order_placed.avsc, id: /order_id}\n"
    hook = "{name: orders, url: 'http://127.0.0.1:9/in', events: [order.accepted]}"
    file.write_text(f"{file.read_text()}{line}endpoints:\n  verification: none\n  declared: [{hook}]\n")


def widen(folder: Path, **more: object) -> None:
    """Add a field to the schema that `contract init` has made."""
    file = folder / "schemas/order_placed.avsc"
    schema = json.loads(file.read_text())
    schema["fields"].append(more)
    file.write_text(json.dumps(schema, indent=2))


def test_a_partner_is_let_in_with_two_files_and_no_restart(up: Gateway, tmp_path: Path) -> None:
    operator = Operator(up, tmp_path)
    begun = operator.run("contract init acme")
    assert begun.code == 0
    # Two files say it all; the third is the format, for the editor.
    assert begun.out.split() == ["acme.yaml", "schemas/order_placed.avsc", "contract.schema.json"]
    assert operator.run("contract lint acme.yaml").code == 0
    planned = operator.run("plan -f acme.yaml")
    assert planned.code == 0
    assert planned.out.splitlines()[0] == "acme   contract 1 (new partner)"
    assert "nothing was changed" in planned.out.lower()
    assert operator.run("contract show acme").code == 4, "a plan changes nothing"
    unasked = operator.run("apply -f acme.yaml")
    assert (unasked.code, "--yes" in unasked.err) == (2, True)
    applied = operator.run("apply -f acme.yaml --yes")
    assert (applied.code, applied.out.splitlines()[-1]) == (0, "acme: contract 1 is in force.")
    made = operator.run("credentials create --partner acme -o acme.key")
    assert made.code == 0
    key = (tmp_path / "acme.key").read_text().strip()
    assert (tmp_path / "acme.key").stat().st_mode & 0o777 == 0o600
    assert key not in made.out + made.err
    dev = Developer(up, key, tmp_path)
    assert dev.gw("gw $GW/v1/types/order.placed/sample > o.json").status == 200
    assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
    again = operator.run("plan -f acme.yaml")
    assert (again.code, "no change" in again.out) == (0, True)


def test_a_change_is_planned_then_applied(up: Gateway, tmp_path: Path) -> None:
    operator = begin(up, "changed", tmp_path)
    receives(tmp_path / "changed.yaml")
    assert operator.run("apply -f changed.yaml --yes").code == 0
    assert operator.run("credentials create --partner changed -o changed.key").code == 0
    dev = Developer(up, (tmp_path / "changed.key").read_text().strip(), tmp_path)
    assert dev.gw("gw $GW/v1/types/order.placed/sample > o.json").status == 200
    assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
    widen(tmp_path, name="currency", type="string", default="EUR")
    planned = operator.run("plan -f changed.yaml")
    assert (planned.code, planned.out.splitlines()[0]) == (0, "changed   contract 2 -> 3")
    for words in (
        "  ~ sends    order.placed  v1 -> v2  BACKWARD ok\n",
        '      + /currency  string, default "EUR"\n',
        # Whom it hits, and how what came lately would fare.
        "  ~ receives order.accepted  v1 -> v2  FORWARD ok  1 endpoint listens (orders), no deliveries",
        "  = sends order.placed  the newest event would still be taken\n",
    ):
        assert words in planned.out, planned.out
    assert operator.run("diff -f changed.yaml").code == 7
    applied = operator.run("apply -f changed.yaml --yes")
    assert (applied.code, applied.out.splitlines()[-1]) == (0, "changed: contract 3 is in force.")

    def told() -> list[dict[str, Any]]:
        page = dev.gw('gw "$GW/v1/stream?from=earliest&types=gateway.contract.changed"').json()
        return [one["data"] for one in page["items"] if one["data"]["revision"] == 3]

    (change,) = until(told)
    assert (change["partner"], change["previous_revision"], change["added"], change["removed"]) == (
        "changed",
        2,
        [],
        [],
    )
    assert [(one["section"], one["type"]) for one in change["changed"]] == [
        ("sends", "order.placed"),
        ("receives", "order.accepted"),
    ]
    shown = operator.run("types show order.placed -p changed --json").json()
    assert shown["directions"][0]["versions"][0]["version"] == 2
    revisions = operator.run("contract revisions changed --json").json()["items"]
    assert [one["revision"] for one in revisions] == [3, 2, 1]


def test_a_plan_finds_what_apply_would_refuse(up: Gateway, tmp_path: Path) -> None:
    operator = begin(up, "blocked", tmp_path)
    widen(tmp_path, name="vat", type="string")
    planned = operator.run("plan -f blocked.yaml")
    assert planned.code == 6
    assert "  ! sends order.placed  BACKWARD broken: /fields/4" in planned.out
    applied = operator.run("apply -f blocked.yaml --yes")
    assert (applied.code, "Nothing was changed." in applied.out) == (6, True)
    assert "--allow incompatible" in planned.err
    assert "--allow incompatible" in applied.err
    assert operator.run("contract revisions blocked --json").json()["items"][0]["revision"] == 1
    assert operator.run("apply -f blocked.yaml --allow incompatible --yes").code == 0


def test_a_leaked_key_is_ended_by_its_id_and_its_uses_are_told(up: Gateway, tmp_path: Path) -> None:
    dev = join(up, "leaked", tmp_path)
    operator = Operator(up, tmp_path)
    for number in range(2):
        dev.write("o.json", {"order_id": f"L-{number}", "lines": []})
        assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
    (leaked,) = dev.gw("gw $GW/v1/credentials").json()["items"]
    ended = operator.run(f"credentials revoke {leaked['id']} --reason leaked --since 24h --yes")
    assert ended.code == 0, ended.err
    told = dict(line.split(maxsplit=1) for line in ended.out.splitlines() if line.count("  "))
    assert (told["state"], told["reason"], told["partner"]) == ("revoked", "leaked", "leaked")
    span = datetime.fromisoformat(told["effective_by"]) - datetime.fromisoformat(told["revoked_at"])
    assert span.total_seconds() <= EFFECTIVE_SECONDS
    for words in (f"It opens nothing after {told['effective_by']}", "2 events sent with it since 24h", "L-0"):
        assert words in ended.out
    refused = dev.gw("gw $GW/v1/events/order.placed --json @o.json")
    assert (refused.status, refused.json()["code"]) == (401, "credential_revoked")
    query = "SELECT evidence FROM audit_entry WHERE kind = 'credential.changed'"
    entry = until(
        lambda: next(
            (
                one
                for (raw,) in up.rows(query)
                if (one := json.loads(expand(raw)))["credential"] == leaked["id"]
                and one["action"] == "revoked"
            ),
            None,
        )
    )
    assert (entry["reason"], entry["partner"], entry["by"]["role"]) == ("leaked", "leaked", "operator")
