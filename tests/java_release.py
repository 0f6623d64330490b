"""Which Java is there, and whether Kafka runs on it. The whole check of a bare machine asks this before any
package is installed: the standard library alone.
"""

import re
import shutil
import subprocess

_OLDEST_JAVA = 17
_INSTALL = "on Debian or Ubuntu: apt-get install openjdk-17-jre-headless"


def why_java_is_missing() -> str | None:
    """Say why the `java` that is found first cannot run Kafka; None where it can. `.ci/run` asks it, too."""
    program = shutil.which("java")
    if program is None:
        return f"java is not installed ({_INSTALL} maven)"
    ran = subprocess.run((program, "-version"), capture_output=True, text=True, check=False)
    release = parse_java_release(ran.stderr + ran.stdout)
    if ran.returncode or release is None:
        return f"{program} does not run: `java -version` names no version ({_INSTALL})"
    if release < _OLDEST_JAVA:
        return f"{program} is Java {release}, and Kafka needs {_OLDEST_JAVA} or newer ({_INSTALL})"
    return None


def parse_java_release(said: str) -> int | None:
    """The release that `java -version` names: 17 in "17.0.15", 8 in "1.8.0_392"; None where it names none."""
    found = re.search(r'\bversion "(?:1\.)?(\d+)', said)
    return None if found is None else int(found[1])
