import pytest

from gateway.bootstrap.offered import verify_offered
from gateway.errors import SettingsError
from gateway.settings_sources import catalogue, load

LATER = {
    "egress.retry": "0s,5s",
    "egress.concurrency": "9",
    "egress.rate": "10",
    "retention.evidence": "1y",
}


def test_the_defaults_are_offered() -> None:
    verify_offered(load(environ={}, file=None).settings)


@pytest.mark.parametrize(("name", "value"), LATER.items())
def test_a_setting_that_would_do_nothing_refuses_to_start(name: str, value: str) -> None:
    settings = load(flags={name: value}, environ={}, file=None).settings
    with pytest.raises(SettingsError, match=name):
        verify_offered(settings)


def test_the_catalogue_marks_the_same_settings() -> None:
    assert {key.name for key in catalogue() if "not offered yet" in key.note} == LATER.keys()
