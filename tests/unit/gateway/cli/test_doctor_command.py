from tests.unit.gateway.cli.conftest import Shell


def test_settings_that_cannot_be_loaded_are_faults_and_end_with_5(shell: Shell) -> None:
    shell.environ |= {"GATEWAY_NONSENSE": "1", "GATEWAY_DATABASE__URL": "postgresql://u:geheim@db/x"}
    ended = shell.run("doctor")
    assert ended.code == 5
    assert "fault" in ended.out
    assert "GATEWAY_NONSENSE" in ended.out
    assert ended.out.splitlines()[-1] == "1 fault(s), 0 warning(s)"
    assert "geheim" not in ended.out


def test_findings_are_a_document_for_scripts(shell: Shell) -> None:
    shell.environ["GATEWAY_EGRESS__RATE"] = "10"
    ended = shell.run("doctor", "--json", "--data", str(shell.folder / "none"))
    document = ended.document()
    (told,) = [one for one in document["findings"] if one["area"] == "settings"]
    assert told == {
        "level": "fault",
        "area": "settings",
        "what": "egress.rate is not offered by this version: take it out",
        "mend": "take it out",
    }
    assert (ended.code, document["faults"] >= 1) == (5, True)


def test_what_is_not_set_up_yet_is_no_fault(shell: Shell) -> None:
    shell.environ["GATEWAY_LISTEN__PUBLIC"] = "127.0.0.1:0"
    ended = shell.run("doctor", "--data", str(shell.folder / "none"))
    assert ended.code == 0
    assert "gateway init" in ended.out
    assert ended.out.splitlines()[-1].startswith("0 fault(s)")
