"""The kinds of components that make a model, and what each must offer.

TensorFlow is not imported here, so Keras models, layers and distributions are `Any`.
"""

from typing import Any, ClassVar

from tfvae.component import Component


class Network(Component):
    """Kind of the Keras networks between x and z: see `tfvae.networks`."""

    __slots__ = ()

    def encoder(self, item_shape: tuple[int, ...], num_params: int, *, policy: str = "float32") -> Any:
        """A tf_keras model: x `[rows, *item_shape]` to parameters `[rows, num_params]`.

        Args:
          policy: the Keras dtype policy of its layers.
        """
        raise NotImplementedError

    def decoder(
        self,
        latent_size: int,
        item_shape: tuple[int, ...],
        params_per_dim: int,
        *,
        output_bias: Any = None,
        policy: str = "float32",
    ) -> Any:
        """A tf_keras model: z `[rows, latent_size]` to `[rows, params_per_dim * prod(item_shape)]`.

        One kind of parameter comes after the other: all means, then all raw scales.

        Args:
          output_bias: initial value of the last bias, flat, or None for zeros.
          policy: the Keras dtype policy of its layers.
        """
        raise NotImplementedError


class Prior(Component):
    """Kind of p(z): see `tfvae.priors`."""

    __slots__ = ()

    def build(self, latent_size: int) -> Any:
        """The TFP distribution of z: no batch shape, event shape `[latent_size]`."""
        raise NotImplementedError


class Posterior(Component):
    """Kind of q(z|x): see `tfvae.posteriors`."""

    __slots__ = ()

    def params_size(self, latent_size: int) -> int:
        """How many numbers the encoder's network gives for one example."""
        raise NotImplementedError

    def layer(self, latent_size: int, activity_regularizer: Any) -> Any:
        """The `tfp.layers` layer over them, with the regularizer attached."""
        raise NotImplementedError


class Likelihood(Component):
    """Kind of p(x|z): see `tfvae.likelihoods`.

    Attributes:
      params_per_dim: how many numbers the decoder's network gives for each dimension of x.
    """

    __slots__ = ()

    params_per_dim: ClassVar[int] = 1

    def layer(self, item_shape: tuple[int, ...]) -> Any:
        """The `tfp.layers` layer over them; as a tensor it is the mean."""
        raise NotImplementedError

    def output_bias(self, mean: Any) -> Any:
        """Parameters, flat, that give the data's mean `[*item_shape]` whatever z is."""
        raise NotImplementedError

    def check(self, values: Any, *, field: str = "data") -> None:
        """Raises `InputError`, beginning with `field`, where p(x|z) has no density or mass at `values`."""
        raise NotImplementedError


class Objective(Component):
    """Kind of what is minimised: see `tfvae.objectives`.

    Attributes:
      regularizes: whether the KL enters the loss through the posterior's activity
        regularizer; False for an objective with a KL of its own.
    """

    __slots__ = ()

    regularizes: ClassVar[bool] = True

    def weight_at(self, step: Any) -> Any:
        """The factor of the rate in the loss at an optimizer step; 1 for the ELBO."""
        return 1.0

    def terms(self, vae: Any, x: Any, rows: Any) -> Any:
        """The `tfvae.objectives.Terms` of x `[rows, *item_shape]`, per example, in nats."""
        raise NotImplementedError
