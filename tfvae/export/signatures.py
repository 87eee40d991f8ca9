"""The signatures of an export that take and give plain numbers: see `registry`."""

import contextlib

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.evaluation.importance import Estimate, estimate_from_noise
from tfvae.export.registry import SENTINEL, signature
from tfvae.export.served import Served
from tfvae.likelihoods import draw, log_prob_of_observed, named_parameters
from tfvae.reparameterization import center, draw_prior, moments, reparameterize
from tfvae.rows import plain_rows

MOST_AT_ONCE = 10_000  # items of `sample` ...
MOST_NUMBERS = 2**26  # ... and fewer where these are large: of their numbers together


@signature("item")
def serving_default(served: Served, item: tf.Tensor) -> dict[str, tf.Tensor]:
    """How unlike the training data each row is: -log p(x) as `score` estimates it, in nats."""
    estimate, valid = served.fixed_estimate(item)
    scores = _scores(Estimate(**estimate), valid)
    return {"anomaly_score": -scores["log_likelihood"], "elbo": scores["elbo"], "valid": scores["valid"]}


@signature("item")
def encode(served: Served, item: tf.Tensor) -> dict[str, tf.Tensor]:
    """The moments of q(z|x), of a flow those of draws from a fixed seed; the Cholesky factor of a full covariance."""
    posterior = served.posterior(item)
    outputs = dict(zip(("mean", "stddev"), moments(posterior, served.fixed_normals()), strict=True))
    if isinstance(posterior, tfd.MultivariateNormalTriL):
        outputs["scale_tril"] = posterior.scale.to_dense()
    return outputs


@signature("item", "seed")
def encode_sample(served: Served, item: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """One draw z ~ q(z|x)."""
    posterior = served.vae.encode(served.clean(item, seed)[0])
    noise = random.normals(served.keys(seed, random.POSTERIOR), served.vae.latent_size)[0]
    return {"z": reparameterize(posterior, noise)}


@signature("item", "z")
def log_posterior(served: Served, item: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
    """log q(z|x), in nats."""
    return {"log_prob": served.posterior(item).log_prob(z)}


@signature("noise")
def prior(served: Served, noise: tf.Tensor) -> dict[str, tf.Tensor]:
    """The z ~ p(z) that standard normal noise becomes: noise at the normal's quantiles gives those of p(z)."""
    try:
        return {"z": reparameterize(served.vae.prior, noise)}
    except TypeError as error:
        raise NotImplementedError(f"p(z) is no image of a standard normal: {error}") from error


@signature("z")
def decode(served: Served, z: tf.Tensor) -> dict[str, tf.Tensor]:
    """The mean, the standard deviation where there is one, and the parameters of p(x|z)."""
    likelihood = served.vae.decode(z)
    outputs = {"mean": likelihood.mean(), **named_parameters(likelihood)}
    with contextlib.suppress(NotImplementedError):
        outputs["stddev"] = likelihood.stddev()
    return outputs


@signature("z", "seed")
def decode_sample(served: Served, z: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """One draw x ~ p(x|z)."""
    return {served.item_name: draw(served.vae.decode(z), served.uniforms(seed, random.LIKELIHOOD))}


@signature("item", "mask", "z")
def log_joint(served: Served, item: tf.Tensor, mask: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
    """log p(x_observed|z), where `mask` is true for what is observed, and log p(z), in nats; differentiable in z."""
    observed = log_prob_of_observed(served.vae.decode(z), served.measured(item), mask)
    return {"log_likelihood": observed, "log_prior": served.vae.prior.log_prob(z)}


@signature("item")
def reconstruct(served: Served, item: tf.Tensor) -> dict[str, tf.Tensor]:
    """The mean of p(x|z) at the mean of q(z|x), of a flow at the image of its base's mean."""
    return {"reconstruction": served.vae.decode(center(served.posterior(item))).mean()}


@signature("seed")
def generate(served: Served, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """The mean of p(x|z) at z ~ p(z)."""
    z = draw_prior(served.vae.prior, served.keys(seed, random.PRIOR))
    return {served.item_name: served.vae.decode(z).mean(), "z": z}


@signature("n", "one_seed", batchable=False)
def sample(served: Served, n: tf.Tensor, seed: tf.Tensor, label: tf.Tensor | None = None) -> dict[str, tf.Tensor]:
    """n items as `generate` makes them, from one seed: the first ones are the same however many there are."""
    most = max(1, min(MOST_AT_ONCE, MOST_NUMBERS // served.size))
    checks = [
        tf.debugging.assert_non_negative(n, f"n is below 0, expected 0 to {most}"),
        tf.debugging.assert_less_equal(n, tf.constant(most, tf.int64), f"n is above {most}"),
    ]
    # Nothing as large as n is made before n is known to be fit: a graph runs in any order else.
    with tf.control_dependencies([check for check in checks if check is not None]):
        n = tf.identity(n)
    with plain_rows(n, labels=None if label is None else tf.fill(n[None], label)).current():
        keys = random.row_keys(seed, random.PRIOR, rows=tf.range(n))
        z = draw_prior(served.vae.prior, keys)
        return {served.item_name: served.vae.decode(z).mean(), "z": z}


@signature("item", "seed")
def score(served: Served, item: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """An estimate of log p(x), the ELBO and its two terms, in nats, from the same posterior samples of each row."""
    estimate, valid = served.estimate(item, seed)
    return _scores(Estimate(**estimate), valid)


@signature("item", "noises")
def score_noise(served: Served, item: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
    """`score` from standard normal noise of K posterior samples for each row: the same numbers wherever it runs."""
    x, valid = served.fitted(item)
    known = tf.math.is_finite(noise)
    valid &= tf.reduce_all(known, axis=[1, 2]) & (tf.shape(noise)[1] > 0)
    estimate = estimate_from_noise(served.vae, x, tf.transpose(tf.where(known, noise, 0.0), [1, 0, 2]))
    return _scores(estimate, valid)


def _scores(estimate: Estimate, valid: tf.Tensor) -> dict[str, tf.Tensor]:
    """The outputs of `score`; a row that is not valid has a finite mark, on the bad side of each number."""
    gains = {"log_likelihood": estimate.log_likelihood}
    costs = {"rate": estimate.rate, "distortion": estimate.distortion}
    gains, costs = ({name: tf.cast(v, tf.float32) for name, v in part.items()} for part in (gains, costs))
    gains["elbo"] = -(costs["rate"] + costs["distortion"])
    for value in (gains | costs).values():
        # A number far outside of all data can have a density below any that float32 holds.
        valid &= tf.math.is_finite(value)
    return {
        **{name: tf.where(valid, value, -SENTINEL) for name, value in gains.items()},
        **{name: tf.where(valid, value, SENTINEL) for name, value in costs.items()},
        "valid": valid,
    }
