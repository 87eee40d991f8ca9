"""The KL is counted once: the loss and a gradient step against the closed form, however it is run.

The reference below uses nothing of tfvae but the noise: networks by their weights, the
KL by its formula, the cross-entropy by its formula.
"""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae import likelihoods, objectives, posteriors, priors, random
from tfvae.build import build_vae
from tfvae.config import ModelConfig
from tfvae.networks import MLP

LATENT, ITEM, FLOOR, RATE, SEED = 3, 5, 1e-4, 0.05, 7
MODES = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "jit": {"jit_compile": True},
    "stacked": {"jit_compile": False, "steps_per_execution": 4},
    "stacked_jit": {"jit_compile": True, "steps_per_execution": 4},
    "two_replicas": {"jit_compile": False},
    "two_replicas_stacked": {"jit_compile": False, "steps_per_execution": 4},
}


def make_vae(full):
    tf_keras.utils.set_random_seed(0)
    posterior = posteriors.FullNormal(scale_floor=FLOOR) if full else posteriors.Normal(scale_floor=FLOOR)
    config = ModelConfig(
        latent_size=LATENT,
        posterior=posterior,
        prior=priors.StandardNormal(),
        likelihood=likelihoods.Bernoulli(),
        network=MLP(hidden=(6,)),
    )
    return build_vae(config, (ITEM,), seed=SEED)


def dense(x, kernel, bias, activation=tf.identity):
    return activation(x @ kernel + bias)


def reference_loss(weights, x, noise, full):
    """Mean over the batch of cross-entropy + KL, from 8 weights and standard normal noise [L, rows, LATENT]."""
    params = dense(dense(x, *weights[0:2], tf.tanh), *weights[2:4])
    mean, raw = params[:, :LATENT], params[:, LATENT:]
    if full:
        # fill_triangular of 3: [[a3, 0, 0], [a5, a4, 0], [a2, a1, a0]] read clockwise
        zero = tf.zeros_like(raw[:, 0])
        diagonal = [tf.math.softplus(raw[:, i]) + FLOOR for i in (3, 4, 0)]
        rows = [[diagonal[0], zero, zero], [raw[:, 5], diagonal[1], zero], [raw[:, 2], raw[:, 1], diagonal[2]]]
        lower = tf.stack([tf.stack(row, -1) for row in rows], axis=1)
        # 1/2 (tr L L^T + mu^T mu - d - ln det L L^T)
        trace = tf.reduce_sum(lower**2, axis=[1, 2])
        log_det = 2 * tf.add_n([tf.math.log(d) for d in diagonal])
        kl = 0.5 * (trace + tf.reduce_sum(mean**2, axis=1) - LATENT - log_det)
        z = mean + tf.einsum("bij,lbj->lbi", lower, noise)
    else:
        sigma = tf.math.softplus(raw) + FLOOR
        # 1/2 sum_j (mu_j^2 + sigma_j^2 - ln sigma_j^2 - 1)
        kl = 0.5 * tf.reduce_sum(mean**2 + sigma**2 - tf.math.log(sigma**2) - 1, axis=1)
        z = mean + sigma * noise
    logits = dense(dense(z, *weights[4:6], tf.tanh), *weights[6:8])
    cross_entropy = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(x + tf.zeros_like(logits), logits), axis=-1)
    return tf.reduce_mean(tf.reduce_mean(cross_entropy, axis=0) + kl)


def reference_fit(weights, x, batch_size, num_samples, full):
    """One epoch of plain gradient descent; the mean loss over the epoch and the weights."""
    weights, total = [tf.Variable(w) for w in weights], 0.0
    for step, start in enumerate(range(0, len(x), batch_size)):
        batch = x[start : start + batch_size]
        keys = random.row_keys(SEED, random.TRAINING, step=step, rows=tf.range(len(batch)))
        noise = random.normals(keys, LATENT, num_samples=num_samples)
        with tf.GradientTape() as tape:
            loss = reference_loss(weights, batch, noise, full)
        total += float(loss) * len(batch)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(RATE * gradient)
    return total / len(x), [w.numpy() for w in weights]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("batch_size", "num_rows", "num_samples"),
    [
        (1, 3, 1),
        pytest.param(7, 16, 1, marks=pytest.mark.slow),
        (7, 16, 5),
        pytest.param(100, 130, 1, marks=pytest.mark.slow),
        pytest.param(1, 3, 5, marks=pytest.mark.slow),
        pytest.param(100, 130, 5, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("full", [False, True], ids=["diagonal", "full"])
def test_loss_and_steps_equal_the_closed_form(full, batch_size, num_rows, num_samples, mode, two_replicas):
    x = (np.random.default_rng(0).random((num_rows, ITEM)) < 0.3).astype(np.float32)
    with two_replicas.scope() if "replicas" in mode else contextlib.nullcontext():
        vae = make_vae(full)
        vae.compile(tf_keras.optimizers.SGD(RATE), objective=objectives.SGVB_B(num_samples=num_samples), **MODES[mode])
    before = [w.numpy() for w in vae.trainable_variables]
    history = vae.fit(x, batch_size=batch_size, shuffle=False, verbose=0).history
    loss, after = reference_fit(before, x, batch_size, num_samples, full)
    np.testing.assert_allclose(history["loss"][0], loss, rtol=1e-5)
    np.testing.assert_allclose(history["elbo"][0], -loss, rtol=1e-5)
    for ours, theirs in zip(vae.trainable_variables, after, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
    assert vae.steps.numpy() == -(-num_rows // batch_size)


def test_kl_weight_multiplies_the_rate_and_not_the_elbo():
    x = np.ones((10, ITEM), np.float32)
    results = {}
    for weight in (0.0, 1.0, 4.0):
        vae = make_vae(False)
        vae.compile(tf_keras.optimizers.SGD(0.0), objective=objectives.SGVB_B(kl_weight=weight))
        vae.fit(x, batch_size=10, verbose=0)
        results[weight] = vae.evaluate(x, verbose=0, return_dict=True)
    for weight, terms in results.items():
        np.testing.assert_allclose(terms["loss"], terms["distortion"] + weight * terms["rate"], rtol=1e-6)
        np.testing.assert_allclose(terms["elbo"], -(terms["distortion"] + terms["rate"]), rtol=1e-6)
        np.testing.assert_allclose(terms["elbo"], results[1.0]["elbo"], rtol=1e-6)


def test_outside_a_step_the_regularizer_adds_the_mean_kl_once():
    vae = make_vae(False)
    x = np.ones((4, ITEM), np.float32)
    q = vae.encoder(x)
    mean, sigma = q.mean().numpy(), q.stddev().numpy()
    kl = 0.5 * np.sum(mean**2 + sigma**2 - np.log(sigma**2) - 1, axis=1)
    np.testing.assert_allclose(float(tf.add_n(vae.encoder.losses)), kl.mean(), rtol=1e-5)
