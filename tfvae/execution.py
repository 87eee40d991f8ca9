"""Runs several optimizer steps as one compiled program.

Keras hands over an iterator of ordinary batches. Up to `steps_per_execution` of them
are taken, padded to one static shape, stacked, and run in one `tf.while_loop`: one trace
whatever the last batch's size, which XLA (and a full-covariance posterior under it)
needs. Where the iterator gives a `tfvae.stacks.Stack`, all that was done in the pipeline already, while
the steps before ran. With several replicas the loop stands around `strategy.run` instead, as
collectives cannot stand inside a compiled loop on CPUs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from tfvae.stacks import Stack


class Execution:
    """A Keras train or test function: takes an iterator, returns the logs of its last step.

    Args:
      inputs: what a step needs of what Keras calls data: nested tensors `[rows, ...]`.
      step: called in replica context with (inputs, count): of the rows the first `count` are real.
      logs: called after each execution; gives what Keras shows.
      steps_per_execution: at most so many steps in one program.
      remaining: gives how many steps this call may make: Keras lowers it at an epoch's end.
      jit_compile: whether the program is compiled by XLA.
      batch_size: rows of a full global batch, where they are known beforehand.
    """

    def __init__(
        self,
        inputs: Callable[[Any], Any],
        step: Callable[[Any, tf.Tensor], None],
        logs: Callable[[], dict[str, Any]],
        *,
        steps_per_execution: int,
        remaining: Callable[[], int],
        jit_compile: bool,
        batch_size: int | None = None,
    ) -> None:
        self._inputs, self._step, self._logs, self._remaining = inputs, step, logs, remaining
        self._steps = steps_per_execution
        self._strategy = tf.distribute.get_strategy()
        # Keras cuts a batch into equal parts, rounded up.
        self._rows = -(-(batch_size or 0) // self._strategy.num_replicas_in_sync)
        # Not the bound method: TensorFlow counts retraces of one for all instances together.
        self._program = tf.function(lambda *inputs: self._run(*inputs), jit_compile=jit_compile, autograph=False)

    def __call__(self, iterator: Iterator[Any]) -> dict[str, Any]:
        first = next(iterator)
        data, counts, num_steps = (
            self._of_stack(first) if isinstance(first, Stack) else self._of_batches(self._take(first, iterator))
        )
        self._program(data, counts, tf.constant(num_steps, tf.int32))
        return self._logs()

    def _of_stack(self, stack: Stack) -> tuple[Any, tf.Tensor, int]:
        """What the program takes: data, counts and the number of steps."""
        if self._strategy.num_replicas_in_sync > 1:
            raise ValueError("x: received stacks of batches for several replicas, expected batches")
        num_steps, remaining = int(tf.math.count_nonzero(stack.counts)), self._remaining()
        if num_steps != remaining:
            raise ValueError(f"x: received a stack of {num_steps} batches, expected {remaining} for the next steps")
        return self._inputs(stack), stack.counts, num_steps

    def _of_batches(self, batches: list[Any]) -> tuple[Any, Any, int]:
        """As `_of_stack`."""
        structure = batches[0]
        # replicas x steps x leaves
        replicas = list(zip(*(self._per_replica(batch) for batch in batches), strict=True))
        # Static from here on; a later, larger batch makes a second trace.
        self._rows = max(self._rows, *(int(leaves[0].shape[0]) for steps in replicas for leaves in steps))
        stacks = [self._stack(steps) for steps in replicas]
        counts = [
            tf.constant([leaves[0].shape[0] for leaves in steps] + [0] * (self._steps - len(steps)), tf.int64)
            for steps in replicas
        ]
        data = tf.nest.pack_sequence_as(structure, [self._distribute(leaf) for leaf in zip(*stacks, strict=True)])
        return data, self._distribute(counts), len(batches)

    def _take(self, first: Any, iterator: Iterator[Any]) -> list[Any]:
        """The first batch and those after it; at the end of the data as many as there are."""
        batches = [self._inputs(first)]
        for _ in range(min(self._steps, self._remaining()) - 1):
            try:
                batches.append(self._inputs(next(iterator)))
            except (StopIteration, tf.errors.OutOfRangeError):
                break
        return batches

    def _per_replica(self, batch: Any) -> list[list[tf.Tensor]]:
        """The leaves of a batch on each replica of this worker."""
        leaves = [self._strategy.experimental_local_results(leaf) for leaf in tf.nest.flatten(batch)]
        return [[tf.convert_to_tensor(value) for value in values] for values in zip(*leaves, strict=True)]

    def _stack(self, steps: Any) -> list[tf.Tensor]:
        """Leaves `[steps, rows, ...]`, padded in both."""
        return [self._stack_leaf(values) for values in zip(*steps, strict=True)]

    def _stack_leaf(self, values: Any) -> tf.Tensor:
        padded = []
        for value in values:
            count = int(value.shape[0])
            if count == 0:  # a replica that got none
                value = tf.zeros([self._rows, *value.shape[1:]], value.dtype)
            elif count < self._rows:
                # The rows over again: they weigh nothing in the loss, and spoil no batch statistics.
                value = tf.gather(value, tf.range(self._rows) % count)
            padded.append(value)
        padded += [tf.zeros_like(padded[0])] * (self._steps - len(padded))
        return tf.stack(padded)

    def _distribute(self, values: Any) -> Any:
        """One value for each replica as one distributed value."""
        if self._strategy.num_replicas_in_sync == 1:
            return values[0]
        # Asked for once for each replica of this worker, in order.
        local = iter(values)
        return self._strategy.experimental_distribute_values_from_function(lambda _: next(local))

    def _run(self, data: Any, counts: Any, num_steps: tf.Tensor) -> None:
        @tf.autograph.experimental.do_not_convert
        def replica_step(index: tf.Tensor, data: Any, counts: tf.Tensor) -> None:
            self._step(tf.nest.map_structure(lambda leaf: leaf[index], data), counts[index])

        def body(index: tf.Tensor) -> tuple[tf.Tensor]:
            self._strategy.run(replica_step, args=(index, data, counts))
            return (index + 1,)

        if self._steps == 1:
            body(tf.constant(0))
        else:
            tf.while_loop(lambda index: index < num_steps, body, (tf.constant(0),), parallel_iterations=1)
