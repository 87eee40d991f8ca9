"""Data like the data: latents from the prior or from the aggregate posterior, decoded to means or draws."""

import dataclasses
import warnings

import numpy as np
import tensorflow as tf

from tfvae import random
from tfvae.errors import InputError
from tfvae.inference.model import Model, seeds
from tfvae.inference.sheet import Sheet

VALUES = ("mean", "sample")

_MOST_COMPONENTS = 10  # of the mixture that is fitted to codes
_CODES_FOR_EACH = 50  # codes that a component needs at least


def samples(
    model: Model,
    count: int = 100,
    *,
    seed: int = 0,
    label: int | None = None,
    values: str = "mean",
    temperature: float = 1.0,
    aggregate: "AggregatePosterior | None" = None,
    columns: int = 10,
) -> Sheet:
    """Items at z ~ p(z), or at draws from the aggregate posterior.

    Args:
      model: the model.
      count: n; the first are the same however many there are.
      seed: of all draws.
      label: of every item of a conditional model; None: each column has the next label.
      values: `mean`, the mean of p(x|z), or `sample`, a draw x ~ p(x|z).
      temperature: standard deviation of the noise behind z; below 1 items are more typical and less varied.
      aggregate: where z comes from in place of the prior.
      columns: items in a row.

    Raises:
      InputError: where the model cannot be drawn from in this way.

    Returns:
      a sheet of n items with `z` and, for a conditional model, `labels`.
    """
    if model.num_labels and label is None:
        columns = model.num_labels
    labels = _labels(model, count, label)
    if aggregate is None:
        z = prior_latents(model, count, seed=seed, temperature=temperature, labels=labels)
    else:
        z = aggregate.latents(count, seed=seed, temperature=temperature)
    arrays = {"z": z} if labels is None else {"z": z, "labels": labels}
    return Sheet(decoded(model, z, labels, values=values, seed=seed), columns, arrays)


def _labels(model: Model, count: int, label: int | None) -> np.ndarray | None:
    if not model.num_labels:
        return None
    return np.arange(count) % model.num_labels if label is None else np.full(count, label)


def decoded(
    model: Model, z: np.ndarray, labels: np.ndarray | None = None, *, values: str = "mean", seed: int = 0
) -> np.ndarray:
    """Items at z `[n, latent_size]`: means of p(x|z), or draws by a seed, float32 `[n, *item_shape]`."""
    if values == "mean":
        return model.decode(z, labels)
    return model.rows("decode_sample", z=z, seed=seeds(seed, len(z), use=random.LIKELIHOOD), labels=labels)["item"]


def prior_latents(
    model: Model, count: int, *, seed: int = 0, temperature: float = 1.0, labels: np.ndarray | None = None
) -> np.ndarray:
    """z ~ p(z), float32 `[count, latent_size]`: the first are the same however many there are.

    Raises:
      InputError: for a temperature other than 1 and a prior that is no image of normal noise, such as a mixture.
    """
    labels = model.any_labels(count) if labels is None else labels
    keys = random.row_keys(seed, random.PRIOR, rows=tf.range(count))
    noise = temperature * random.normals(keys, model.latent_size)[0].numpy()
    try:
        return model.rows("prior", noise=noise, labels=labels)["z"]
    except InputError as error:
        if temperature != 1.0:
            raise InputError(f"--temperature: received {temperature:g}, expected 1: {error}") from error
    return model.rows("generate", seed=seeds(seed, count, use=random.PRIOR), labels=labels)["z"]


@dataclasses.dataclass(frozen=True)
class AggregatePosterior:
    """q(z) = 1/N sum_n q(z|x_n) as a mixture of normals, fitted after training.

    Where the prior has holes, regions that no example is encoded to, draws from it are nothing like the data; draws
    from q(z) are (Ghosh et al. 2020, From variational to deterministic autoencoders, section 4).

    Attributes:
      model: whose codes these are.
      mixture: scikit-learn's, over coordinates of z without limits.
    """

    model: Model
    mixture: object

    @classmethod
    def fit(
        cls, model: Model, x: np.ndarray, labels: np.ndarray | None = None, *, seed: int = 0, draws: bool = True
    ) -> "AggregatePosterior":
        """Fits a mixture with full covariances to one draw z ~ q(z|x) of each example.

        Args:
          model: the model.
          x: examples `[n, *item_shape]`, of the training set; the more latents the more are needed.
          labels: of a conditional model.
          seed: of the draws and of the fit.
          draws: False fits the means of q(z|x), as for an autoencoder whose q has no width that was learned.

        Raises:
          InputError: for fewer examples than twice the latents.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        if len(x) < 2 * model.latent_size:
            raise InputError(
                f"--latents: received {len(x)} examples for the aggregate posterior, expected at least "
                f"{2 * model.latent_size} for {model.latent_size} latents"
            )
        if draws:
            given = seeds(seed, len(x), use=random.POSTERIOR)
            z = model.rows("encode_sample", item=x, seed=given, labels=labels, progress="encoding")["z"]
        else:
            z = model.rows("encode", item=x, labels=labels, progress="encoding")["mean"]
        y = model.space.y(z).numpy().astype(np.float64)
        components = int(np.clip(len(y) // (_CODES_FOR_EACH * model.latent_size), 1, _MOST_COMPONENTS))
        mixture = GaussianMixture(components, reg_covar=1e-4, random_state=seed % 2**32, max_iter=200)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a density that is nearly the best is one
            mixture.fit(y)
        return cls(model, mixture)

    def latents(self, count: int, *, seed: int = 0, temperature: float = 1.0) -> np.ndarray:
        """z ~ q(z), float32 `[count, latent_size]`; `temperature` multiplies the deviation from a component's mean."""
        generator = np.random.default_rng(seed)
        which = np.searchsorted(np.cumsum(self.mixture.weights_)[:-1], generator.random(count))  # type: ignore[attr-defined]
        roots = np.linalg.cholesky(self.mixture.covariances_)  # type: ignore[attr-defined]
        noise = temperature * generator.standard_normal((count, roots.shape[-1]))
        y = self.mixture.means_[which] + np.einsum("nij,nj->ni", roots[which], noise)  # type: ignore[attr-defined]
        return self.model.space.z(tf.constant(y, tf.float32)).numpy()
