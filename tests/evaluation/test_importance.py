import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tfvae import posteriors, random
from tfvae.evaluation.importance import Estimate, importance_estimate
from tfvae.reparameterization import reparameterize

FIELDS = ("log_likelihood", "distortion", "rate")


@pytest.fixture(scope="module", params=[posteriors.Normal(), posteriors.FullNormal()], ids=lambda p: p.tag)
def vae(request):
    """A small model whose posterior is far from the prior, so that its samples differ."""
    made = small_vae(posterior=request.param)
    made.encoder.set_weights([2.0 * weight for weight in made.encoder.get_weights()])
    made.decoder.set_weights([3.0 * weight for weight in made.decoder.get_weights()])
    return made


def estimate(vae, x, num_samples, chunk_size=None, keys=None):
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(len(x))) if keys is None else keys
    return importance_estimate(vae, tf.constant(x), keys, num_samples=num_samples, chunk_size=chunk_size or num_samples)


def assert_same(ours, theirs, **kwargs):
    for field in FIELDS:
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), err_msg=field, **kwargs)


def log_weights(vae, x, num_samples):
    """log p(x|z), log q(z|x) - log p(z), each `[num_samples, rows]`, one sample at a time."""
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(len(x)))
    q, likelihoods, ratios = vae.encode(x), [], []
    for k in range(num_samples):
        z = reparameterize(q, random.normals(keys, vae.latent_size, first_sample=k)[0])
        likelihoods.append(vae.decode(z).log_prob(x).numpy())
        ratios.append((q.log_prob(z) + 0.5 * tf.reduce_sum(z**2 + np.log(2 * np.pi), axis=-1)).numpy())
    return np.array(likelihoods, np.float64), np.array(ratios, np.float64)


def test_it_is_the_log_of_the_mean_weight(vae):
    x = binary_data(6)
    result = estimate(vae, x, 23, chunk_size=5)
    likelihood, ratio = log_weights(vae, x, 23)
    expected = scipy.special.logsumexp(likelihood - ratio, axis=0) - np.log(23)
    np.testing.assert_allclose(result.log_likelihood, expected, rtol=1e-5)
    np.testing.assert_allclose(result.distortion, -likelihood.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(result.rate, ratio.mean(axis=0), rtol=1e-4)
    assert isinstance(result, Estimate)
    assert all(getattr(result, field).dtype == tf.float64 and getattr(result, field).shape == [6] for field in FIELDS)


def test_one_sample_is_minus_rate_minus_distortion(vae):
    result = estimate(vae, binary_data(6), 1)
    np.testing.assert_array_equal(result.log_likelihood, -(result.rate + result.distortion))


@pytest.mark.parametrize("num_samples", [2, 7, 50])
def test_the_bound_is_above_the_elbo_of_its_samples(vae, num_samples):
    result = estimate(vae, binary_data(20), num_samples)
    difference = result.log_likelihood + result.rate + result.distortion
    assert np.all(difference > 1e-4)  # Jensen, strictly: the weights differ


@pytest.mark.parametrize("chunk_size", [1, 2, 7, 20, 64])
def test_results_do_not_depend_on_the_chunk_size(vae, chunk_size):
    """Of 20 samples the chunks of 7 and 64 reach past the end."""
    x = binary_data(5)
    assert_same(estimate(vae, x, 20, chunk_size=chunk_size), estimate(vae, x, 20), rtol=1e-6)


def test_results_do_not_depend_on_the_batch(vae):
    x = binary_data(9)
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(9))
    whole = estimate(vae, x, 10)
    for which in ([8], [3, 1], list(range(2, 9))):
        part = estimate(vae, x[which], 10, keys=tf.gather(keys, which))
        for field in FIELDS:
            np.testing.assert_allclose(getattr(part, field), getattr(whole, field).numpy()[which], rtol=1e-5)


def test_the_first_samples_are_those_of_fewer(vae):
    x = binary_data(4)
    likelihood, ratio = log_weights(vae, x, 12)
    for num_samples in (1, 5, 12):
        result = estimate(vae, x, num_samples, chunk_size=4)
        np.testing.assert_allclose(result.distortion, -likelihood[:num_samples].mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(result.rate, ratio[:num_samples].mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_and_with_a_tensor_for_the_number_of_samples(vae, jit):
    x = binary_data(4)
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(4))

    @tf.function(jit_compile=jit, autograph=False)
    def compiled(num_samples):
        found = importance_estimate(vae, tf.constant(x), keys, num_samples=num_samples, chunk_size=4)
        return tf.stack([getattr(found, field) for field in FIELDS])

    for num_samples in (1, 6):
        eager = estimate(vae, x, num_samples)
        found = compiled(tf.constant(num_samples, tf.int64))
        np.testing.assert_allclose(found, [getattr(eager, field) for field in FIELDS], rtol=1e-5)


def test_an_ill_conditioned_posterior_does_not_spoil_the_rate():
    """log q(z|x) found again from z by a triangular solve would be off by thousands of nats here."""
    vae, x = small_vae(latent_size=20, posterior=posteriors.FullNormal()), binary_data(9)
    kernel, bias = vae.encoder.layers[-2].get_weights()
    vae.encoder.layers[-2].set_weights([10.0 * kernel, bias])
    keys = random.row_keys(0, random.EVALUATION, rows=tf.range(9))
    noise = random.normals(keys, 20, num_samples=4).numpy().astype(np.float64)
    q = vae.encode(x)
    z = (q.loc + q.scale.matvec(tf.constant(noise, tf.float32))).numpy().astype(np.float64)
    diagonal = np.diagonal(q.scale.to_dense().numpy().astype(np.float64), axis1=1, axis2=2)
    # log N(z; mu, L L^T) - log N(z; 0, I)
    rate = 0.5 * np.sum(z**2 - noise**2, axis=-1) - np.log(diagonal).sum(axis=-1)
    found = importance_estimate(vae, tf.constant(x), keys, num_samples=4, chunk_size=4).rate
    np.testing.assert_allclose(found, rate.mean(axis=0), rtol=1e-4)
