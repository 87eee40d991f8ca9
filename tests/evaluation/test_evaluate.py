import json
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import Examples, binary_data, small_vae
from tfvae import VAE, data, likelihoods, random
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.evaluation import estimate, estimators, evaluate, run
from tfvae.evaluation.importance import importance_estimate
from tfvae.evaluation.run import bits_per_dim

NUMBERS = ["elbo", "rate", "distortion", "log_likelihood", "log_likelihood_standard_error",
           "log_likelihood_monte_carlo_error", "effective_sample_size", "bits_per_dim", "elbo_standard_error",
           "rate_standard_error", "distortion_standard_error", "bits_per_dim_standard_error"]  # fmt: skip
KEYS = {
    "split",
    "num_examples",
    "num_samples",
    "units",
    "estimator",
    "settings",
    "seed",
    "method",
    "warnings",
    *NUMBERS,
}


@pytest.fixture(autouse=True)
def without_xla(monkeypatch):
    """Compiling takes seconds each time; `whole` alone, made before this, is with XLA."""
    monkeypatch.setattr(VAE, "use_jit", lambda self, jit_compile: False)


@pytest.fixture(scope="module")
def vae():
    made = small_vae()
    made.decoder.set_weights([3.0 * weight for weight in made.decoder.get_weights()])
    return made


@pytest.fixture(scope="module")
def whole(vae):
    assert vae.use_jit("auto")
    return evaluate(vae, Examples(binary_data(23)), num_samples=6, batch_size=23)


def test_it_says_what_and_how_many(whole):
    assert set(whole) == KEYS
    assert (whole["split"], whole["num_examples"], whole["num_samples"], whole["units"]) == ("test", 23, 6, "nats")
    assert whole == json.loads(json.dumps(whole))
    assert all(type(whole[name]) is float for name in NUMBERS)


def test_averages_of_the_importance_estimate(vae, whole):
    x = binary_data(23)
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(23))
    found = importance_estimate(vae, tf.constant(x), keys, num_samples=6, chunk_size=6)
    for name in ("log_likelihood", "rate", "distortion"):
        np.testing.assert_allclose(whole[name], np.mean(getattr(found, name)), rtol=1e-6)
    error = np.std(found.log_likelihood, ddof=1) / math.sqrt(23)
    np.testing.assert_allclose(whole["log_likelihood_standard_error"], error, rtol=1e-5)


def test_the_elbo_is_minus_rate_minus_distortion_exactly(whole):
    assert whole["elbo"] == -(whole["rate"] + whole["distortion"])
    assert whole["elbo"] < whole["log_likelihood"] < 0


@pytest.mark.parametrize("batch_size", [1, 5, 22, 100])
def test_results_do_not_depend_on_the_batch_size(vae, whole, batch_size):
    """Of 23 examples all these leave a ragged last batch, or fill one with padding."""
    other = evaluate(vae, Examples(binary_data(23)), num_samples=6, batch_size=batch_size)
    np.testing.assert_allclose([other[name] for name in NUMBERS], [whole[name] for name in NUMBERS], rtol=1e-5)
    assert other["num_examples"] == 23


def test_results_do_not_depend_on_the_chunks(vae, whole, monkeypatch):
    asked, samples_at_once = [], estimators.importance.samples_at_once
    monkeypatch.setattr(estimators.importance, "samples_at_once", lambda *given: asked.append(given) or 4)
    other = evaluate(vae, Examples(binary_data(23)), num_samples=6, batch_size=23)
    np.testing.assert_allclose([other[name] for name in NUMBERS], [whole[name] for name in NUMBERS], rtol=1e-5)
    assert asked and samples_at_once(*asked[0]) == 6


def test_what_is_decoded_at_once_fits_into_caches_or_fills_a_gpu(monkeypatch):
    class Model:
        item_shape = (64, 64, 3)

    at_once = estimators.importance.samples_at_once
    assert (at_once(Model, 500, 100), at_once(Model, 500, 10), at_once(Model, 3, 10)) == (1, 12, 3)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert (at_once(Model, 500, 100), at_once(Model, 5_000, 1), at_once(Model, 500, 9_999)) == (50, 5_000, 1)


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_batches_at_once_come_in_order(vae, monkeypatch, workers):
    x, told = Examples(binary_data(23)), []
    one = estimate(vae, x, estimators.Importance(num_samples=6), batch_size=4)
    monkeypatch.setattr(run, "_workers", lambda vae: workers)
    found = estimate(
        vae, x, estimators.Importance(num_samples=6), batch_size=4, progress=lambda done, _: told.append(done)
    )
    assert told == [0, 4, 8, 12, 16, 20, 23]
    for name, column in one.columns.items():
        np.testing.assert_array_equal(found.columns[name], column)


def test_one_sample_is_the_elbo(vae):
    found = evaluate(vae, Examples(binary_data(8)), num_samples=1, batch_size=3)
    np.testing.assert_allclose(found["log_likelihood"], found["elbo"], rtol=1e-12)


def test_the_seed_counts_and_repeats(vae, whole):
    first, again, other = (
        evaluate(vae, Examples(binary_data(23)), num_samples=6, batch_size=23, seed=seed) for seed in (0, 0, 1)
    )
    assert again == first
    assert abs(other["distortion"] / whole["distortion"] - 1) > 1e-4 and abs(other["rate"] / whole["rate"] - 1) > 1e-3
    np.testing.assert_allclose(other["elbo"], whole["elbo"], rtol=0.05)


def test_one_example_has_no_standard_error(vae):
    found = evaluate(vae, Examples(binary_data(1)), num_samples=3)
    assert found["log_likelihood_standard_error"] is None and found["num_examples"] == 1
    assert json.loads(json.dumps(found)) == found


def test_progress_is_told(vae):
    told = []
    evaluate(vae, Examples(binary_data(11)), num_samples=1, batch_size=4, progress=lambda *args: told.append(args))
    assert told == [(0, 11), (4, 11), (8, 11), (11, 11)]


def test_the_digits(vae):
    split = data.load(DataConfig(source="digits", binarization="static")).validation
    small = small_vae(split.item_shape)
    found = evaluate(small, split, num_samples=2)
    assert (found["split"], found["num_examples"]) == ("validation", 150)
    # An untrained decoder says about 1/2 of every pixel: about log 2 nats each.
    assert found["distortion"] == pytest.approx(64 * math.log(2), rel=0.1)
    assert found["bits_per_dim"] == pytest.approx(1.0, rel=0.1)


# Bits per dimension -------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_uniform_density_needs_all_bits_of_a_level(levels):
    assert bits_per_dim(0.0, 64, levels) == pytest.approx(math.log2(levels))
    # A density that is 1 / width on a part of [0, 1] saves its bits.
    assert bits_per_dim(64 * math.log(2), 64, levels) == pytest.approx(math.log2(levels) - 1)


def test_a_mass_needs_its_own_bits():
    assert bits_per_dim(-64 * math.log(2), 64, 1) == pytest.approx(1.0)  # fair coins
    assert bits_per_dim(-10 * math.log(4), 10, 1) == pytest.approx(2.0)
    assert bits_per_dim(0.0, 10, 1) == 0.0


def test_bits_of_an_unknown_number_of_levels_are_unknown():
    assert bits_per_dim(-3.0, 10, None) is None


def test_bits_of_binary_data_are_of_the_mass(vae, whole):
    assert whole["bits_per_dim"] == pytest.approx(-whole["log_likelihood"] / 30 / math.log(2))
    # Levels concern densities only.
    levels = evaluate(vae, Examples(binary_data(23)), num_samples=6, batch_size=23, num_levels=256)
    assert levels["bits_per_dim"] == pytest.approx(whole["bits_per_dim"])


@pytest.mark.parametrize("likelihood", [likelihoods.Gaussian(), likelihoods.GaussianIdentity()], ids=lambda p: p.tag)
def test_bits_of_a_density_need_dequantized_data(likelihood):
    vae, examples = small_vae((3, 2), likelihood=likelihood), Examples(binary_data(5, (3, 2)))
    assert evaluate(vae, examples, num_samples=2, batch_size=5)["bits_per_dim"] is None
    found = evaluate(vae, examples, num_samples=2, batch_size=5, num_levels=256)
    assert found["bits_per_dim"] == pytest.approx(-found["log_likelihood"] / 6 / math.log(2) + 8)


def test_figures_that_are_not_finite_are_refused():
    vae, x = small_vae(likelihood=likelihoods.Gaussian()), binary_data(23)
    x[[3, 8], 0, 0, 0] = np.nan
    says = r"^data\.source: 2 of 23 examples of the test split have figures that are not finite, the first at place 3"
    with pytest.raises(InputError, match=says):
        evaluate(vae, Examples(x), num_samples=2)


def test_examples_that_were_put_right_are_not_refused_again(tmp_path):
    vae, x = small_vae(likelihood=likelihoods.Gaussian()), binary_data(23)
    settings = {"estimator": estimators.Importance(num_samples=2), "partial": str(tmp_path / "partial.npz")}
    spoiled = x.copy()
    spoiled[3, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        estimate(vae, Examples(spoiled), **settings)
    assert estimate(vae, Examples(x), **settings).summary == estimate(vae, Examples(x), settings["estimator"]).summary
