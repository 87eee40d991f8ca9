"""W1 and W2 in flax and optax, with an epoch as one `lax.scan`.

Model and loss are as in flax's own VAE (examples/vae of github.com/google/flax), which makes a compiled step a batch;
a scan of all steps of an epoch is faster.
"""

import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from workers import serve


class Dense(nn.Module):
    """x `[rows, 784]` to logits, means and log variances."""

    @nn.compact
    def __call__(self, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean, log_variance = jnp.split(nn.Dense(40)(jnp.tanh(nn.Dense(500)(x))), 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        return nn.Dense(784)(jnp.tanh(nn.Dense(500)(z))), mean, log_variance


class Convolutional(nn.Module):
    """x `[rows, 28, 28, 1]` to logits, means and log variances."""

    @nn.compact
    def __call__(self, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        h = nn.relu(nn.Conv(32, (3, 3), (2, 2))(x))
        h = nn.relu(nn.Conv(64, (3, 3), (2, 2))(h))
        h = nn.relu(nn.Dense(16)(h.reshape(len(h), -1)))
        mean, log_variance = jnp.split(nn.Dense(4)(h), 2, axis=-1)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        h = nn.relu(nn.Dense(7 * 7 * 64)(z)).reshape(-1, 7, 7, 64)
        h = nn.relu(nn.ConvTranspose(64, (3, 3), (2, 2))(h))
        h = nn.relu(nn.ConvTranspose(32, (3, 3), (2, 2))(h))
        return nn.ConvTranspose(1, (3, 3))(h), mean, log_variance


class Flax:
    """Parameters, optimizer state and data."""

    def ready(self, work: str, data: str, num_images: int) -> dict[str, Any]:
        """Reads the images, uint8 `[n, 784]`, and builds."""
        model, shape, size, top = (
            (Dense(), (784,), 100, 1) if work == "w1" else (Convolutional(), (28, 28, 1), 128, 255)
        )
        x = jnp.asarray(np.load(data, mmap_mode="r")[:num_images].astype(np.float32).reshape(-1, *shape) / top)
        optimizer, count = optax.adam(1e-3), len(x) // size
        self.key = jax.random.PRNGKey(0)
        parameters = model.init(self.key, x[:size], self.key)
        self.state, self.images = (parameters, optimizer.init(parameters)), count * size

        def loss_of(parameters: Any, x: jax.Array, key: jax.Array) -> jax.Array:
            logits, mean, log_variance = model.apply(parameters, x, key)
            distortion = optax.sigmoid_binary_cross_entropy(logits, x).reshape(len(x), -1).sum(-1)
            rate = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1).sum(-1)
            return (distortion + rate).mean()

        def step(state: Any, batch: Any) -> tuple[Any, jax.Array]:
            parameters, moments = state
            rows, key = batch
            loss, gradient = jax.value_and_grad(loss_of)(parameters, x[rows], key)
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(parameters, updates), moments), loss

        @jax.jit
        def run(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            order = jax.random.permutation(key, len(x))[: count * size].reshape(count, size)
            return jax.lax.scan(step, state, (order, jax.random.split(key, count)))

        self.run = run
        return {name: importlib.metadata.version(name) for name in ("jax", "flax", "optax")}

    def epoch(self) -> dict[str, Any]:
        """One pass over whole batches."""
        self.key, key = jax.random.split(self.key)
        self.state, losses = self.run(self.state, key)
        return {"images": self.images, "loss": float(losses.mean())}


if __name__ == "__main__":
    side = Flax()
    serve({"ready": side.ready, "epoch": side.epoch})
