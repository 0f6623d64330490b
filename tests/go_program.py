"""Whether this machine has Go and the packages of golang.org/x/mod that read a log, and how they are used."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

SOURCES: Final = Path("/usr/share/gocode")
"""Where Debian puts packages of Go."""

_PACKAGE: Final = SOURCES / "src/golang.org/x/mod/sumdb/tlog"
_PLACES: Final = ("/usr/local/go/bin/go", "/usr/lib/go/bin/go")
_CACHE: Final = Path(__file__).parents[1] / ".cache" / "go"


def _program() -> str | None:
    return shutil.which("go") or next((one for one in _PLACES if Path(one).exists()), None)


def why_go_is_missing() -> str | None:
    """Say why programs that read a log with x/mod cannot be built here; None where they can."""
    if _program() is None:
        return "Go is not installed (on Debian or Ubuntu: apt-get install golang-go)"
    if not _PACKAGE.is_dir():
        return f"{_PACKAGE} is not there (on Debian or Ubuntu: apt-get install golang-golang-x-mod-dev)"
    return None


def build(source: Path, folder: Path) -> Path:
    """Build a program of one file, without a network; what is compiled is kept for the next run."""
    path = folder / "src" / source.stem
    path.mkdir(parents=True)
    shutil.copy(source, path / "main.go")
    made, go = folder / source.stem, _program()
    assert go is not None
    settings = {"GO111MODULE": "off", "GOPATH": f"{folder}:{SOURCES}", "GOCACHE": str(_CACHE), "GOFLAGS": ""}
    ran = subprocess.run(
        [go, "build", "-o", str(made), source.stem],
        cwd=folder,
        env={**os.environ, **settings, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    return made
