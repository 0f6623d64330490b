"""Documents that are rendered from the code say what the code says."""

from pathlib import Path

from gateway.settings_sources import format_markdown


def test_the_table_of_settings_is_that_of_the_code(root: Path) -> None:
    text = (root / "docs/settings.md").read_text(encoding="utf-8")
    assert text[text.index("| key |") :] == format_markdown()
