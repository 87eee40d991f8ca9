"""The signatures of an export: functions of plain tensors, in which nothing of Keras, TFP or Python is left.

`@signature` registers a function of a `Served` model and named tensors under its own
name. To add one, write it below the others: it cleans its items with `Served.clean`
and takes noise from `Served.keys`, so that a row's result depends on that row and its
seed alone, whatever batch it travels in.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.export.served import Served
from tfvae.export.stateless import stateful_random_ops, without_draws
from tfvae.likelihoods import draw, log_prob_of_observed, named_parameters
from tfvae.reparameterization import center, draw_prior, moments, reparameterize
from tfvae.rows import plain_rows
from tfvae.vae import VAE

SENTINEL = 1e30  # finite, since JSON has no infinity: the cost in nats of a row that is not valid
SIGNATURES: dict[str, "_Signature"] = {}


@dataclasses.dataclass(frozen=True)
class _Signature:
    """A registered function, and the names of its inputs in `_input_spec`."""

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: tuple[str, ...]


def signature(*inputs: str) -> Callable[[Any], Any]:
    """Registers a function of (served, *inputs) as the signature of its name; an input is a name in `_input_spec`."""

    def register(function: Any) -> Any:
        SIGNATURES[function.__name__] = _Signature(function, inputs)
        return function

    return register


def _input_spec(served: Served, name: str) -> tf.TensorSpec:
    specs = {
        "item": tf.TensorSpec([None, *served.item_shape], tf.float32, served.item_name),
        "z": tf.TensorSpec([None, served.vae.latent_size], tf.float32, "z"),
        "seed": tf.TensorSpec([None], tf.int64, "seed"),
        "label": tf.TensorSpec([None], tf.int64, "label"),
        "mask": tf.TensorSpec([None, *served.item_shape], tf.bool, "mask"),
        "noise": tf.TensorSpec([None, served.vae.latent_size], tf.float32, "noise"),
    }
    return specs[name]


@signature("item")
def serving_default(served: Served, item: tf.Tensor) -> dict[str, tf.Tensor]:
    """How unlike the training data each row is: -log p(x) as `score` estimates it, in nats."""
    scores = score(served, item, served.fixed_seed(item))
    return {"anomaly_score": -scores["log_likelihood"], "elbo": scores["elbo"], "valid": scores["valid"]}


@signature("item")
def encode(served: Served, item: tf.Tensor) -> dict[str, tf.Tensor]:
    """The moments of q(z|x), of a flow those of draws from a fixed seed; the Cholesky factor of a full covariance."""
    posterior = served.posterior(item)
    keys = served.keys(served.fixed_seed(item), random.POSTERIOR)
    noise = random.normals(keys, served.vae.latent_size, num_samples=served.num_samples)
    outputs = dict(zip(("mean", "stddev"), moments(posterior, noise), strict=True))
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


@signature("item", "seed")
def score(served: Served, item: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """An estimate of log p(x), the ELBO and its two terms, in nats, from the same posterior samples of each row."""
    # A row that is not valid has a finite mark, on the bad side of each number.
    estimate, valid = served.estimate(item, seed)
    rate, distortion = tf.cast(estimate["rate"], tf.float32), tf.cast(estimate["distortion"], tf.float32)
    gains = {"log_likelihood": estimate["log_likelihood"], "elbo": -(rate + distortion)}
    costs = {"rate": rate, "distortion": distortion}
    return {
        **{name: tf.where(valid, tf.cast(gain, tf.float32), -SENTINEL) for name, gain in gains.items()},
        **{name: tf.where(valid, tf.cast(cost, tf.float32), SENTINEL) for name, cost in costs.items()},
        "valid": valid,
    }


def trace(vae: VAE, item_shape: tuple[int, ...], *, num_samples: int) -> tuple[Served, dict[str, Any], dict[str, str]]:
    """Traces every signature.

    Args:
      vae: the model; nothing of it changes.
      item_shape: of one item.
      num_samples: K, see `Served`.

    Returns:
      the served model; the concrete function of each signature, whose variables are the model's own; and of each
      signature that this model cannot have, the reason.

    Raises:
      ValueError: for an item shape that is not the encoder's, or networks that draw random numbers.
    """
    if tuple(item_shape) != vae.item_shape:
        raise ValueError(f"item_shape: received {tuple(item_shape)}, expected the encoder's {vae.item_shape}")
    served = Served(vae, vae.item_shape, num_samples)
    functions, left_out = {}, {}
    with without_draws(vae):
        for name in SIGNATURES:
            try:
                functions[name] = _trace(served, name)
            except NotImplementedError as error:
                left_out[name] = str(error)
    for name, function in functions.items():
        drawn = stateful_random_ops(function)
        if drawn:
            raise ValueError(
                f"vae: its networks draw random numbers ({', '.join(sorted(drawn))} in {name!r}), expected networks "
                "that are deterministic outside training: rows of an export depend on their own seed only"
            )
    return served, functions, left_out


def input_specs(served: Served, name: str) -> list[tf.TensorSpec]:
    """What a signature takes; one of a conditional model takes the label of each row with everything."""
    conditional = bool(served.vae.num_labels)
    return [_input_spec(served, one) for one in (*SIGNATURES[name].inputs, *(["label"] if conditional else []))]


def evaluate(served: Served, name: str, given: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a signature gives for the tensors that `input_specs` names; eagerly, or in a graph.

    Raises:
      NotImplementedError: for a signature that this model cannot have, with the reason.
    """
    specs = input_specs(served, name)
    # A signature alone does not keep out other shapes with as many numbers.
    inputs = [tf.ensure_shape(value, spec.shape) for value, spec in zip(given, specs, strict=True)]
    count = tf.shape(inputs[0])[0]
    for value, spec in zip(inputs[1:], specs[1:], strict=True):
        # One row would broadcast in silence.
        message = f"{spec.name} has another number of rows than {specs[0].name}"
        tf.debugging.assert_equal(tf.shape(value)[0], count, message)
    # Some networks refuse a batch of no rows (convolutions do): it gets one, which leaves at the end.
    missing = tf.cast(count == 0, tf.int32)
    inputs = [tf.pad(value, [[0, missing]] + [[0, 0]] * (value.shape.rank - 1)) for value in inputs]
    labels = inputs.pop() if served.vae.num_labels else None
    # Rows are current for their labels, and so that the KL regularizer stays out of the graph.
    with plain_rows(count + missing, labels=labels).current():
        outputs = SIGNATURES[name].function(served, *inputs)
    outputs = {key: value[:count] for key, value in outputs.items()}
    return {key: tf.cast(v, tf.float32) if v.dtype.is_floating else v for key, v in outputs.items()}


def _trace(served: Served, name: str) -> Any:
    def run(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        return evaluate(served, name, given)

    run.__name__ = name
    return tf.function(run, input_signature=input_specs(served, name), autograph=False).get_concrete_function()
