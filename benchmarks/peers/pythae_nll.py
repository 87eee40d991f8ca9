"""pythae's side of `benchmarks/log_likelihood.py`: `VAE.get_nll`, run by the Python of an environment with pythae.

The networks are those of pythae's own script for the IWAE paper (examples/scripts/reproducibility/iwae.py: 784-200-200,
tanh, 50 latents), and it is called as there: in evaluation mode, under `torch.no_grad()`. Only the scale of q(z|x) is
tfvae's, softplus(raw) + floor, so that both sides can have the same weights.
"""

import importlib.metadata
import os
from typing import Any

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import nn
from workers import serve


def layers(arrays: list[np.ndarray]) -> nn.ModuleList:
    """Dense layers of kernels `[inputs, outputs]` and biases `[outputs]`, one after the other."""
    found = nn.ModuleList()
    for kernel, bias in zip(arrays[::2], arrays[1::2], strict=True):
        layer = nn.Linear(*kernel.shape)
        layer.weight.data, layer.bias.data = torch.tensor(kernel.T.copy()), torch.tensor(bias)
        found.append(layer)
    return found


class Encoder(BaseEncoder):
    """x `[rows, 784]` to the mean and the log variance of q(z|x)."""

    def __init__(self, arrays: list[np.ndarray], scale_floor: float) -> None:
        BaseEncoder.__init__(self)
        self.layers, self.scale_floor = layers(arrays), scale_floor

    def forward(self, x: torch.Tensor) -> ModelOutput:
        for layer in self.layers[:-1]:
            x = torch.tanh(layer(x))
        mean, raw = self.layers[-1](x).chunk(2, dim=-1)
        scale = nn.functional.softplus(raw) + self.scale_floor
        return ModelOutput(embedding=mean, log_covariance=2.0 * torch.log(scale))


class Decoder(BaseDecoder):
    """z `[rows, latents]` to the means of p(x|z); counts the rows that it is given."""

    def __init__(self, arrays: list[np.ndarray]) -> None:
        BaseDecoder.__init__(self)
        self.layers, self.rows = layers(arrays), 0

    def forward(self, z: torch.Tensor) -> ModelOutput:
        self.rows += len(z)
        for layer in self.layers[:-1]:
            z = torch.tanh(layer(z))
        return ModelOutput(reconstruction=torch.sigmoid(self.layers[-1](z)))


class Pythae:
    """The model and its data, between requests."""

    def load(self, folder: str, scale_floor: float) -> dict[str, Any]:
        """The weights and the examples that the other side wrote."""
        with np.load(os.path.join(folder, "weights.npz")) as archive:
            weights = {
                part: [archive[f"{part}_{i}"] for i in range(sum(name.startswith(part) for name in archive.files))]
                for part in ("encoder", "decoder")
            }
        self.x = torch.tensor(np.load(os.path.join(folder, "x.npy")))
        decoder = Decoder(weights["decoder"])
        config = VAEConfig(
            input_dim=(self.x.shape[1],), latent_dim=decoder.layers[0].in_features, reconstruction_loss="bce"
        )
        self.model = VAE(config, encoder=Encoder(weights["encoder"], scale_floor), decoder=decoder).eval()
        return {name: importlib.metadata.version(name) for name in ("pythae", "torch")}

    def get_nll(self, num_samples: int, batch_size: int, num_examples: int, seed: int, threads: int) -> dict[str, Any]:
        """What `VAE.get_nll` returns, and how many z it decoded."""
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        decoder = self.model.decoder
        decoder.rows = 0
        with torch.no_grad():
            value = self.model.get_nll(self.x[:num_examples], n_samples=num_samples, batch_size=batch_size)
        return {"value": float(value), "decodes": decoder.rows}


if __name__ == "__main__":
    side = Pythae()
    serve({"load": side.load, "get_nll": side.get_nll})
