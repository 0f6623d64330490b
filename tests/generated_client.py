"""A Python client that OpenAPI Generator makes of our document, and a program that uses it as partners do.

The generator comes from Maven by `tests/generator/pom.xml`, once, into `.cache/generator/` of the work tree;
what is there is used only while its digest is the one below.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent
_POM: Final = _ROOT / "tests" / "generator" / "pom.xml"
_JAR: Final = _ROOT / ".cache" / "generator" / "generator.jar"
_SHA256: Final = "e03186835022ca02da4aa95e3967b6a3b6d44c2e5f7606e6d5c22466f519c757"
_PARTS: Final = "models,apis,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false"

PROGRAM: Final = """\
import sys

import partner_client
from partner_client.models import OrderPlacedData

origin, key = sys.argv[1:]
configuration = partner_client.Configuration(host=origin, access_token=key)
with partner_client.ApiClient(configuration) as client:
    send, history = partner_client.SendApi(client), partner_client.HistoryApi(client)
    order = OrderPlacedData(order_id="G-1", customer="c", qty=3)
    first = send.send_order_placed(order)
    again = send.send_order_placed(order).actual_instance
    assert not first.duplicate and again.duplicate and first.receipt == again.receipt
    found = history.list_history(id="G-1")
    assert [one.ref for one in found.items] == [first.ref], found
    try:
        history.show_event("evt_" + "a" * 52)
    except partner_client.ApiException as error:
        print(first.ref, error.data.code)
"""


def fetch_generator() -> Path:
    """The generator's jar; fetched where there is none, or another."""
    if not _JAR.exists() or _digest(_JAR) != _SHA256:
        _JAR.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_JAR.parent) as made:
            order = ("mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies")
            _run(*order, f"-DoutputDirectory={made}", "-DexcludeTransitive=true")
            [jar] = Path(made).glob("*.jar")
            if _digest(jar) != _SHA256:
                raise RuntimeError(f"{jar.name} is not the generator that it was: SHA-256 {_digest(jar)}")
            jar.replace(_JAR)
    return _JAR


def make_client(document: Path, folder: Path) -> Path:
    """The folder with the package `partner_client`, made of a document."""
    java = ("java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-jar", str(fetch_generator()), "generate")
    made = folder / "client"
    options = ("--package-name", "partner_client", "--global-property", _PARTS)
    _run(*java, "-g", "python", "-i", str(document), "-o", str(made), *options)
    return made


def use_client(package: Path, origin: str, key: str) -> str:
    """What the program says; warnings are errors in it."""
    environ = {**os.environ, "PYTHONPATH": str(package), "no_proxy": "127.0.0.1"}
    return _run(sys.executable, "-W", "error", "-c", PROGRAM, origin, key, environ=environ)


def _run(*order: str, environ: dict[str, str] | None = None) -> str:
    program = shutil.which(order[0])
    if program is None:
        raise RuntimeError(f"{order[0]} is not installed")
    ran = subprocess.run(
        (program, *order[1:]), capture_output=True, text=True, check=False, timeout=110, env=environ
    )
    if ran.returncode:
        raise AssertionError(
            f"{order[0]} ended with {ran.returncode}:\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
        )
    return ran.stdout


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
