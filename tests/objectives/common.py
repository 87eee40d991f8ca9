"""What the tests of objectives share: rows, terms, gradients, and the terms by hand in NumPy."""

import numpy as np
import tensorflow as tf
import tf_keras

from tfvae import random
from tfvae.regularizers import plain
from tfvae.rows import Rows

LATENT = 3


def rows_of(count, *, seed=0, step=0):
    keys = random.row_keys(seed, random.TRAINING, step=step, rows=tf.range(count))
    return Rows(weights=tf.ones(count), total=tf.constant(float(count)), keys=keys)


def terms_of(vae, x, objective, rows=None):
    rows = rows_of(len(x)) if rows is None else rows
    rows.regularize, rows.num_samples = objective.regularizes, objective.num_samples
    with rows.current():
        return objective.terms(vae, tf.convert_to_tensor(x), rows)


def losses(vae, x, objective, rows=None):
    """The whole loss of each row, with what the activity regularizer adds."""
    terms = terms_of(vae, x, objective, rows)
    return terms.loss + objective.weight_at(0) * terms.rate if objective.regularizes else terms.loss


def value_and_gradient(vae, x, objective, rows=None, variables=None):
    """The mean loss, and its gradient by each variable."""
    variables = vae.trainable_variables if variables is None else variables
    rows = rows_of(len(x)) if rows is None else rows
    with tf.GradientTape() as tape:
        loss = rows.mean(losses(vae, x, objective, rows))
    return loss, tape.gradient(loss, variables, unconnected_gradients="zero")


def assert_same(vae, x, first, second, *, rtol=1e-5, atol=1e-5):
    """Two objectives give equal losses for each row, and equal gradients."""
    np.testing.assert_allclose(losses(vae, x, first), losses(vae, x, second), rtol=rtol)
    pair = [value_and_gradient(vae, x, objective)[1] for objective in (first, second)]
    for ours, theirs in zip(*pair, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol)


def sampled_gradients(vae, x, objective, num_draws):
    """The gradient of one row's loss by the encoder's output, at many noises: `[num_draws, rows * parameters]`.

    Copies of a row have noise of their own, so that one pass gives all draws.
    """
    network = tf_keras.Model(vae.encoder.inputs, vae.posterior_layer.input)
    samples = []
    for row in x:
        params = tf.tile(network(row[None]), [num_draws, 1])
        vae.encode = lambda _, params=params: plain(vae.posterior_layer(params))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(params)
            loss = tf.reduce_sum(losses(vae, np.tile(row, (num_draws, *[1] * row.ndim)), objective))
        samples.append(tape.gradient(loss, params))
        del vae.encode
    return np.concatenate(samples, axis=1).astype(np.float64)


def z_scores(first, second):
    """How many standard errors the means of two samples `[n, parameters]` are apart, for each parameter."""
    error = np.sqrt(first.var(axis=0) / len(first) + second.var(axis=0) / len(second))
    return (first.mean(axis=0) - second.mean(axis=0)) / np.maximum(error, 1e-12)


def by_hand(vae, x, keys, num_samples):
    """Means, scales `[rows, LATENT]`, noise, z and distortions `[num_samples, rows]`, from weights and formulas."""
    encoder, decoder = ([v.numpy() for v in network.trainable_variables] for network in (vae.encoder, vae.decoder))
    flat = x.reshape(len(x), -1).astype(np.float64)
    params = np.tanh(flat @ encoder[0] + encoder[1]) @ encoder[2] + encoder[3]
    mean, scale = params[:, :LATENT], np.logaddexp(params[:, LATENT:], 0) + 1e-4
    noise = random.normals(keys, LATENT, num_samples=num_samples).numpy().astype(np.float64)
    z = mean + scale * noise
    logits = np.tanh(z @ decoder[0] + decoder[1]) @ decoder[2] + decoder[3]
    p = 1 / (1 + np.exp(-logits))
    distortion = -np.sum(flat * np.log(p) + (1 - flat) * np.log(1 - p), axis=-1)
    return mean, scale, noise, z, distortion


def normal_log_prob(z, mean=0.0, scale=1.0):
    return -0.5 * ((z - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def kl_by_hand(mean, scale):
    """Of each dimension to N(0, 1)."""
    return 0.5 * (mean**2 + scale**2 - np.log(scale**2) - 1)


def spread(vae, *, seed=0):
    """Larger random weights, so that posteriors differ among rows and dimensions."""
    rng = np.random.default_rng(seed)
    for variable in vae.encoder.trainable_variables + vae.decoder.trainable_variables:
        variable.assign_add(0.5 * rng.normal(size=variable.shape))
    return vae
