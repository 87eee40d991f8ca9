"""What the rate is made of: the ELBO taken apart by the aggregate posterior (Chen et al. 2018; Hoffman & Johnson 2016).

q(z) = 1/N sum_n q(z|x_n) over the N examples that are looked at, summed exactly.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random, regularizers
from tfvae.data import DataSet, Split
from tfvae.evaluation.common import batches, standard_error
from tfvae.reparameterization import log_prob_of_draw, moments, reparameterize
from tfvae.rows import plain_rows
from tfvae.vae import VAE

ACTIVE = 0.01  # variance of a latent's posterior mean above which it is active (Burda et al. 2016, section 5.2)

_DRAWS_FOR_MOMENTS = 100  # where no closed form of a posterior's mean is known


def decomposition(
    vae: VAE,
    dataset: DataSet,
    split: Split,
    *,
    seed: int = 0,
    max_examples: int = 2000,
    num_samples: int = 1,
    batch_size: int = 500,
) -> dict[str, Any]:
    """ELBO = -(distortion + rate), and rate = mutual information + total correlation + dimension-wise KL.

    Chen et al. (2018, equation 2). All from the same draws, so that the parts add up: the mutual information and
    `marginal_kl`, KL(q(z) || p(z)), to the rate; total correlation and dimension-wise KL to `marginal_kl`.

    Args:
      vae: the model; of a conditional one the posteriors are q(z|x, y), and an example is the pair.
      dataset: not looked at.
      split: the examples.
      seed: of the draws.
      max_examples: N is at most this; the time goes with its square.
      num_samples: L, draws of z for each example.
      batch_size: examples, and draws, at once: N^2 L pairs pass in blocks of its square.

    Returns:
      nats per example, each with `<name>_standard_error` over examples (None for one example): `elbo`,
      `distortion`, `rate`, `mutual_information`, `marginal_kl`, and `total_correlation` and `dimension_wise_kl`, None
      where `method` says why. `mutual_information_limit` is log N, which no mutual information can exceed. Lists,
      one number for each latent: `kl_per_dimension`, the mean over examples of KL(q(z_j|x) || p(z_j)), or None;
      `posterior_mean_variance`, the variance over examples of E[z_j|x]; `aggregate_mean` and `aggregate_stddev` of
      q(z), beside `prior_mean` and `prior_stddev`, None where unknown. `active_units`: latents whose
      `posterior_mean_variance` is above 0.01.
    """
    del dataset
    found = _draw(vae, split, seed=seed, max_examples=max_examples, num_samples=num_samples, batch_size=batch_size)
    log_q, log_q_dimensions = _aggregate(vae, split, found, batch_size=batch_size)
    log_posterior, log_prior = found["log_posterior"], found["log_prior"]
    figures: dict[str, np.ndarray | None] = {
        "elbo": log_prior - log_posterior - found["distortion"],
        "distortion": found["distortion"],
        "rate": log_posterior - log_prior,
        # log q(z|x) - log q(z)
        "mutual_information": log_posterior - log_q,
        # log q(z) - log p(z)
        "marginal_kl": log_q - log_prior,
        "total_correlation": None,
        "dimension_wise_kl": None,
    }
    if log_q_dimensions is not None:
        log_product = log_q_dimensions.sum(axis=-1)
        # log q(z) - sum_j log q(z_j)
        figures["total_correlation"] = log_q - log_product
        if "kl_per_dimension" in found:
            # sum_j log q(z_j) - log p(z_j)
            figures["dimension_wise_kl"] = log_product - log_prior
    count, num_samples, _ = found["z"].shape
    result: dict[str, Any] = {"num_examples": count, "num_samples": num_samples}
    for name, at_draws in figures.items():
        per_example = None if at_draws is None else at_draws.mean(axis=1)
        result[name] = None if per_example is None else float(per_example.mean())
        result[f"{name}_standard_error"] = None if per_example is None else standard_error(per_example)
    result["mutual_information_limit"] = math.log(count)
    kl, parts = found.get("kl_per_dimension"), (vae.any_posterior(), vae.prior)
    result["kl_per_dimension"] = None if kl is None else kl.mean(axis=0).tolist()
    result["kl_per_dimension_standard_error"] = None if kl is None else [standard_error(column) for column in kl.T]
    return result | _moments(found, *parts) | {"method": _method(result, *parts)}


def marginals(posterior: tfd.Distribution, noise: tf.Tensor) -> tuple[tfd.Distribution, tf.Tensor] | None:
    """q(z_j|x), and the noise that gives dimension j of the draws: None where q(z_j|x) is not known.

    Args:
      posterior: q(z|x), batch shape `[rows]`.
      noise: standard normal, `[..., rows, latent_size]`: see `reparameterize`.

    Returns:
      a distribution of batch shape `[rows, latent_size]`, and the shape of `noise`.
    """
    single = regularizers.dimensions(posterior)
    if single is not None:
        return single, noise
    if isinstance(posterior, tfd.MultivariateNormalLinearOperator):
        # z_j = mu_j + (L epsilon)_j, sigma_j^2 = (L L^T)_jj
        scale = posterior.stddev()
        return tfd.Normal(posterior.mean(), scale), posterior.scale.matvec(noise) / scale
    return None


def _draw(
    vae: VAE, split: Split, *, seed: int, max_examples: int, num_samples: int, batch_size: int
) -> dict[str, np.ndarray]:
    """Draws of z, what is known at them, and moments.

    Returns:
      `z` float32 `[N, num_samples, latent_size]`; float64, `distortion`, `log_posterior` and `log_prior` `[N,
      num_samples]`; `log_dimensions`, log q(z_j|x), of the shape of z, where it is known; `kl_per_dimension`, where it
      is, `mean` and `stddev` `[N, latent_size]`.
    """

    # Without XLA, which would take longer to compile this one pass than the pass takes.
    @tf.function(autograph=False)
    def draw(x: tf.Tensor, labels: tf.Tensor | None, first: tf.Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
        keys = random.row_keys(seed, random.EVALUATION, rows=first + tf.range(batch_size, dtype=tf.int64))
        noise = random.normals(keys, vae.latent_size, num_samples=num_samples)
        others = random.normals(keys, vae.latent_size, num_samples=_DRAWS_FOR_MOMENTS)
        with plain_rows(batch_size, labels=labels).current():
            posterior, prior = vae.encode(x), vae.prior
            z = reparameterize(posterior, noise)
            at_draws = {
                "z": z,
                "distortion": -vae.log_likelihood(x, z),
                "log_posterior": log_prob_of_draw(posterior, noise, z),
                "log_prior": prior.log_prob(z),
            }
            of_rows = dict(zip(("mean", "stddev"), moments(posterior, others), strict=True))
            each, prior_dimensions = marginals(posterior, noise), regularizers.dimensions(prior)
            if each is not None:
                at_draws["log_dimensions"] = log_prob_of_draw(*each, z)
                if prior_dimensions is not None:
                    of_rows["kl_per_dimension"] = regularizers.rate(each[0], prior_dimensions, each[1], z)
        return at_draws, of_rows

    parts = []
    for batch in batches(split, batch_size=batch_size, labels=bool(vae.num_labels), max_examples=max_examples):
        at_draws, of_rows = draw(batch.x, batch.labels, tf.constant(batch.first, tf.int64))
        part = {name: np.swapaxes(values, 0, 1) for name, values in at_draws.items()} | of_rows
        parts.append({name: np.asarray(values)[: batch.count] for name, values in part.items()})
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: values if name == "z" else values.astype(np.float64) for name, values in joined.items()}


def _aggregate(
    vae: VAE, split: Split, found: dict[str, np.ndarray], *, batch_size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """log q(z), float64 `[N, num_samples]`, and log q(z_j) `[N, num_samples, latent_size]` or None, at the draws.

    The density of a draw under its own posterior is that of `log_prob_of_draw`, as in the rate: so it is exact, and no
    mutual information exceeds log N.
    """
    count, num_samples, latent_size = found["z"].shape
    # The joint density and those of single dimensions, as columns of one table for each draw: [draws, columns]
    own = found["log_posterior"][..., None]
    if "log_dimensions" in found:
        own = np.concatenate([own, found["log_dimensions"]], axis=-1)
    columns = own.shape[-1]
    z, own = found["z"].reshape(-1, latent_size), own.reshape(-1, columns).astype(np.float32)
    owner = np.repeat(np.arange(count), num_samples)

    @tf.function(jit_compile=vae.use_jit("auto"), autograph=False)
    def log_sums(
        x: tf.Tensor, labels: tf.Tensor | None, first: tf.Tensor, rows: tf.Tensor, z: tf.Tensor, own: tf.Tensor,
        owner: tf.Tensor,
    ) -> tf.Tensor:  # fmt: skip
        """log sum_n q(z|x_n) of draws over `rows` rows of x: float64 `[draws, columns]`."""
        with plain_rows(batch_size, labels=labels).current():
            posterior = vae.encode(x)
            # As flows do not broadcast, each draw stands beside every row: [draws, rows of x, latent_size]
            z = tf.tile(z[:, None, :], [1, batch_size, 1])
            log_q = posterior.log_prob(z)[..., None]
            each = marginals(posterior, tf.zeros([batch_size, latent_size]))
            if each is not None:
                log_q = tf.concat([log_q, each[0].log_prob(z)], axis=-1)
        # Float32 can lose a density far from its own draws or on the edge of its support: what is no number (a flow's
        # sequence that ran away) or infinite (1 - z^a = 0 of a Kumaraswamy) is left out of the sum.
        log_q = tf.where(log_q < math.inf, log_q, -math.inf)
        places = tf.range(batch_size, dtype=tf.int64)
        log_q = tf.where((owner[:, None] == first + places)[..., None], own[:, None, :], log_q)
        log_q = tf.where((places < rows)[:, None], log_q, -math.inf)
        largest = tf.reduce_max(log_q, axis=1)
        largest = tf.where(tf.math.is_finite(largest), largest, 0.0)
        total = tf.reduce_sum(tf.cast(tf.exp(log_q - largest[:, None, :]), tf.float64), axis=1)
        return tf.cast(largest, tf.float64) + tf.math.log(total)

    # log 1/N sum_n q(z|x_n)
    log_q = np.full((len(z), columns), -math.inf)
    for batch in batches(split, batch_size=batch_size, labels=bool(vae.num_labels), max_examples=count):
        place = tf.constant(batch.first, tf.int64), tf.constant(batch.count, tf.int64)
        for block, chosen in _blocks(len(z), batch_size):
            terms = log_sums(batch.x, batch.labels, *place, z[chosen], own[chosen], tf.constant(owner[chosen])).numpy()
            log_q[block] = np.logaddexp(log_q[block], terms[: len(log_q[block])])
    log_q = log_q.reshape(count, num_samples, columns) - math.log(count)
    return log_q[..., 0], log_q[..., 1:] if columns > 1 else None


def _blocks(count: int, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of `size` places of `count`, and these places; past the end the last one is repeated."""
    for start in range(0, count, size):
        yield slice(start, start + size), np.minimum(np.arange(start, start + size), count - 1)


def _moments(found: dict[str, np.ndarray], posterior: tfd.Distribution, prior: tfd.Distribution) -> dict[str, Any]:
    """Means and variances of the posteriors over examples, and those of the aggregate beside the prior's."""
    mean, variance = found["mean"], found["stddev"] ** 2
    spread = mean.var(axis=0)
    if not _knows_mean(posterior):
        # The mean of n draws has a variance of its own, 1/n that of the draws.
        spread = np.maximum(spread - variance.mean(axis=0) / _DRAWS_FOR_MOMENTS, 0.0)
    known = _knows_mean(prior)
    return {
        "active_units": int((spread > ACTIVE).sum()),
        "posterior_mean_variance": spread.tolist(),
        "aggregate_mean": mean.mean(axis=0).tolist(),
        # Var z = E Var[z|x] + Var E[z|x]
        "aggregate_stddev": np.sqrt(variance.mean(axis=0) + spread).tolist(),
        "prior_mean": prior.mean().numpy().tolist() if known else None,
        "prior_stddev": prior.stddev().numpy().tolist() if known else None,
    }


def _knows_mean(distribution: tfd.Distribution) -> bool:
    try:
        distribution.mean()
    except NotImplementedError:
        return False
    return True


def _method(result: dict[str, Any], posterior: tfd.Distribution, prior: tfd.Distribution) -> str:
    """How the figures came about, and why some are None."""
    draws = "1 draw" if result["num_samples"] == 1 else f"{result['num_samples']} draws"
    parts = [
        f"{draws} of z for each of the first {result['num_examples']} examples; q(z) is the mean of these examples' "
        "posteriors, summed exactly. Standard errors are over examples, for this q(z)."
    ]
    each, prior_dimensions = marginals(posterior, tf.zeros(posterior.event_shape)), regularizers.dimensions(prior)
    if each is None:
        name = type(posterior).__name__.lstrip("_")
        parts.append(f"The posterior ({name}) has no known densities of single dimensions, so what needs them is None.")
    elif prior_dimensions is None:
        name = type(prior).__name__.lstrip("_")
        parts.append(f"The prior ({name}) does not factorise over the dimensions of z, so what needs that is None.")
    else:
        known = regularizers.closed_form(each[0], prior_dimensions) is not None
        parts.append(f"kl_per_dimension is {'in closed form' if known else 'by the draws'}.")
    return " ".join(parts)
