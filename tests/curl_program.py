"""Whether this machine has the curl that the documents' commands need."""

import re
import shutil
import subprocess
from typing import Final

_OLDEST: Final = (7, 82)
"""The first that knows `--json`."""


def why_curl_is_missing() -> str | None:
    """Say why the documents' curl commands cannot run here; None where they can."""
    program = shutil.which("curl")
    if program is None:
        return "curl is not installed (on Debian or Ubuntu: apt-get install curl)"
    ran = subprocess.run((program, "--version"), capture_output=True, text=True, check=False)
    release = re.match(r"curl (\d+)\.(\d+)", ran.stdout)
    if release is None:
        return f"{program} does not run: `curl --version` names no version"
    if (int(release[1]), int(release[2])) < _OLDEST:
        return f"{program} is {release[0]}, and the documents need {_OLDEST[0]}.{_OLDEST[1]} or newer"
    return None
