"""The floor of W1: the matrix products of a step, forward and backward, alone, as one compiled program.

No biases, activations, noise, densities or optimizer: what a program of this network cannot do without.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from workers import serve

HIDDEN, LATENT, BATCH_SIZE, STEPS = 500, 20, 100, 100


class Floor:
    """The products of as many batches as there are, 100 in one program, as tfvae stacks them."""

    def ready(self, work: str, data: str, num_images: int) -> dict[str, Any]:
        """Reads the images, uint8 `[n, 784]`."""
        x = np.load(data, mmap_mode="r")[:num_images].astype(np.float32)
        self.steps = min(STEPS, len(x) // BATCH_SIZE)
        self.programs = len(x) // (self.steps * BATCH_SIZE)
        x = x[: self.programs * self.steps * BATCH_SIZE]
        self.x = [tf.constant(part) for part in x.reshape(self.programs, self.steps, BATCH_SIZE, -1)]
        generator, sizes = (
            np.random.default_rng(0),
            ((784, HIDDEN), (HIDDEN, 2 * LATENT), (LATENT, HIDDEN), (HIDDEN, 784)),
        )
        self.kernels = [tf.constant(generator.normal(0.0, size[0] ** -0.5, size), tf.float32) for size in sizes]
        self.run = tf.function(self._run, jit_compile=True, autograph=False)
        return {"tensorflow": tf.__version__}

    def _run(self, batches: tf.Tensor, kernels: list[tf.Tensor]) -> list[tf.Tensor]:
        def step(index: tf.Tensor, _: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            with tf.GradientTape() as tape:
                tape.watch(kernels)
                parameters = batches[index] @ kernels[0] @ kernels[1]
                outputs = parameters[:, :LATENT] @ kernels[2] @ kernels[3]
                half_square = 0.5 * tf.reduce_sum(outputs**2)  # whose gradient is the outputs
            # The loop carries them, and nothing reads them: it costs no pass over the memory.
            return index + 1, tape.gradient(half_square, kernels)

        start = (tf.constant(0), [tf.zeros_like(kernel) for kernel in kernels])
        return tf.while_loop(lambda index, _: index < self.steps, step, start, parallel_iterations=1)[1]

    def epoch(self) -> dict[str, Any]:
        """One pass."""
        for batches in self.x:
            found = self.run(batches, self.kernels)
        found[0].numpy()
        return {"images": self.programs * self.steps * BATCH_SIZE}


if __name__ == "__main__":
    side = Floor()
    serve({"ready": side.ready, "epoch": side.epoch})
