"""The variational autoencoder as a Keras model. It has no loss of its own: see `tfvae.objectives`."""

from typing import Any

import tensorflow as tf
import tf_keras
from tensorflow_probability import distributions as tfd

from tfvae import random
from tfvae.checks import distribution_layer, refuse_other_regularizer
from tfvae.execution import Execution
from tfvae.kinds import Objective
from tfvae.networks import has_convolutions
from tfvae.objectives import SGVB_B, Terms
from tfvae.posteriors import draw
from tfvae.priors import standard_normal
from tfvae.regularizers import KLRegularizer, plain
from tfvae.rows import Rows, batch_rows, current_rows

_METRICS = ("loss", "elbo", "rate", "distortion")
_FIRST = tf.VariableAggregation.ONLY_FIRST_REPLICA


class VAE(tf_keras.Model):
    """A posterior, a prior and a likelihood over two Keras networks (Kingma & Welling 2013, section 3).

    Args:
      encoder: a tf_keras model of known input shape: x `[rows, *item_shape]` to a
        `tfp.layers` posterior over z `[rows, latent_size]`. The KL regularizer is attached
        to that layer, unless it carries one already.
      decoder: a tf_keras model: z `[rows, latent_size]` to a `tfp.layers` likelihood of x.
      prior: p(z), of event shape `[latent_size]`; N(0, I) if None.
      seed: of the noise.

    Raises:
      ValueError: for a network that is not a tf_keras model ending in a `tfp.layers` layer.
    """

    def __init__(
        self,
        encoder: tf_keras.Model,
        decoder: tf_keras.Model,
        prior: tfd.Distribution | None = None,
        *,
        seed: int = 0,
        name: str = "vae",
    ) -> None:
        super().__init__(name=name, dtype="float32")
        posterior_layer = distribution_layer(encoder, "encoder")
        distribution_layer(decoder, "decoder")
        self.encoder, self.decoder, self.seed = encoder, decoder, seed
        if not isinstance(posterior_layer.activity_regularizer, KLRegularizer):
            refuse_other_regularizer(posterior_layer)
            prior = standard_normal(int(encoder.output_shape[-1])) if prior is None else prior
            posterior_layer.activity_regularizer = KLRegularizer(prior)
        elif prior is not None and prior is not posterior_layer.activity_regularizer.prior:
            raise ValueError("prior: the encoder's KL regularizer holds another prior, expected the same one or None")
        self._posterior_layer = posterior_layer
        self.regularizer = posterior_layer.activity_regularizer
        self.latent_size = int(self.prior.event_shape[-1])
        # Optimizer steps made, rows of the test pass seen, and the first step whose loss was not finite.
        self.steps = self._counter("steps", 0)
        self._test_rows = self._counter("test_rows", 0)
        self.first_bad_step = self._counter("first_bad_step", -1)
        # One attribute each: Keras keeps metrics in attributes apart from the weights.
        for metric in _METRICS:
            setattr(self, f"_{metric}_mean", tf_keras.metrics.Mean(metric))
        self.built = True  # both networks are: `summary` and `load_weights` need no call first

    @staticmethod
    def _counter(name: str, value: int) -> tf.Variable:
        return tf.Variable(value, dtype=tf.int64, trainable=False, name=name, aggregation=_FIRST)

    @property
    def prior(self) -> tfd.Distribution:
        """p(z), event shape `[latent_size]`."""
        return self.regularizer.prior

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        return [getattr(self, f"_{metric}_mean") for metric in _METRICS]

    def encode(self, x: Any) -> tfd.Distribution:
        """q(z|x) for x `[rows, *item_shape]`: batch shape `[rows]`, event shape `[latent_size]`."""
        return plain(self.encoder(x, training=_training()))

    def decode(self, z: Any) -> tfd.Distribution:
        """p(x|z) for z `[..., latent_size]`: batch shape `[...]`, event shape `item_shape`."""
        z = tf.convert_to_tensor(z)
        if z.shape.rank == 2:
            return plain(self.decoder(z, training=_training()))
        likelihood = self.decode(tf.reshape(z, [-1, z.shape[-1]]))
        return tfd.BatchReshape(likelihood, tf.shape(z)[:-1])

    def call(self, x: Any, training: bool | None = None) -> tfd.Distribution:
        """p(x|z) at one draw of z from q(z|x); as a tensor it is what the decoder's layer says, by default a mean."""
        z = draw(plain(self.encoder(x, training=training)))
        return self.decoder(z, training=training)

    def log_likelihood(self, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """log p(x|z).

        Args:
          x: `[rows, *item_shape]`.
          z: `[num_samples, rows, latent_size]`.

        Returns:
          float32 `[num_samples, rows]`, nats.
        """
        num_samples = z.shape[0]
        # One flat batch for the decoder, whose network takes one axis of rows.
        tiled = tf.tile(x, [num_samples] + [1] * (x.shape.rank - 1)) if num_samples != 1 else x
        likelihood = self.decode(tf.reshape(z, [-1, z.shape[-1]]))
        return tf.reshape(likelihood.log_prob(tiled), [num_samples, -1])

    # Keras ------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "adam",
        *,
        objective: Objective | None = None,
        steps_per_execution: int = 1,
        jit_compile: bool | str | None = "auto",
        run_eagerly: bool | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Configures training.

        Args:
          optimizer: a tf_keras optimizer or its name.
          objective: what is minimised; `SGVB_B()` if None.
          steps_per_execution: optimizer steps that run as one compiled program.
          jit_compile: XLA: True, False, or "auto": on for dense networks and on GPUs, off
            for convolutions on a CPU and for several replicas.
          run_eagerly: one step at a time, without a graph, for debugging.
          batch_size: rows that smaller batches are padded to; None: as many as in the
            largest batch seen. Fixes the compiled shape, and with it the last digits, of a
            run that may be resumed at any step.

        Raises:
          ValueError: for `jit_compile=True` with several replicas.
        """
        optimizer = tf_keras.optimizers.get(optimizer)
        half = any(layer.dtype_policy.name == "mixed_float16" for layer in self._flatten_layers())
        if half and not isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
            optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
        self._jit = self.use_jit(jit_compile)
        self._batch_size = batch_size
        self.objective = SGVB_B() if objective is None else objective
        # Execution compiles: Keras's own loop must not do so a second time.
        super().compile(
            optimizer=optimizer, steps_per_execution=steps_per_execution, run_eagerly=run_eagerly, jit_compile=False
        )

    def use_jit(self, jit_compile: bool | str | None) -> bool:
        """Whether XLA compiles this model's programs: see `compile`."""
        if jit_compile not in (True, False, None, "auto"):
            raise ValueError(f"jit_compile: received {jit_compile!r}, expected True, False or 'auto'")
        replicated = self.distribute_strategy.num_replicas_in_sync > 1
        if jit_compile is True and replicated:
            raise ValueError("jit_compile: received True with several replicas, expected 'auto' or False")
        if jit_compile == "auto":
            on_gpu = bool(tf.config.list_logical_devices("GPU"))
            return not replicated and (on_gpu or not has_convolutions(self))
        return bool(jit_compile)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on a batch: x, or a tuple that starts with it."""
        self._train(_inputs(data), _num_rows(data))
        return self._logs()

    def test_step(self, data: Any) -> dict[str, Any]:
        """The terms of one batch, added to the metrics."""
        self._test(_inputs(data), _num_rows(data))
        return self._logs()

    def predict_step(self, data: Any) -> tf.Tensor:
        """The mean of p(x|z) at the mean of q(z|x), `[rows, *item_shape]`."""
        x, _, _ = tf_keras.utils.unpack_x_y_sample_weight(data)
        return self.decode(self.encode(x).mean()).mean()

    def make_train_function(self, force: bool = False) -> Any:
        if self.run_eagerly or type(self).train_step is not VAE.train_step:
            return super().make_train_function(force)
        if force or self.train_function is None:  # type: ignore[has-type]
            # Variables cannot be made inside a compiled loop.
            self.optimizer.build(self.trainable_variables)
            self.train_function = self._execution(self._train, self._train_counter)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.run_eagerly or type(self).test_step is not VAE.test_step:
            return super().make_test_function(force)
        if force or self.test_function is None:  # type: ignore[has-type]
            self.test_function = self._execution(self._test, self._test_counter)
        return self.test_function

    def reset_metrics(self) -> None:
        super().reset_metrics()
        self._test_rows.assign(0)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Refused: Keras cannot restore distribution layers."""
        raise NotImplementedError(
            "a VAE is not saved by Keras, which cannot restore its tfp.layers: use save_weights, or "
            "tfvae.export.export_saved_model for a SavedModel with signatures"
        )

    # One step ---------------------------------------------------------------

    def _execution(self, step: Any, counter: tf.Variable) -> Execution:
        def counted(inputs: Any, count: tf.Tensor) -> None:
            step(inputs, count)
            counter.assign_add(1)

        return Execution(
            _inputs,
            counted,
            self._logs,
            steps_per_execution=int(self._steps_per_execution.numpy()),
            remaining=lambda: int(self._steps_per_execution.numpy()),
            jit_compile=self._jit,
            batch_size=self._batch_size,
        )

    def _logs(self) -> dict[str, Any]:
        return {metric.name: metric.result() for metric in self.metrics}

    def _train(self, inputs: Any, count: tf.Tensor) -> None:
        step = tf.identity(self.steps)
        self.regularizer.weight.assign(self.objective.weight_at(step))
        x, rows = self._unpack(inputs, count, stream=random.TRAINING, step=step, first_row=tf.zeros([], tf.int64))
        rows.training = True
        with tf.GradientTape() as tape:
            loss, terms = self._loss(x, rows)
        self.optimizer.minimize(loss, self.trainable_variables, tape=tape)
        self._record(terms, rows)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            loss = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, loss)
        first = self.first_bad_step
        first.assign(tf.where((first < 0) & ~tf.math.is_finite(loss), step, first))
        self.steps.assign_add(1)

    def _test(self, inputs: Any, count: tf.Tensor) -> None:
        zero = tf.zeros([], tf.int64)
        x, rows = self._unpack(
            inputs, count, stream=random.VALIDATION, step=zero, first_row=tf.identity(self._test_rows)
        )
        self._record(self._loss(x, rows)[1], rows)
        self._test_rows.assign_add(tf.cast(rows.total, tf.int64))

    def _unpack(self, inputs: Any, count: tf.Tensor, **noise: Any) -> tuple[tf.Tensor, Rows]:
        x, weights = (*inputs, None)[:2]
        size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        return x, batch_rows(count, size=size, weights=weights, seed=self.seed, **noise)

    def _loss(self, x: tf.Tensor, rows: Rows) -> tuple[tf.Tensor, Terms]:
        """This replica's share of the loss of the global batch, and the terms with their whole loss."""
        rows.regularize = self.objective.regularizes
        with rows.current():
            terms = self.objective.terms(self, x, rows)
        # What layers add is a mean over the batch already: the KL, and the user's own, such as weight decay.
        kl = self._posterior_layer.losses
        known = {id(loss) for loss in kl}
        own = sum((loss for loss in self.losses if id(loss) not in known), start=tf.zeros([]))
        loss = rows.mean(terms.loss) + (sum(kl) + own) / self.distribute_strategy.num_replicas_in_sync
        terms.loss += own
        if rows.regularize:
            terms.loss += self.regularizer.weight * terms.rate
        return loss, terms

    def _record(self, terms: Terms, rows: Rows) -> None:
        values = {"loss": terms.loss, "elbo": -(terms.distortion + terms.rate)}
        values |= {"rate": terms.rate, "distortion": terms.distortion}
        for metric in self.metrics:
            value = values[metric.name]
            metric.update_state(tf.where(rows.weights > 0.0, value, 0.0), rows.weights)


def _training() -> bool | None:
    """What the current step says of dropout and its like; outside a step Keras decides."""
    rows = current_rows()
    return None if rows is None else rows.training


def _inputs(data: Any) -> tuple[tf.Tensor, ...]:
    """(x) or (x, weights of the rows) of what Keras calls data; y means nothing to a VAE."""
    x, _, weights = tf_keras.utils.unpack_x_y_sample_weight(data)
    return (x,) if weights is None else (x, weights)


def _num_rows(data: Any) -> tf.Tensor:
    return tf.shape(tf.nest.flatten(data)[0], out_type=tf.int64)[0]
