"""On a trained model, where no truth is known, estimators of log p(x) must agree within their errors."""

import numpy as np
import pytest

from tfvae import config as config_lib
from tfvae.training import WorkDir, evaluate_run, train

pytestmark = pytest.mark.slow  # minutes


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = config_lib.from_file("configs/digits.py")
    config.training.num_epochs = 60
    workdir = str(tmp_path_factory.mktemp("digits"))
    train(config, workdir, verbose=False)
    return WorkDir(workdir)


def test_estimators_agree_on_the_test_split(run):
    many = evaluate_run(run, settings={"num_samples": 20_000}, measures="none")
    for other in ("ais", "hmc_density"):
        found = evaluate_run(run, estimator=other)
        error = np.hypot(found["log_likelihood_monte_carlo_error"], many["log_likelihood_monte_carlo_error"])
        assert abs(found["log_likelihood"] - many["log_likelihood"]) < 4 * error + 0.02


def test_the_bracket_holds_the_others(run):
    found = evaluate_run(run, estimator="bdmc")
    assert 0 < found["gap"] + 4 * found["upper_bound_monte_carlo_error"] < 0.3
    for other in ("importance", "ais"):
        error = 4 * np.hypot(found[other]["log_likelihood_monte_carlo_error"], found["lower_bound_monte_carlo_error"])
        assert found["lower_bound"] - error < found[other]["log_likelihood"] < found["upper_bound"] + error
