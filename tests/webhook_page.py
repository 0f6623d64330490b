"""The verifier of docs/webhooks.md, as a receiver copies it."""

import re
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text()


def verifier() -> dict[str, Any]:
    """The names that the page's code defines."""
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    space: dict[str, Any] = {}
    exec(compile(found[1], "docs/webhooks.md", "exec"), space)  # noqa: S102 - the page's own code
    return space
