"""The two phases of wake-sleep: what each teaches, and where they lead."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests import linear_gaussian
from tests.baselines import common
from tests.helpers import binary_data, small_vae
from tests.objectives.common import rows_of, spread, terms_of, value_and_gradient
from tfvae import config, likelihoods, priors, random
from tfvae.baselines import WakeSleep
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.objectives import MAP
from tfvae.reparameterization import reparameterize

# A fixed prior, and one that is learned, with a decoder whose draws would carry gradients.
PARTS = pytest.mark.parametrize(
    "parts",
    [{}, {"prior": priors.MixtureOfNormals(num_components=3), "likelihood": likelihoods.GaussianShared()}],
    ids=["fixed", "learned"],
)


def posterior_draws(vae, x, num_samples):
    """The draws of the wake phase."""
    keys = rows_of(len(x)).keys
    return reparameterize(vae.encode(x), random.normals(keys, vae.latent_size, num_samples=num_samples))


@PARTS
def test_the_wake_phase_teaches_decoder_and_prior_as_if_the_draws_were_data(parts):
    vae, x = spread(small_vae(**parts)), binary_data(6)
    variables = vae.decoder.trainable_variables + list(vae.prior.trainable_variables)
    _, found = value_and_gradient(vae, x, WakeSleep(num_samples=3), variables=variables)
    z = tf.constant(posterior_draws(vae, x, 3).numpy())
    with tf.GradientTape() as tape:
        # -E_q log p(x, z)
        log_joint = [vae.decode(one).log_prob(x) + vae.prior.log_prob(one) for one in z]
        loss = -tf.reduce_mean(log_joint)
    assert len(variables) == (8 if parts else 4)
    for ours, theirs in zip(found, tape.gradient(loss, variables), strict=True):
        assert np.abs(ours).max() > 1e-4
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@PARTS
def test_the_sleep_phase_teaches_the_encoder_from_dreams_alone(parts):
    vae, x, objective = spread(small_vae(**parts)), binary_data(6), WakeSleep(num_samples=3)
    variables = vae.encoder.trainable_variables[:4]  # after them come the prior's, which the regularizer holds
    _, found = value_and_gradient(vae, x, objective, variables=variables)
    dream_x, dream_z = objective._dream(vae, tf.constant(x), rows_of(6))
    assert dream_x.shape == x.shape and (parts or set(np.unique(dream_x)) == {0.0, 1.0})
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(vae.encode(dream_x.numpy()).log_prob(dream_z.numpy()))
    for ours, theirs in zip(found, tape.gradient(loss, variables), strict=True):
        assert np.abs(ours).max() > 1e-4
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_dreams_are_drawn_from_the_model():
    vae = small_vae((5,), latent_size=2, likelihood=likelihoods.GaussianShared(domain="real"))
    x, z = WakeSleep()._dream(vae, tf.zeros([20_000, 5]), rows_of(20_000))
    residual = (x - vae.decode(z).mean()) / vae.decode(z).stddev()
    # The noise of x is its own: standard normal, and it knows nothing of z.
    together = np.concatenate([residual, z], axis=1)
    assert np.abs(together.mean(axis=0)).max() < 0.05
    assert np.abs(np.cov(together.T) - np.eye(7)).max() < 0.06


def test_the_terms_are_those_of_the_elbo():
    vae = linear_gaussian.make_vae()
    found = terms_of(vae, linear_gaussian.X, WakeSleep(num_samples=20_000))
    np.testing.assert_allclose(-(found.rate + found.distortion), linear_gaussian.LOG_P, atol=0.05)


def test_it_reaches_the_maximum_likelihood_of_probabilistic_pca():
    """The encoder's family holds the exact posterior, to which the sleep phase leads."""
    steps, vae = 800, common.linear_vae()
    rate = tf_keras.optimizers.schedules.CosineDecay(0.03, steps)
    vae.compile(tf_keras.optimizers.Adam(rate), objective=WakeSleep(), steps_per_execution=50, jit_compile=False)
    vae.fit(np.tile(common.X, (50, 1)), batch_size=common.ROWS, shuffle=False, epochs=steps // 50, verbose=0)
    missing, noise, best = common.against_the_best(vae)
    assert 0 <= missing < 0.02 and abs(noise - 1) < 0.1
    assert abs(vae.evaluate(common.X, verbose=0, return_dict=True)["elbo"] - best) < 0.15


def test_it_learns_labels_and_weighs_parameters():
    vae, x, labels = small_vae(num_labels=3), binary_data(12), np.arange(12) % 3
    objective = MAP(objective=WakeSleep())
    vae.compile(tf_keras.optimizers.Adam(0.02), objective=objective, num_examples=12, jit_compile=False)
    logs = vae.fit(x, labels, batch_size=5, epochs=15, verbose=0).history
    assert logs["loss"][-1] < logs["loss"][0] and np.isfinite(logs["elbo"]).all()


def test_config_and_refusals():
    assert config.from_dict(config.to_dict(WakeSleep(num_samples=3)), Objective, "objective") == WakeSleep(
        num_samples=3
    )
    with pytest.raises(InputError, match=r"^objective\.num_samples: received 0, expected a number at least 1"):
        config.validate(WakeSleep(num_samples=0), "objective.")
    with pytest.raises(InputError, match="^objective: received wake_sleep for a prior made of the encoder, expected"):
        small_vae(prior=priors.VampPrior(num_pseudo_inputs=3)).compile(objective=WakeSleep())
    with pytest.raises(InputError, match="^objective: received wake_sleep for bags of words"):
        small_vae((4,), likelihood=likelihoods.Multinomial()).compile(objective=WakeSleep())
