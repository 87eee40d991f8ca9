"""Monte Carlo EM: where the chains come to, what the M step takes from them, and where training ends."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import linear_gaussian
from tests.baselines import common
from tests.helpers import binary_data, small_vae
from tests.objectives.common import spread
from tfvae import posteriors, priors
from tfvae.baselines import MonteCarloEM
from tfvae.errors import InputError


def model_over(vae, num_examples, *, rate=0.0, **kwargs):
    """Monte Carlo EM over the networks of a VAE; a rate of 0 freezes them."""
    model = MonteCarloEM(vae.encoder, vae.decoder, num_examples=num_examples, support=vae.support, **kwargs)
    model.compile(tf_keras.optimizers.SGD(rate))
    return model


def fit(model, x, *, batch_size, epochs=1, **kwargs):
    return model.fit(
        x, np.arange(len(x)), batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, **kwargs
    ).history


def test_the_chains_come_to_the_exact_posterior_and_their_acceptance_to_nine_tenths():
    chains = 500
    x = np.repeat(linear_gaussian.X, chains, axis=0)
    model = model_over(linear_gaussian.make_vae(shift=2.0), len(x), num_updates=1)
    assert np.abs(np.cov(model.chains.numpy().T) - np.eye(2)).max() < 0.1  # they begin at p(z)
    accepted = fit(model, x, batch_size=len(x), epochs=80)["acceptance"]
    assert accepted[0] > 0.95 and abs(np.mean(accepted[-10:]) - 0.9) < 0.01
    found = model.chains.numpy().astype(np.float64).reshape(len(linear_gaussian.X), chains, 2)
    expected = (linear_gaussian.X - linear_gaussian.B) @ linear_gaussian.GAIN.T
    error = np.sqrt(np.diag(linear_gaussian.COVARIANCE) / chains)
    assert np.abs((found.mean(axis=1) - expected) / error).max() < 4.0
    residual = (found - expected[:, None]).reshape(-1, 2)
    np.testing.assert_allclose(np.cov(residual.T), linear_gaussian.COVARIANCE, rtol=0.1, atol=0.003)


def test_chains_of_a_positive_latent_stay_positive_and_have_its_density():
    """A decoder that z says nothing to: the posterior is the prior, exponential of mean and variance 1."""
    vae = small_vae((2,), latent_size=1, posterior=posteriors.Exponential(), prior=priors.Exponential())
    for variable in vae.decoder.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    model = model_over(vae, 2_000, num_updates=1)
    fit(model, binary_data(2_000, (2,)), batch_size=2_000, epochs=40)
    z = model._space.z(model.chains).numpy()
    assert (z > 0).all() and abs(z.mean() - 1) < 0.12 and abs(z.var() - 1) < 0.35
    assert abs(np.mean(z < np.log(2)) - 0.5) < 0.05


def test_only_the_chains_of_the_rows_places_move():
    x = linear_gaussian.X
    model = model_over(linear_gaussian.make_vae(), len(x), num_updates=1)
    before = model.chains.numpy()
    for _ in range(2):  # a move may be refused
        model.fit(x[[4, 1]], np.array([[4], [1]]), epochs=2, verbose=0)
    moved = (model.chains.numpy() != before).any(axis=1)
    assert moved.tolist() == [False, True, False, False, True, False]


def test_the_m_step_climbs_log_p_of_x_and_the_chains_and_the_encoder_takes_nothing_to_theta():
    x, found = binary_data(8), []
    for seed in (0, 1):
        vae = spread(small_vae(prior=priors.MixtureOfNormals(num_components=2)))
        for variable in vae.encoder.trainable_variables[:4]:
            variable.assign_add(0.1 * seed * tf.ones_like(variable))
        model = model_over(vae, len(x), rate=0.1, num_updates=1)
        theta = model.decoder.trainable_variables + list(model.prior.trainable_variables)
        start = [variable.numpy() for variable in theta]
        copy = spread(small_vae(prior=priors.MixtureOfNormals(num_components=2)))
        fit(model, x, batch_size=8)
        found.append([variable.numpy() for variable in theta])
    z = model.chains.numpy()
    with tf.GradientTape() as tape:
        # -log p(x, z) at the chains' new places
        loss = -tf.reduce_mean(copy.decode(z).log_prob(x) + copy.prior.log_prob(z))
    gradients = tape.gradient(loss, copy.decoder.trainable_variables + list(copy.prior.trainable_variables))
    for first, second, begin, gradient in zip(*found, start, gradients, strict=True):
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(first, begin - 0.1 * gradient, atol=1e-6)
        assert np.abs(gradient).max() > 1e-4


def test_the_encoder_learns_from_the_chains():
    x = binary_data(8)
    vae = spread(small_vae())
    start = [variable.numpy() for variable in vae.encoder.trainable_variables]
    model = model_over(vae, len(x), rate=0.1, num_updates=1)
    fit(model, x, batch_size=8)
    copy = spread(small_vae())
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(copy.encode(x).log_prob(model.chains.numpy()))
    for begin, gradient, variable in zip(
        start, tape.gradient(loss, copy.encoder.trainable_variables), model.encoder.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(variable, begin - 0.1 * gradient, rtol=1e-4, atol=1e-5)


def test_it_reaches_the_maximum_likelihood_of_probabilistic_pca():
    steps, seen, vae = 400, [], common.linear_vae()
    model = MonteCarloEM(vae.encoder, vae.decoder, num_examples=common.ROWS, support=vae.support, num_updates=2)
    rate = tf_keras.optimizers.schedules.CosineDecay(0.05, 2 * steps)
    model.compile(tf_keras.optimizers.Adam(rate), steps_per_execution=20, jit_compile=False)
    watch = tf_keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    x, places = np.tile(common.X, (20, 1)), np.tile(np.arange(common.ROWS), 20)
    model.fit(
        x, places, batch_size=common.ROWS, shuffle=False, epochs=steps // 20, verbose=0, callbacks=[watch],
        validation_data=(common.X,), validation_freq=steps // 20,
    )  # fmt: skip
    missing, noise, best = common.against_the_best(model)
    assert 0 <= missing < 0.02 and abs(noise - 1) < 0.1
    assert len(seen) == steps // 20 and int(model.steps) == steps and seen[-1]["elbo"] > seen[0]["elbo"]
    # The encoder that learned beside makes the ELBO a good bound.
    assert best - 0.2 < seen[-1]["val_elbo"] < best + 0.1


def test_refusals():
    vae = small_vae(num_labels=3)
    with pytest.raises(InputError, match=r"^model\.conditional: received True for Monte Carlo EM, expected False$"):
        MonteCarloEM(vae.encoder, vae.decoder, num_examples=4)
    vae = small_vae(prior=priors.VampPrior(num_pseudo_inputs=3))
    with pytest.raises(InputError, match=r"^model\.prior: received one made of the encoder for Monte Carlo EM"):
        MonteCarloEM(vae.encoder, vae.decoder, num_examples=4)
    vae = small_vae()
    with pytest.raises(ValueError, match="y: received None, expected the place of each row among the training"):
        model_over(vae, 4).fit(binary_data(4), verbose=0)
