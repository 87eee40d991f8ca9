"""W1 in NumPyro: SVI over stax networks, as its VAE example has it (examples/vae.py of github.com/pyro-ppl/numpyro).

The epoch is one compiled `lax.scan`, where the example has `lax.fori_loop`. `TraceMeanField_ELBO` takes the closed form
of the KL, as all sides do.
"""

import importlib.metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.example_libraries import stax
from numpyro.infer import SVI, TraceMeanField_ELBO
from numpyro.optim import Adam
from workers import serve

BATCH_SIZE = 100


class NumPyro:
    """SVI state and data."""

    def ready(self, work: str, data: str, num_images: int) -> dict[str, Any]:
        """Reads the binary images, uint8 `[n, 784]`, and builds."""
        x = jnp.asarray(np.load(data, mmap_mode="r")[:num_images].astype(np.float32))
        heads = stax.parallel(stax.Dense(20), stax.serial(stax.Dense(20), stax.Exp))
        encoder = stax.serial(stax.Dense(500), stax.Tanh, stax.FanOut(2), heads)
        decoder = stax.serial(stax.Dense(500), stax.Tanh, stax.Dense(784))

        def model(x: jax.Array) -> None:
            decode = numpyro.module("decoder", decoder, (BATCH_SIZE, 20))
            with numpyro.plate("batch", BATCH_SIZE):
                z = numpyro.sample("z", dist.Normal(0, 1).expand([20]).to_event(1))
                numpyro.sample("x", dist.Bernoulli(logits=decode(z)).to_event(1), obs=x)

        def guide(x: jax.Array) -> None:
            mean, scale = numpyro.module("encoder", encoder, (BATCH_SIZE, 784))(x)
            with numpyro.plate("batch", BATCH_SIZE):
                numpyro.sample("z", dist.Normal(mean, scale).to_event(1))

        svi = SVI(model, guide, Adam(1e-3), TraceMeanField_ELBO())
        self.key, count = jax.random.PRNGKey(0), len(x) // BATCH_SIZE
        self.state, self.images = svi.init(self.key, x[:BATCH_SIZE]), count * BATCH_SIZE

        @jax.jit
        def run(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            order = jax.random.permutation(key, len(x))[: count * BATCH_SIZE].reshape(count, BATCH_SIZE)
            return jax.lax.scan(lambda state, rows: svi.update(state, x[rows]), state, order)

        self.run = run
        return {name: importlib.metadata.version(name) for name in ("jax", "numpyro")}

    def epoch(self) -> dict[str, Any]:
        """One pass over whole batches; the loss of a batch is a sum over its rows."""
        self.key, key = jax.random.split(self.key)
        self.state, losses = self.run(self.state, key)
        return {"images": self.images, "loss": float(losses.mean()) / BATCH_SIZE}


if __name__ == "__main__":
    side = NumPyro()
    serve({"ready": side.ready, "epoch": side.epoch})
