"""W1 and W2 in PyTorch with fused Adam: eager, or through `torch.compile`.

Model and loss are as in PyTorch's own VAE (vae/main.py of github.com/pytorch/examples), without its `DataLoader`, which
would be slower: batches are taken from one tensor in memory.
"""

from typing import Any

import numpy as np
import torch
import torch_threads
from torch import nn
from workers import serve


class Torch:
    """Networks, optimizer and data of one work."""

    def ready(self, work: str, data: str, num_images: int, compiled: bool) -> dict[str, Any]:
        """Reads the images, uint8 `[n, 784]`, and builds."""
        images = torch.from_numpy(np.load(data, mmap_mode="r")[:num_images].astype(np.float32))
        self.x, self.batch_size = (images, 100) if work == "w1" else (images.reshape(-1, 1, 28, 28) / 255, 128)
        self._build(work, compiled)
        few = self.x[: 20 * self.batch_size]
        self._pass(few)  # compiles
        threads = torch_threads.choose(lambda: self._pass(few))
        self._build(work, compiled)  # from the start again
        return {"torch": torch.__version__, "threads": threads}

    def _build(self, work: str, compiled: bool) -> None:
        torch.manual_seed(0)
        if work == "w1":
            encoder = nn.Sequential(nn.Linear(784, 500), nn.Tanh(), nn.Linear(500, 40))
            decoder = nn.Sequential(nn.Linear(20, 500), nn.Tanh(), nn.Linear(500, 784))
        else:
            encoder = nn.Sequential(
                nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(64 * 49, 16), nn.ReLU(), nn.Linear(16, 4),
            )  # fmt: skip
            decoder = nn.Sequential(
                nn.Linear(2, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
                nn.ConvTranspose2d(64, 64, 3, 2, 1, 1), nn.ReLU(),
                nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 3, 1, 1),
            )  # fmt: skip
        self.networks = nn.ModuleList([encoder, decoder])
        self.optimizer = torch.optim.Adam(self.networks.parameters(), lr=1e-3, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x: torch.Tensor) -> torch.Tensor:
        encoder, decoder = self.networks
        mean, log_variance = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        distortion = nn.functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        rate = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum()
        return (distortion + rate) / len(x)

    def _pass(self, x: torch.Tensor) -> dict[str, Any]:
        total, steps = torch.zeros([]), len(x) // self.batch_size
        for rows in torch.randperm(len(x))[: steps * self.batch_size].split(self.batch_size):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.loss(x[rows])
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return {"images": steps * self.batch_size, "loss": float(total) / steps}

    def epoch(self) -> dict[str, Any]:
        """One pass over whole batches: a smaller one would be compiled anew."""
        return self._pass(self.x)


if __name__ == "__main__":
    side = Torch()
    serve({"ready": side.ready, "epoch": side.epoch})
