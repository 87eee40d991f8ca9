"""The autoencoder's loss at the center of q, its corruption, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.helpers import binary_data, small_vae
from tests.objectives.common import LATENT, by_hand, kl_by_hand, rows_of, spread, terms_of, value_and_gradient
from tfvae import config, likelihoods, random
from tfvae.baselines import Autoencoder
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.objectives import MAP, SGVB_B
from tfvae.reparameterization import center

GAUSSIAN, MASKING = Autoencoder(corruption="gaussian", level=0.5), Autoencoder(corruption="masking", level=0.3)


def training_rows(count):
    rows = rows_of(count)
    rows.training = True
    return rows


def test_the_loss_is_the_cross_entropy_at_the_mean_of_q_and_the_others_are_of_q():
    vae, x = spread(small_vae()), binary_data(6)
    terms = terms_of(vae, x, Autoencoder())
    mean, scale, _, _, distortion = by_hand(vae, x, rows_of(6).keys, 1)
    logits = [v.numpy() for v in vae.decoder.trainable_variables]
    logits = np.tanh(mean @ logits[0] + logits[1]) @ logits[2] + logits[3]
    p = 1 / (1 + np.exp(-logits))
    # -sum_d x_d log p_d + (1 - x_d) log(1 - p_d)
    expected = -np.sum(np.log(np.where(x.reshape(6, -1) > 0, p, 1 - p)), axis=1)
    np.testing.assert_allclose(terms.loss, expected, rtol=1e-4)
    np.testing.assert_allclose(terms.distortion, distortion[0], rtol=1e-4)
    np.testing.assert_allclose(terms.rate, kl_by_hand(mean, scale).sum(axis=1), rtol=1e-4)


def test_gradients_are_those_of_the_loss_alone_and_the_width_of_q_has_none():
    vae, x = spread(small_vae()), binary_data(6)
    _, found = value_and_gradient(vae, x, Autoencoder())
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(vae.decode(vae.encode(x).mean()).log_prob(x))
    for ours, theirs in zip(found, tape.gradient(loss, vae.trainable_variables), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    kernel, bias = (np.asarray(g) for g in found[2:4])  # of the encoder's last layer: means, then raw scales
    assert abs(kernel[:, :LATENT]).max() > 1e-3
    assert not kernel[:, LATENT:].any() and not bias[LATENT:].any()


def test_noise_is_added_to_each_row_from_its_own_key():
    x = np.random.default_rng(0).random((2_000, 6)).astype(np.float32)
    noise = (GAUSSIAN.corrupted(tf.constant(x), training_rows(2_000)) - x) / 0.5
    assert abs(np.mean(noise)) < 4 / np.sqrt(noise.numpy().size) and abs(np.std(noise) - 1) < 0.03
    assert abs(np.corrcoef(noise.numpy().T) - np.eye(6)).max() < 0.1
    latent = random.normals(rows_of(2_000).keys, 6)[0]  # the draws of z have others
    assert abs(np.mean(latent * noise)) < 0.05
    alone = GAUSSIAN.corrupted(tf.constant(x[:5]), training_rows(5)) - x[:5]
    np.testing.assert_allclose(alone / 0.5, noise[:5], atol=1e-5)


def test_masking_sets_a_share_of_the_numbers_to_zero():
    x = 1.0 + np.random.default_rng(0).random((2_000, 2, 3)).astype(np.float32)
    found = MASKING.corrupted(tf.constant(x), training_rows(2_000)).numpy()
    assert np.all((found == 0.0) | (found == x))
    np.testing.assert_allclose(np.mean(found == 0.0, axis=0), 0.3, atol=0.05)
    np.testing.assert_array_equal(MASKING.corrupted(tf.constant(x[:5]), training_rows(5)), found[:5])
    everything = Autoencoder(corruption="masking", level=1.0)
    assert not everything.corrupted(tf.constant(x), training_rows(2_000)).numpy().any()


@pytest.mark.parametrize("objective", [GAUSSIAN, MASKING], ids=["gaussian", "masking"])
def test_what_was_spoiled_is_encoded_and_the_whole_is_decoded(objective):
    vae, x = spread(small_vae()), binary_data(6)
    found = terms_of(vae, x, objective, training_rows(6))
    spoiled = objective.corrupted(tf.constant(x), training_rows(6))
    expected = -vae.decode(center(vae.encode(spoiled))).log_prob(x)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    clean = terms_of(vae, x, Autoencoder())
    assert np.abs(found.loss - clean.loss).max() > 0.1
    # Not in validation.
    for name in ("loss", "distortion", "rate"):
        np.testing.assert_array_equal(getattr(terms_of(vae, x, objective), name), getattr(clean, name))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"level": 0.5}, "level: received 0.5, expected 0 without a corruption, more with one"),
        ({"corruption": "gaussian"}, "level: received 0.0, expected 0 without a corruption, more with one"),
        ({"corruption": "masking", "level": 1.5}, "level: received 1.5, expected a share, at most 1, with corruption"),
        ({"corruption": "gaussian", "level": -1.0}, "level: received -1.0, expected a number at least 0"),
        ({"corruption": "salt", "level": 0.1}, "corruption: received 'salt', expected one of: none, gaussian, masking"),
    ],
)
def test_bad_fields_are_refused_in_one_line(fields, says):
    with pytest.raises(InputError) as error:
        config.validate(Autoencoder(**fields), "objective.")
    assert str(error.value).startswith(f"objective.{says}") and "\n" not in str(error.value)


@pytest.mark.parametrize("objective", [Autoencoder(), GAUSSIAN, Autoencoder(corruption="gaussian", level=2.0), MASKING])
def test_good_fields_come_back_from_json(objective):
    config.validate(objective, "objective.")
    assert config.from_dict(config.to_dict(objective), Objective, "objective") == objective


@pytest.mark.parametrize(
    "likelihood",
    [
        likelihoods.Poisson(),
        likelihoods.Categorical(num_categories=4),
        likelihoods.Table(columns=("gaussian", "poisson")),
    ],
    ids=lambda likelihood: likelihood.tag,
)
def test_noise_on_whole_numbers_is_refused(likelihood):
    vae = small_vae((2,), likelihood=likelihood)
    with pytest.raises(InputError, match=r"^objective\.corruption: received 'gaussian' for codes or counts, expected"):
        vae.compile(objective=MAP(objective=GAUSSIAN), num_examples=5)
    vae.compile(objective=MASKING)


@pytest.mark.parametrize("likelihood", [likelihoods.Bernoulli(), likelihoods.DiscretizedLogistic(num_levels=17)])
def test_noise_on_pixels_is_not(likelihood):
    small_vae((2,), likelihood=likelihood).compile(objective=GAUSSIAN)


def test_it_reconstructs_better_than_a_vae():
    x, found = binary_data(100), {}
    for objective in (Autoencoder(), SGVB_B()):
        vae = small_vae()
        vae.compile(tf_keras.optimizers.Adam(0.02), objective=objective, jit_compile=False)
        vae.fit(x, batch_size=50, epochs=40, verbose=0)
        found[objective.tag] = float(np.mean(terms_of(vae, x, Autoencoder()).loss))
    assert found["autoencoder"] < found["sgvb_b"] - 1.0
