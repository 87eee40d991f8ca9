"""How a model takes steps under Keras: compile, train and test functions, metrics, and the loss of a batch."""

from typing import Any

import tensorflow as tf
import tf_keras

from tfvae import random
from tfvae.errors import InputError
from tfvae.execution import Execution
from tfvae.kinds import Objective
from tfvae.networks import has_variational_layers, slow_under_xla
from tfvae.objectives import SGVB_B, Terms
from tfvae.rows import Rows, batch_rows
from tfvae.stacks import Stack

_METRICS = ("loss", "elbo", "rate", "distortion")
_FIRST = tf.VariableAggregation.ONLY_FIRST_REPLICA


class StepModel(tf_keras.Model):
    """A Keras model that minimises an objective, several steps to a program.

    A subclass has `num_labels`, 0 where it is not conditional, `regularizer`, the
    `tfvae.KLRegularizer` of its posterior, and `posterior_layer`, which carries that.

    Args:
      seed: of the noise.
    """

    num_labels: int
    regularizer: Any
    posterior_layer: Any

    def __init__(self, *, seed: int, name: str) -> None:
        super().__init__(name=name, dtype="float32")
        self.seed = seed
        self.num_examples: int | None = None
        # Optimizer steps made, rows of the test pass seen, and the first step whose loss was not finite.
        self.steps = self._counter("steps", 0)
        self._test_rows = self._counter("test_rows", 0)
        self.first_bad_step = self._counter("first_bad_step", -1)
        # One attribute each: Keras keeps metrics in attributes apart from the weights.
        for metric in _METRICS:
            setattr(self, f"_{metric}_mean", tf_keras.metrics.Mean(metric))

    @staticmethod
    def _counter(name: str, value: int) -> tf.Variable:
        return tf.Variable(value, dtype=tf.int64, trainable=False, name=name, aggregation=_FIRST)

    @property
    def metrics(self) -> list[tf_keras.metrics.Metric]:
        return [getattr(self, f"_{metric}_mean") for metric in _METRICS]

    def compile(
        self,
        optimizer: Any = "adam",
        *,
        objective: Objective | None = None,
        steps_per_execution: int = 1,
        jit_compile: bool | str | None = "auto",
        run_eagerly: bool | None = None,
        batch_size: int | None = None,
        num_examples: int | None = None,
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
          num_examples: N, the size of the training set, for objectives that scale by it.

        Raises:
          ValueError: for `jit_compile=True` with several replicas.
          InputError: for an objective that cannot be had of this model.
        """
        optimizer = tf_keras.optimizers.get(optimizer)
        half = any(layer.dtype_policy.name == "mixed_float16" for layer in self._flatten_layers())
        if half and not isinstance(optimizer, tf_keras.mixed_precision.LossScaleOptimizer):
            optimizer = tf_keras.mixed_precision.LossScaleOptimizer(optimizer)
        self._jit = self.use_jit(jit_compile)
        self._batch_size, self.num_examples = batch_size, num_examples
        self.steps_at_once = steps_per_execution  # Keras changes its own while it runs
        self.objective = SGVB_B() if objective is None else objective
        if has_variational_layers(self) and not self.objective.weighs_parameters:
            raise InputError(
                f"objective: received {self.objective.tag} for networks with a posterior over their weights, expected "
                "full_vb, or a network without"
            )
        self.objective.check(self)
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
            return not replicated and (on_gpu or not slow_under_xla(self))
        return bool(jit_compile)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One optimizer step on a batch: x, or a tuple that starts with it; y are the labels of a conditional model."""
        if isinstance(data, Stack):
            raise ValueError("x: received a stack of batches for one step, expected a batch")
        self._train(self._inputs(data), _num_rows(data))
        return self._logs()

    def test_step(self, data: Any) -> dict[str, Any]:
        """The terms of one batch, added to the metrics."""
        self._test(self._inputs(data), _num_rows(data))
        return self._logs()

    def make_train_function(self, force: bool = False) -> Any:
        if self.run_eagerly or type(self).train_step is not StepModel.train_step:
            return super().make_train_function(force)
        if force or self.train_function is None:  # type: ignore[has-type]
            # Variables cannot be made inside a compiled loop.
            self.optimizer.build(self.trainable_variables)
            self.train_function = self._execution(self._train, self._train_counter)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if self.run_eagerly or type(self).test_step is not StepModel.test_step:
            return super().make_test_function(force)
        if force or self.test_function is None:  # type: ignore[has-type]
            self.test_function = self._execution(self._test, self._test_counter)
        return self.test_function

    def reset_metrics(self) -> None:
        super().reset_metrics()
        self._test_rows.assign(0)

    # One step ---------------------------------------------------------------

    def _execution(self, step: Any, counter: tf.Variable) -> Execution:
        def counted(inputs: Any, count: tf.Tensor) -> None:
            step(inputs, count)
            counter.assign_add(1)

        return Execution(
            self._inputs,
            counted,
            self._logs,
            steps_per_execution=self.steps_at_once,
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
        x = inputs["x"]
        if "divisor" in inputs:
            x = tf.cast(x, tf.float32) / inputs["divisor"]
        size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        rows = batch_rows(count, size=size, weights=inputs.get("weights"), seed=self.seed, **noise)
        rows.labels, rows.step, rows.draw_weights = inputs.get("labels"), tf.identity(self.steps), True
        return x, rows

    def _loss(self, x: tf.Tensor, rows: Rows) -> tuple[tf.Tensor, Terms]:
        """This replica's share of the loss of the global batch, and the terms with their whole loss."""
        rows.regularize, rows.num_samples = self.objective.regularizes, self.objective.num_samples
        with rows.current():
            terms = self.objective.terms(self, x, rows)
        # What layers add is a mean over the batch already: the KL, and the user's own, such as weight decay.
        kl = self.posterior_layer.losses
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

    def _inputs(self, data: Any) -> dict[str, tf.Tensor]:
        """What a step needs of what Keras calls data; without labels to learn from, y means nothing."""
        if isinstance(data, Stack):
            inputs = {"x": data.values, "divisor": data.divisor}
            return inputs | ({"labels": data.labels} if self.num_labels else {})
        x, y, weights = tf_keras.utils.unpack_x_y_sample_weight(data)
        inputs = {"x": x} if weights is None else {"x": x, "weights": weights}
        if self.num_labels:
            if y is None:
                raise ValueError("y: received no labels, expected those of each row for a conditional model")
            if y.shape.rank not in (1, 2) or (y.shape.rank == 2 and y.shape[-1] != 1):
                raise ValueError(f"y: received the shape {tuple(y.shape)}, expected one whole number a row: its label")
            inputs["labels"] = tf.reshape(tf.cast(y, tf.int64), [-1])
        return inputs


def _num_rows(data: Any) -> tf.Tensor:
    return tf.shape(tf.nest.flatten(data)[0], out_type=tf.int64)[0]
