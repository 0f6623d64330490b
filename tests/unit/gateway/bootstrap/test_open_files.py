import json
import subprocess
import sys

PROGRAM = """
import json, resource
soft, hard = json.loads(input())
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from gateway.bootstrap import open_files
told = [open_files.allowed(), open_files.most_streams()]
open_files.raise_limit()
print(json.dumps([*told, resource.getrlimit(resource.RLIMIT_NOFILE)[0], open_files.most_streams()]))
"""


def limited(soft: int, hard: int) -> list[int]:
    """What is allowed, how many streams before and after, in a process with these limits."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([soft, hard]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found: list[int] = json.loads(ran.stdout)
    return found


def test_as_many_as_the_system_allows_are_taken() -> None:
    assert limited(256, 4_096) == [4_096, 64, 4_096, 3_584]
    assert limited(1_024, 1_024) == [1_024, 512, 1_024, 512]


def test_streams_leave_files_for_all_else() -> None:
    assert limited(20_000, 20_000)[1] == 8_192
