"""The kinds of components that make a model, and what each must offer.

TensorFlow is not imported here, so Keras models, layers and distributions are `Any`.
"""

from typing import Any, ClassVar

from tfvae.component import Component
from tfvae.support import Support

# Where z can be, in words.
SUPPORTS = {"real": "any number", "positive": "positive", "unit": "in (0, 1)", "simplex": "on the simplex"}


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
    """Kind of p(z): see `tfvae.priors`.

    Attributes:
      support: of z: a name in `SUPPORTS`, or "any" for a prior that takes that of the posterior.
      min_latent_size: the smallest size it is defined for.
    """

    __slots__ = ()

    support: ClassVar[str] = "real"
    min_latent_size: ClassVar[int] = 1

    def build(self, latent_size: int) -> Any:
        """The TFP distribution of z: no batch shape, event shape `[latent_size]`."""
        raise NotImplementedError

    def build_beside(
        self, encode: Any, data_support: Support, item_shape: tuple[int, ...], latent_size: int, *, examples: Any = None
    ) -> Any:
        """As `build`, for a prior that is made of the encoder or begins from data; by default it is `build`.

        Args:
          encode: the function x `[rows, *item_shape]` -> q(z|x).
          data_support: of x.
          item_shape: of one x.
          latent_size: of z.
          examples: a function n -> at most n training examples, float32 `[n, *item_shape]`; None where a
            checkpoint will be restored, and with it what begins from data.
        """
        del encode, data_support, item_shape, examples
        return self.build(latent_size)


class Posterior(Component):
    """Kind of q(z|x): see `tfvae.posteriors`.

    Attributes:
      support: of z: a name in `SUPPORTS`.
      min_latent_size: the smallest size it is defined for.
    """

    __slots__ = ()

    support: ClassVar[str] = "real"
    min_latent_size: ClassVar[int] = 1

    def params_size(self, latent_size: int) -> int:
        """How many numbers the encoder's network gives for one example."""
        raise NotImplementedError

    def layer(self, latent_size: int, activity_regularizer: Any) -> Any:
        """The `tfp.layers` layer over them, with the regularizer attached."""
        raise NotImplementedError


class Likelihood(Component):
    """Kind of p(x|z): see `tfvae.likelihoods`.

    Attributes:
      scale: what values of x it takes, as `data.scale` names them: "unit", numbers in [0, 1], or
        "none", the stored values as they are.
    """

    __slots__ = ()

    scale: ClassVar[str] = "unit"

    @property
    def params_per_dim(self) -> int:
        """How many numbers the decoder's network gives for each dimension of `params_shape`."""
        return 1

    def params_shape(self, item_shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that the decoder's network works in; by default that of x."""
        return item_shape

    def layer(self, item_shape: tuple[int, ...]) -> Any:
        """The `tfp.layers` layer over them; as a tensor it is the mean."""
        raise NotImplementedError

    def features(self, item_shape: tuple[int, ...]) -> Any:
        """A Keras layer x `[rows, *item_shape]` -> what the encoder's network is given; None: x itself."""
        return None

    def output_bias(self, mean: Any) -> Any:
        """Parameters, flat, that give the data's mean `[*item_shape]` whatever z is."""
        raise NotImplementedError

    def support(self, item_shape: tuple[int, ...]) -> Support:
        """The values of x that have a density or mass."""
        raise NotImplementedError

    def check(self, values: Any, *, field: str = "data") -> None:
        """Raises `InputError`, beginning with `field`, where p(x|z) has no density or mass at `values`."""
        self.support(values.shape[1:]).check(values, field=field, likelihood=self.tag)


class Objective(Component):
    """Kind of what is minimised: see `tfvae.objectives`.

    Attributes:
      regularizes: whether the KL enters the loss through the posterior's activity
        regularizer; False for an objective with a KL of its own.
      num_samples: L, draws of z for each example.
      weighs_parameters: whether a posterior over the weights of layers has its KL in the loss.
    """

    __slots__ = ()

    regularizes: ClassVar[bool] = True
    weighs_parameters: ClassVar[bool] = False
    num_samples: int = 1

    def weight_at(self, step: Any) -> Any:
        """The factor of the rate in the loss at an optimizer step; 1 for the ELBO."""
        return 1.0

    def check(self, vae: Any) -> None:
        """Raises `InputError`, beginning with `objective`, where it cannot be had of a compiled model."""

    def quality(self, logs: Any) -> float:
        """What the best checkpoint and early stopping go by: higher is better; nats.

        Args:
          logs: `loss`, `elbo`, `rate` and `distortion`, averages over the validation examples.
        """
        return float(logs["elbo"])

    def terms(self, vae: Any, x: Any, rows: Any) -> Any:
        """The `tfvae.objectives.Terms` of x `[rows, *item_shape]`, per example, in nats."""
        raise NotImplementedError
