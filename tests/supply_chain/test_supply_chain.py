"""The audit: locks read strictly, a bill that is the same each time, advisories that nobody can miss."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.supply_chain.__main__ import Audit, audit
from tests.supply_chain.advisories import AdvisoryError, search
from tests.supply_chain.bill import installed_licence, make_bill
from tests.supply_chain.examination import differences, installed_versions, strangers
from tests.supply_chain.lock import LockError, Package, read_lock

A, B = "a" * 64, "b" * 64
LOCK: Final = f"""\
# a line of words
psycopg[binary]==3.3.9 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
    # via partner-gateway (pyproject.toml)
tzdata==2026.6 ; sys_platform == 'win32' \\
    --hash=sha256:{A}
    # via
    #   psycopg
    #   Pyd_antic
zope.interface==1!8.0+local.1 \\
    --hash=sha256:{A}
"""
PACKAGES: Final = read_lock(LOCK)
PROJECT: Final = '[project]\nname = "partner-gateway"\nversion = "0.1.0"\n'


def test_a_lock_is_read_with_versions_digests_markers_and_who_asked() -> None:
    assert (
        Package("psycopg", "3.3.9", None, (A, B), ("partner-gateway",)),
        Package("tzdata", "2026.6", "sys_platform == 'win32'", (A,), ("psycopg", "pyd-antic")),
        Package("zope-interface", "1!8.0+local.1", None, (A,), ()),
    ) == PACKAGES
    assert PACKAGES[2].purl == "pkg:pypi/zope-interface@1%218.0%2Blocal.1"
    assert not PACKAGES[1].is_wanted(sys_platform="linux")
    assert PACKAGES[1].is_wanted(sys_platform="win32")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aiohttp>=3 \\\n    --hash=sha256:" + A, "no exact pin"),
        ("aiohttp==3.1.*\\\n    --hash=sha256:" + A, "no exact pin"),
        ("aiohttp @ file:///tmp/x \\\n    --hash=sha256:" + A, "no exact pin"),
        ("-r other.txt\n", "no exact pin"),
        ("aiohttp==3.1\n", "no --hash"),
        ("aiohttp==3.1 \\\n    --hash=md5:" + A, "no --hash"),
        ("aiohttp==3.1 ; nonsense \\\n    --hash=sha256:" + A, "aiohttp==3.1"),
        (f"a==1 \\\n    --hash=sha256:{A}\nA==1 \\\n    --hash=sha256:{A}", "twice"),
    ],
)
def test_what_is_no_exact_pin_with_digests_is_refused(text: str, told: str) -> None:
    with pytest.raises(LockError, match=told):
        read_lock(text)


def licence(name: str) -> Mapping[str, Any] | None:
    told: dict[str, Mapping[str, Any]] = {
        "psycopg": {"expression": "LGPL-3.0-only"},
        "tzdata": {"names": ["Apache", "MIT"]},
    }
    return told.get(name)


def test_a_bill_names_what_is_in_the_lock_and_is_the_same_each_time() -> None:
    text = make_bill("partner-gateway", "0.1.0", PACKAGES, licence)
    assert text == make_bill("partner-gateway", "0.1.0", PACKAGES[::-1], licence)
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    first, second, third = bill["components"]
    assert first == {
        "type": "library",
        "bom-ref": "pkg:pypi/psycopg@3.3.9",
        "name": "psycopg",
        "version": "3.3.9",
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": A}, {"alg": "SHA-256", "content": B}],
        "licenses": [{"expression": "LGPL-3.0-only"}],
        "purl": "pkg:pypi/psycopg@3.3.9",
    }
    assert second["licenses"] == [{"license": {"name": "Apache"}}, {"license": {"name": "MIT"}}]
    assert second["properties"] == [{"name": "python:marker", "value": "sys_platform == 'win32'"}]
    assert "licenses" not in third
    graph = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert graph["pkg:pypi/partner-gateway@0.1.0"] == ["pkg:pypi/psycopg@3.3.9"]
    assert graph["pkg:pypi/psycopg@3.3.9"] == ["pkg:pypi/tzdata@2026.6"]
    refs = [one["bom-ref"] for one in (bill["metadata"]["component"], *bill["components"])]
    assert sorted(graph) == sorted(refs)


def test_another_lock_has_another_serial_number() -> None:
    bills = [json.loads(make_bill("p", "1", one, licence)) for one in (PACKAGES, PACKAGES[:2])]
    assert bills[0]["serialNumber"] != bills[1]["serialNumber"]


def test_licences_are_those_that_packages_name() -> None:
    assert installed_licence("partner-gateway") == {"expression": "Apache-2.0"}
    assert installed_licence("there-is-no-such-package") is None


def test_an_environment_that_is_not_the_lock_is_told() -> None:
    there = {"psycopg": "3.3.9", "zope-interface": "8.0", "stranger": "1", "pip": "23"}
    (found,) = differences(PACKAGES, there)
    assert found == "zope-interface is installed as 8.0, the lock says 1!8.0+local.1: make setup"
    assert strangers(PACKAGES, there) == ("stranger 1",)
    assert any("psycopg" in one and "not installed" in one for one in differences(PACKAGES, {}))


def advisory(name: str = "psycopg", **more: Any) -> dict[str, Any]:
    affected = {"package": {"ecosystem": "PyPI", "name": name}, **more}
    return {
        "id": "PYSEC-1",
        "modified": "2026-11-20T00:00:00Z",
        "aliases": ["CVE-2026-1"],
        "summary": "Reads too far.",
        "affected": [affected],
    }


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": [{word: version} for word, version in pairs]}]}


def found_in(folder: Path, *told: Mapping[str, Any]) -> list[str]:
    for number, one in enumerate(told):
        (folder / f"{number}.json").write_text(json.dumps(one))
    return [str(one) for one in search(folder, PACKAGES).findings]


@pytest.mark.parametrize(
    "of",
    [
        events(("introduced", "0")),
        events(("introduced", "3.3"), ("fixed", "3.3.10")),
        events(("introduced", "3.3.9")),
        events(("introduced", "0"), ("last_affected", "3.3.9")),
        events(("fixed", "2"), ("introduced", "0"), ("introduced", "3")),
        events(("introduced", "0"), ("fixed", "1"), ("introduced", "3.3.9rc1"), ("fixed", "3.3.9.post1")),
        {"versions": ["1", "3.3.9.0"]},
        {"versions": ["not a version", "3.3.9"], **events(("introduced", "9"))},
        {},
    ],
)
def test_a_version_that_an_advisory_names_is_found(tmp_path: Path, of: dict[str, Any]) -> None:
    (found,) = found_in(tmp_path, advisory(**of))
    assert found.startswith("psycopg 3.3.9: PYSEC-1 (CVE-2026-1): Reads too far.; ")


@pytest.mark.parametrize(
    "of",
    [
        events(("introduced", "0"), ("fixed", "3.3.9")),
        events(("introduced", "3.3.10")),
        events(("introduced", "0"), ("last_affected", "3.3.8")),
        events(("introduced", "0"), ("fixed", "1"), ("introduced", "4"), ("fixed", "5")),
        {"versions": ["3.3.8"], **events(("introduced", "0"), kind="GIT")},
    ],
)
def test_any_other_version_is_not(tmp_path: Path, of: dict[str, Any]) -> None:
    assert found_in(tmp_path, advisory(**of)) == []


def test_names_are_compared_as_the_index_does_and_others_ecosystems_are_not_ours(tmp_path: Path) -> None:
    other = advisory("psycopg")
    other["affected"][0]["package"]["ecosystem"] = "Debian"
    withdrawn = {**advisory("psycopg"), "withdrawn": "2026-01-01T00:00:00Z"}
    told = found_in(tmp_path, other, withdrawn, advisory("psycopg2"), advisory("Zope.Interface"))
    assert [one.partition(":")[0] for one in told] == ["zope-interface 1!8.0+local.1"]


def test_advisories_in_yaml_are_found_in_folders_below(tmp_path: Path) -> None:
    place = tmp_path / "vulns" / "psycopg"
    place.mkdir(parents=True)
    (place / "PYSEC-1.yaml").write_text(
        yaml.safe_dump(advisory(**events(("introduced", "0"), ("fixed", "4"))))
    )
    searched = search(tmp_path, PACKAGES)
    assert (searched.read, searched.newest) == (1, "2026-11-20T00:00:00Z")
    assert str(searched.findings[0]).endswith("fixed in 4")


@pytest.mark.parametrize(
    "text",
    [
        '{"affected": [{"package": {"name": "psycopg", "ecosystem": "PyPI"}}]}',
        '{"id": "X", "affected": [{"package": {"name": "psycopg", "ecosystem": "PyPI"}, "ranges": [{}]}]}',
        '{"id": "X", "affected": ["psycopg"]}',
        '{"id": "X", "affected": 7, "summary": "psycopg"}',
        '{"affected": psycopg',
        '{"id": "X", "affected": [{"package": {"name": "psycopg", "ecosystem": "PyPI"}, "versions": 3}]}',
    ],
)
def test_an_advisory_of_ours_that_cannot_be_read_is_no_good_news(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(AdvisoryError, match=r"one\.json"):
        search(tmp_path, PACKAGES)


def test_a_folder_without_advisories_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text("{}")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(AdvisoryError, match="OSV"):
            search(folder, PACKAGES)


def audited(folder: Path, database: Path | None, **installed: str) -> tuple[int, str]:
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text(LOCK)
    (folder / "pyproject.toml").write_text(PROJECT)
    said: list[str] = []
    there = {"psycopg": "3.3.9", "zope-interface": "1!8.0+local.1", **installed}
    code = audit(Audit(folder, database, folder / "new" / "bill.json", there), said.append)
    return code, "\n".join(said)


def test_without_a_database_it_says_so_and_writes_the_bill(tmp_path: Path) -> None:
    code, said = audited(tmp_path, None)
    assert code == 0
    assert "WARNING: no advisory database is reachable" in said
    assert "3 packages, each pinned to one version and to digests" in said
    assert json.loads((tmp_path / "new" / "bill.json").read_text())["bomFormat"] == "CycloneDX"


def test_with_one_it_fails_by_what_is_known(tmp_path: Path) -> None:
    database = tmp_path / "advisories"
    database.mkdir()
    (database / "1.json").write_text(json.dumps(advisory(**events(("introduced", "9")))))
    code, said = audited(tmp_path, database)
    assert (code, "none is about a version of ours" in said, "WARNING" in said) == (0, True, False)
    (database / "2.json").write_text(json.dumps(advisory(**events(("introduced", "0"), ("fixed", "4")))))
    code, said = audited(tmp_path, database)
    assert code == 1
    assert "FAILED: psycopg 3.3.9: PYSEC-1" in said
    code, said = audited(tmp_path, tmp_path / "nowhere")
    assert (code, "is no folder" in said) == (1, True)


def test_what_differs_from_the_lock_fails(tmp_path: Path) -> None:
    code, said = audited(tmp_path, None, psycopg="3.3.8")
    assert (code, "FAILED: psycopg is installed as 3.3.8" in said) == (1, True)


def test_the_locks_of_this_checkout_are_read_and_are_what_is_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply_chain", "--bill", str(tmp_path / "bill.json")],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lock = read_lock(Path("requirements.txt").read_text())
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert [one["purl"] for one in bill["components"]] == [
        one.purl for one in sorted(lock, key=lambda p: p.name)
    ]
    assert "cryptography" in installed_versions()


def test_a_version_that_is_none_in_an_advisory_of_ours_is_no_good_news(tmp_path: Path) -> None:
    with pytest.raises(AdvisoryError, match="PYSEC-1 is not in the OSV format"):
        found_in(tmp_path, advisory(**events(("introduced", "x y"))))
