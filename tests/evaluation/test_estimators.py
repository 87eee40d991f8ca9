"""Every estimator of log p(x) against the truth, and against each other where no truth is known."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tests.helpers import Examples, binary_data, small_vae
from tests.linear_gaussian import ITEM, LOG_P, NOISE, WRONG, B, W, X, make_vae
from tests.test_conditional import conditional_vae
from tfvae import VAE, likelihoods, posteriors, priors, random
from tfvae.errors import InputError
from tfvae.evaluation import AIS, BDMC, Estimator, HMCDensity, Importance, annealing, estimate, importance
from tfvae.evaluation.estimators import base, hmc_density

CHAINS = {"num_chains": 24, "num_temperatures": 120, "num_leapfrog_steps": 3}
ESTIMATORS = {
    "importance": Importance(num_samples=2_000),
    "ais": AIS(**CHAINS),
    "ais from q": AIS(**CHAINS, start="posterior"),
    "hmc_density": HMCDensity(num_chains=8, num_samples=100, num_burnin_steps=60, num_leapfrog_steps=4),
}


@pytest.fixture(autouse=True)
def without_xla(monkeypatch):
    """Compiling takes seconds each time."""
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: False)


@pytest.fixture(scope="module")
def linear():
    """A linear-Gaussian VAE whose encoder is off by a third of a nat."""
    return make_vae(**WRONG)


def off_by(summary, truth, name="log_likelihood"):
    """How many of its stated errors a mean is off the truth."""
    return abs(summary[name] - truth) / summary[f"{name}_monte_carlo_error"]


def is_right(vae, estimator, truth=LOG_P, split=None):
    """Whether the mean and each example are within four of the errors that the estimator states, and these small."""
    result = estimate(vae, split or Examples(X), estimator)
    each = np.abs(result.columns["log_likelihood"] - truth) / np.sqrt(result.columns["monte_carlo_variance"])
    # An error that is large covers anything.
    small = result.summary["log_likelihood_monte_carlo_error"] < 0.06
    return small and off_by(result.summary, truth.mean()) < 4 and each.max() < 5


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_truth_is_within_the_stated_error(linear, name):
    assert is_right(linear, ESTIMATORS[name])


WRONG_CODE = {
    "importance, the sign of log q": ("importance", importance, "log_ratio_of", lambda right: lambda *a: -right(*a)),
    "ais, a weight": ("ais", annealing, "inverse_temperatures", lambda right: lambda n: right(n) * 0.9),
    "ais, a sign": ("ais", annealing.Path, "log_gain", lambda right: lambda *a: -right(*a)),
    "ais from q, a term": (
        "ais from q", annealing.Path, "log_gain", lambda right: lambda self, y: right(self, y) - self.log_start(y)
    ),
    "hmc_density, the cut-off left out": ("hmc_density", hmc_density, "_squared_radius", lambda right: lambda *a: 1e9),
    "hmc_density, a sign": ("hmc_density", base, "log_mean", lambda right: lambda values: -right(values)),
}  # fmt: skip


LONG = ("hmc_density, the cut-off left out", "ais from q, a term", "ais, a weight")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in WRONG_CODE]
)
def test_a_wrong_weight_or_sign_is_seen(linear, monkeypatch, name):
    """The test above can fail: the very code that it holds to the truth, made wrong."""
    estimator, place, attribute, wrong = WRONG_CODE[name]
    monkeypatch.setattr(place, attribute, wrong(getattr(place, attribute)))
    assert not is_right(linear, ESTIMATORS[estimator])


def simulated(vae, estimator, count):
    """The x that `BDMC` makes of the first block of rows, and their log p(x)."""
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(estimator.rows_at_once(vae), dtype=tf.int64))
    x = estimator.simulate(vae, keys)[1].numpy()[:count]
    return scipy.stats.multivariate_normal.logpdf(x, B, W @ W.T + NOISE**2 * np.eye(ITEM))


@pytest.fixture(scope="module", params=["prior", pytest.param("posterior", marks=pytest.mark.slow)])
def bracket(linear, request):
    """A run of BDMC on 40 simulated examples, and their exact log p(x)."""
    estimator = BDMC(num_chains=8, num_temperatures=120, num_leapfrog_steps=3, start=request.param, num_samples=2_000)
    return estimate(linear, Examples(np.tile(X, [7, 1])[:40]), estimator), simulated(linear, estimator, 40)


def test_bdmc_holds_the_truth_between_its_bounds(bracket):
    result, truth = bracket
    found = result.summary
    assert found["num_examples"] == 40 and found["simulated"] is True
    for name in ("lower_bound", "upper_bound", "log_likelihood"):
        assert off_by(found, truth.mean(), name) < 4, name
        assert found[f"{name}_monte_carlo_error"] < 0.05
    assert found["lower_bound"] <= truth.mean() + 3 * found["lower_bound_monte_carlo_error"]
    assert found["upper_bound"] >= truth.mean() - 3 * found["upper_bound_monte_carlo_error"]
    assert found["gap"] == found["upper_bound"] - found["lower_bound"]
    assert abs(found["gap"]) < 0.25
    for other in ("importance", "ais"):
        assert off_by(found[other], truth.mean()) < 4, other
    assert found["ais"]["log_likelihood"] != found["lower_bound"], "another run, not the same again"


# The chains back alone made wrong: forward ones begin at beta = 0.
WRONG_WAY_BACK = {
    "not reversed": lambda right: (
        lambda path, y, betas, steps, seed: right(path, y, betas if betas[0] < 0.5 else betas[::-1], steps, seed)
    ),
    "a sign": lambda right: (
        lambda path, y, betas, steps, seed: (
            right(path, y, betas, steps, seed) if betas[0] < 0.5 else (-right(path, y, betas, steps, seed)[0], 0.0)
        )
    ),
    "a shorter path": lambda right: (
        lambda path, y, betas, steps, seed: right(path, y, betas if betas[0] < 0.5 else betas * 0.9, steps, seed)
    ),
}


@pytest.mark.parametrize(
    "name", [name if name == "a sign" else pytest.param(name, marks=pytest.mark.slow) for name in WRONG_WAY_BACK]
)
def test_a_wrong_way_back_is_seen(linear, monkeypatch, name):
    monkeypatch.setattr(annealing, "anneal", WRONG_WAY_BACK[name](annealing.anneal))
    estimator = BDMC(num_chains=8, num_temperatures=40, num_leapfrog_steps=2, num_samples=50)
    found = estimate(linear, Examples(np.tile(X, [2, 1])), estimator).summary
    assert off_by(found, simulated(linear, estimator, 12).mean(), "upper_bound") > 4


@pytest.mark.parametrize("tag", ["importance", "ais"])
@pytest.mark.parametrize(("shift", "bound"), [(-9.0, "lower_bound"), (9.0, "upper_bound")])
def test_an_estimator_outside_the_bracket_is_told_of(bracket, linear, tag, shift, bound):
    result, _ = bracket
    estimator = BDMC(num_samples=2_000)
    column = f"log_likelihood_{tag}"
    off = {**result.columns, column: result.columns[column] + shift}
    told = [text for text in estimator.warnings(linear, off) if "lies" in text]
    assert len(told) == 1 and told[0].startswith(f"{tag} lies ") and f"beyond its {bound}" in told[0]
    assert not any("lies" in text for text in estimator.warnings(linear, result.columns))
    # An error that is not known tells of nothing.
    unknown = {**off, f"monte_carlo_variance_{tag}": np.full_like(off[column], np.nan)}
    assert not any("lies" in text for text in estimator.warnings(linear, unknown))


WRONG_SETTINGS = [
    (Importance(num_samples=0), "num_samples: received 0, expected a number at least 1"),
    (AIS(num_temperatures=0), "num_temperatures: received 0"),
    (AIS(num_chains=0), "num_chains: received 0"),
    (AIS(start="middle"), "start: received 'middle', expected one of: prior, posterior"),
    (HMCDensity(num_chains=1), "num_chains: received 1, expected a number at least 2"),
    (HMCDensity(mass=1.5), "mass: received 1.5"),
]


@pytest.mark.parametrize(("estimator", "message"), WRONG_SETTINGS)
def test_settings_out_of_their_limits_are_refused(linear, estimator, message):
    with pytest.raises(InputError, match=message):
        estimate(linear, Examples(X), estimator)


def test_grey_has_no_mass():
    grey = Examples(np.full((3, 6, 5, 1), 0.5, np.float32))
    with pytest.raises(
        InputError, match=r"data.source, test split: received grey pixels \(such as 0.5\) for a Bernoulli"
    ):
        estimate(small_vae(), grey, Importance(num_samples=2))


def test_with_few_temperatures_the_bracket_is_wide_and_still_holds(linear):
    estimator = BDMC(num_chains=2, num_temperatures=3, num_leapfrog_steps=1, num_samples=10)
    found = estimate(linear, Examples(np.tile(X, [9, 1])[:50]), estimator).summary
    truth = simulated(linear, estimator, 50).mean()
    assert found["lower_bound"] < truth < found["upper_bound"] and found["gap"] > 0.3


# A weight is an unbiased estimate of p(x), and its error is what it says -----------


@pytest.fixture(scope="module")
def many(linear):
    """600 independent estimates of one log p(x), by settings that leave some noise."""
    x = Examples(np.tile(X[:1], [600, 1]))
    few = {"num_chains": 8, "num_temperatures": 40, "num_leapfrog_steps": 3}
    made = {"importance": Importance(num_samples=8), "ais": AIS(**few), "ais from q": AIS(**few, start="posterior")}
    return {name: estimate(linear, x, estimator).columns for name, estimator in made.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["importance", "ais", "ais from q"])
def test_the_mean_weight_is_unbiased(many, name):
    weights = np.exp(many[name]["log_likelihood"] - LOG_P[0])
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(600)
    assert weights.std() > 0.05, "settings that leave noise"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["importance", "ais", "ais from q"])
def test_the_stated_error_is_the_spread(many, name):
    spread = many[name]["log_likelihood"].std()
    stated = np.sqrt(many[name]["monte_carlo_variance"].mean())
    assert 0.6 < stated / spread < 1.4


def test_the_error_of_hmc_density_is_the_spread(linear):
    estimator = HMCDensity(num_chains=4, num_samples=30, num_burnin_steps=40, num_leapfrog_steps=4)
    found = estimate(linear, Examples(np.tile(X[:1], [200, 1])), estimator).columns
    spread, stated = found["log_likelihood"].std(), np.sqrt(found["monte_carlo_variance"].mean())
    assert 0.6 < stated / spread < 1.5
    assert abs(found["log_likelihood"].mean() - LOG_P[0]) < 4 * spread / np.sqrt(200) + spread**2


# Any prior, support and label -----------------------------------------------------


MODELS = {
    "uniform": (posteriors.Kumaraswamy(), priors.StandardUniform()),
    "gamma": (posteriors.Gamma(), priors.Gamma(concentration=2.0)),
    "log_normal": (posteriors.LogNormal(), priors.StandardLogNormal()),
    "dirichlet": (posteriors.Dirichlet(), priors.SymmetricDirichlet(concentration=2.0)),
    "mixture": (posteriors.Normal(), priors.MixtureOfNormals(num_components=3)),
    "vamp": (posteriors.Normal(), priors.VampPrior(num_pseudo_inputs=4)),
    "vamp, positive": (posteriors.Gamma(), priors.VampPrior(num_pseudo_inputs=4)),
    "flow": (posteriors.CouplingFlow(), priors.CouplingFlow()),
    "autoregressive": (posteriors.Normal(), priors.AutoregressiveFlow()),
}
DATA = binary_data(3)


def telling(posterior, prior, *, wider=0.0):
    """A model whose x says much about z; `wider` is added to the raw scales of a posterior of two parameters."""
    vae = small_vae(posterior=posterior, prior=prior, examples=lambda count: binary_data(count, seed=1))
    vae.decoder.set_weights([2.5 * weight for weight in vae.decoder.get_weights()])
    if wider:
        vae.encoder.trainable_weights[-1].assign_add([0.0] * vae.latent_size + [wider] * vae.latent_size)
    return vae


QUICK = {"dirichlet"}
SUPPORTS = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


@pytest.mark.parametrize("name", SUPPORTS)
def test_estimators_agree_whatever_the_support(name):
    # Samples of a q narrower than p(z|x), whose tail is heavy, would be no reference.
    vae = telling(*MODELS[name], wider=1.0 if name == "log_normal" else 0.0)
    truth = estimate(vae, Examples(DATA), Importance(num_samples=20_000)).columns
    assert truth["effective_sample_size"].min() > 20
    for estimator in (
        AIS(num_chains=16, num_temperatures=120, num_leapfrog_steps=3),
        HMCDensity(num_chains=16, num_samples=60, num_burnin_steps=60, num_leapfrog_steps=4),
    ):
        found = estimate(vae, Examples(DATA), estimator).columns
        error = np.sqrt(found["monte_carlo_variance"] + truth["monte_carlo_variance"])
        assert error.max() < 0.8
        np.testing.assert_array_less(np.abs(found["log_likelihood"] - truth["log_likelihood"]), 4.5 * error + 0.02)


@pytest.mark.slow
def test_a_conditional_model_is_estimated_given_its_labels():
    labels, vae = np.array([0, 1, 2] * 2), conditional_vae()
    x = binary_data(len(labels), vae.item_shape)
    vae.decoder.set_weights([2.5 * weight for weight in vae.decoder.get_weights()])
    truth, other = (
        estimate(vae, Examples(x, given % vae.num_labels), Importance(num_samples=5_000)).columns["log_likelihood"]
        for given in (labels, labels + 1)
    )
    found = estimate(vae, Examples(x, labels % vae.num_labels), AIS(num_chains=16, num_temperatures=80)).columns
    error = 4 * np.sqrt(found["monte_carlo_variance"]) + 0.1
    np.testing.assert_array_less(np.abs(found["log_likelihood"] - truth), error)
    assert np.any(np.abs(truth - other) > 2 * error), "labels count"
    assert np.isfinite(
        estimate(
            vae, Examples(x, labels % vae.num_labels), BDMC(num_chains=2, num_temperatures=10, num_samples=50)
        ).summary["gap"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "likelihood",
    [likelihoods.Gaussian(), likelihoods.Poisson(), likelihoods.DiscretizedLogistic()],
    ids=lambda p: p.tag,
)
def test_the_bracket_holds_for_other_likelihoods(likelihood):
    vae = small_vae((3, 2, 1), likelihood=likelihood)
    x = Examples(np.zeros([40, 3, 2, 1], np.float32))
    found = estimate(vae, x, BDMC(num_chains=4, num_temperatures=40, num_samples=500)).summary
    error = 4 * np.hypot(found["lower_bound_monte_carlo_error"], found["upper_bound_monte_carlo_error"])
    assert -error < found["gap"] < 0.2 + error
    assert found["lower_bound"] - error < found["ais"]["log_likelihood"] < found["upper_bound"] + error
    # Its encoder has learned nothing, so that the importance-weighted bound may be loose.
    assert found["importance"]["log_likelihood"] < found["upper_bound"] + error


# What a run says -------------------------------------------------------------------


def test_averages(linear):
    result = estimate(linear, Examples(X), Importance(num_samples=50), num_levels=256, seed=3)
    found, columns = result.summary, result.columns
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    np.testing.assert_allclose(found["log_likelihood"], columns["log_likelihood"].mean())
    np.testing.assert_allclose(
        found["log_likelihood_standard_error"], columns["log_likelihood"].std(ddof=1) / np.sqrt(len(X))
    )
    np.testing.assert_allclose(
        found["log_likelihood_monte_carlo_error"], np.sqrt(columns["monte_carlo_variance"].sum()) / len(X)
    )
    assert (found["estimator"], found["settings"], found["seed"]) == ("importance", {"num_samples": 50}, 3)
    np.testing.assert_allclose(found["bits_per_dim"], 8 - found["log_likelihood"] / ITEM / np.log(2))
    assert all(len(column) == len(X) for column in columns.values())


def test_the_effective_sample_size(linear):
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(6))
    found = importance.importance_estimate(linear, tf.constant(X), keys, num_samples=30, chunk_size=7)
    singles = []
    for k in range(30):
        q = linear.encode(X)
        z = q.loc + q.scale.matvec(random.normals(keys, 2, first_sample=k)[0])
        singles.append(linear.decode(z).log_prob(X) + linear.prior.log_prob(z) - q.log_prob(z))
    weights = scipy.special.softmax(np.array(singles, np.float64), axis=0)
    np.testing.assert_allclose(found.effective_sample_size, 1 / (weights**2).sum(axis=0), rtol=1e-4)


def test_one_sample_has_no_monte_carlo_error(linear):
    found = estimate(linear, Examples(X), Importance(num_samples=1)).summary
    assert found["log_likelihood_monte_carlo_error"] is None and found["log_likelihood_standard_error"] > 0


def test_degenerate_weights_are_said():
    far = make_vae(shift=5.0)
    found = estimate(far, Examples(X), Importance(num_samples=100)).summary
    assert "the weights have degenerated for 6 of 6 examples" in found["warnings"][0]
    assert not estimate(make_vae(), Examples(X), Importance(num_samples=100)).summary["warnings"]


def test_chains_that_stand_still_or_disagree_are_said(linear, monkeypatch):
    monkeypatch.setattr(annealing, "warm_up", lambda path, y, betas, seed: tf.fill([len(betas), 6], 100.0))
    monkeypatch.setattr(AIS, "rows_at_once", lambda self, vae: 6)
    found = estimate(linear, Examples(X), AIS(num_chains=8, num_temperatures=3)).summary["warnings"]
    assert "fewer than 20 % of the transitions" in found[0] and "one of 8 chains has most of the weight" in found[1]
    apart = HMCDensity(num_chains=4, num_samples=2, num_burnin_steps=1, num_leapfrog_steps=1)
    assert "have not come to one distribution" in estimate(linear, Examples(X), apart).summary["warnings"][0]


def test_many_latents_are_said_to_be_too_many_for_appendix_d():
    vae = small_vae(latent_size=5)
    found = HMCDensity(num_chains=2, num_samples=2, num_burnin_steps=1, num_leapfrog_steps=1)
    assert any("fewer than five latents" in text for text in estimate(vae, Examples(DATA), found).summary["warnings"])


@pytest.mark.parametrize("name", ["importance", pytest.param("ais", marks=pytest.mark.slow), "hmc_density"])
def test_results_are_those_of_the_seed(linear, name):
    small = {"importance": {"num_samples": 3}, "ais": {"num_temperatures": 4, "num_chains": 2},
             "hmc_density": {"num_chains": 2, "num_samples": 4, "num_burnin_steps": 3}}[name]  # fmt: skip
    made = Estimator.registry[name](**small)
    first, again, other = (
        estimate(linear, Examples(X), made, seed=seed).columns["log_likelihood"] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.all(first != other)


@pytest.mark.slow
def test_under_xla_the_truth_is_found_too(linear, monkeypatch):
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: True)
    assert is_right(linear, dataclasses.replace(ESTIMATORS["ais"], num_temperatures=80))


def test_the_schedule_rises_from_0_to_1():
    for count in (1, 2, 50):
        betas = annealing.inverse_temperatures(count)
        assert len(betas) == count + 1 and betas[0] == 0.0 and betas[-1] == 1.0 and np.all(np.diff(betas) > 0)
    np.testing.assert_allclose(betas, 1 - betas[::-1], atol=1e-12)


def test_step_sizes_come_to_the_acceptance_asked_for(linear):
    found = estimate(linear, Examples(X), AIS(num_chains=8, num_temperatures=200)).columns["acceptance"]
    assert np.all((found > 0.5) & (found < 0.85))


# Going on where a run was interrupted ------------------------------------------------


class Stop(Exception):  # noqa: N818
    """An interruption."""


def stop_after(count, told):
    def progress(done, total):
        told.append((done, total))
        if len(told) == count:
            raise Stop

    return progress


@pytest.mark.parametrize("estimator", [Importance(num_samples=5)])
def test_a_run_goes_on_where_it_was_interrupted(linear, tmp_path, estimator):
    path, told = str(tmp_path / "partial.npz"), []
    whole = estimate(linear, Examples(X), estimator, batch_size=2)
    with pytest.raises(Stop):
        estimate(linear, Examples(X), estimator, batch_size=2, partial=path, progress=stop_after(2, told))
    again = estimate(
        linear, Examples(X), estimator, batch_size=2, partial=path, progress=lambda *args: told.append(args)
    )
    assert told == [(0, 6), (2, 6), (2, 6), (4, 6), (6, 6)]
    assert again.summary == whole.summary
    # What is done stays until its owner removes it: a call after the end finds all of it.
    told.clear()
    at_once = estimate(
        linear, Examples(X), estimator, batch_size=2, partial=path, progress=lambda *args: told.append(args)
    )
    assert told == [(6, 6)] and at_once.summary == whole.summary


CHANGES = {
    "seed": {"seed": 1}, "setting": {"estimator": Importance(num_samples=6)}, "version": {"version": 7},
    "split": {"split": Examples(X, name="train")}, "others": {"split": Examples(X[::-1])},
    "fewer": {"split": Examples(X[:5])}, "batches": {"batch_size": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", [*CHANGES, "damage"])
def test_another_run_or_a_damaged_file_is_not_gone_on_with(linear, tmp_path, name):
    path, told = str(tmp_path / "partial.npz"), []
    settings = {"split": Examples(X), "estimator": Importance(num_samples=5), "batch_size": 2, "version": 6}
    with pytest.raises(Stop):
        estimate(linear, **settings, partial=path, progress=stop_after(2, []))
    if name == "damage":
        (tmp_path / "partial.npz").write_bytes(b"PK" + b"\0" * 50)
    settings |= CHANGES.get(name, {})
    found = estimate(linear, **settings, partial=path, progress=lambda done, _: told.append(done))
    assert told[0] == 0, "from the start"
    assert found.summary == estimate(linear, **settings).summary
