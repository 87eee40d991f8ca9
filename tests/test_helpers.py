import pytest

from tests.helpers import needs


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_proof_that_cannot_be_given_is_skipped_but_fails_in_ci(monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    needs("numpy")
    with pytest.raises(outcome, match="^no_such_package, no_other: not installed$"):
        needs("numpy", "no_such_package", "no_other")
