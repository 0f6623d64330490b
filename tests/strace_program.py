"""Whether this machine has a strace that may trace programs: containers often forbid it."""

import os
import shutil
import subprocess


def why_strace_is_missing() -> str | None:
    """Say why system calls cannot be made to fail here; None where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (on Debian or Ubuntu: apt-get install strace)"
    tried = subprocess.run(
        ("strace", "-o", os.devnull, "-e", "inject=getcwd:error=EIO", "true"),
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return f"strace may not trace programs here: {tried.stderr.strip()[:200]}"
    return None
