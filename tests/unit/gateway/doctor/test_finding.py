from gateway.doctor.finding import Area, Level, count, format_line

DISK = Area("disk")


def test_a_line_says_level_area_what_and_how_to_mend() -> None:
    line = format_line(DISK.fault("it is full", "free some"))
    assert line.split() == ["fault", "disk", "it", "is", "full", "->", "free", "some"]


def test_what_needs_no_mending_has_no_arrow() -> None:
    assert "->" not in format_line(DISK.ok("there is room"))
    assert format_line(DISK.not_asked("nobody knows")).startswith("not asked  disk")


def test_levels_are_counted_apart() -> None:
    findings = [DISK.ok("a"), DISK.warning("b", "c"), DISK.fault("d", "e"), DISK.fault("f", "g")]
    assert [count(findings, level) for level in Level] == [1, 1, 2, 0]
