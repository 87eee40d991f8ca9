"""`tests/slow_cases.txt`: its lines are cases that there are."""

import pathlib

TESTS = pathlib.Path(__file__).parent


def test_every_line_names_a_test_that_there_is():
    lines = (TESTS / "slow_cases.txt").read_text().splitlines()
    assert lines == sorted(set(lines))
    for line in lines:
        path, name = line.split("::", 1)
        assert f"def {name.partition('[')[0]}(" in (TESTS.parent / path).read_text(), line
