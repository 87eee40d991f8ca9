"""W1 and W2 in pythae: its `VAE` and its `BaseTrainer`, whose `train_step` is one epoch (`BaseTrainer.train` calls it).

Networks are given as its tutorial has it (examples/notebooks/custom_encoder_decoder.ipynb of pythae's repository).
"""

import importlib.metadata
import tempfile
from typing import Any

import numpy as np
import torch
import torch_threads
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn
from workers import serve


def bodies(work: str) -> tuple[nn.Module, nn.Module, int]:
    """The hidden layers of the encoder, the whole decoder, and the width of the last hidden layer."""
    if work == "w1":
        decoder = nn.Sequential(nn.Linear(20, 500), nn.Tanh(), nn.Linear(500, 784), nn.Sigmoid())
        return nn.Sequential(nn.Linear(784, 500), nn.Tanh()), decoder, 500
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(64 * 49, 16), nn.ReLU(),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(2, 64 * 49), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, 2, 1, 1), nn.ReLU(), nn.ConvTranspose2d(64, 32, 3, 2, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, 1, 1), nn.Sigmoid(),
    )  # fmt: skip
    return encoder, decoder, 16


class Encoder(BaseEncoder):
    """x to the mean and the log variance of q(z|x)."""

    def __init__(self, body: nn.Module, width: int, latent_size: int) -> None:
        BaseEncoder.__init__(self)
        self.body, self.mean, self.log_variance = body, nn.Linear(width, latent_size), nn.Linear(width, latent_size)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        h = self.body(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_variance(h))


class Decoder(BaseDecoder):
    """z to the means of p(x|z)."""

    def __init__(self, body: nn.Module) -> None:
        BaseDecoder.__init__(self)
        self.body = body

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.body(z))


class Pythae:
    """The trainer and its data."""

    def ready(self, work: str, data: str, num_images: int) -> dict[str, Any]:
        """Reads the images, uint8 `[n, 784]`, and builds."""
        shape, top = ((784,), 1) if work == "w1" else ((1, 28, 28), 255)
        x = np.load(data, mmap_mode="r")[:num_images].astype(np.float32).reshape(-1, *shape) / top
        self.folder = tempfile.TemporaryDirectory()
        short = self._trainer(work, x[:2_000])
        threads = torch_threads.choose(lambda: short.train_step(1))
        self.trainer, self.epochs, self.images = self._trainer(work, x), 0, len(x)
        versions = {name: importlib.metadata.version(name) for name in ("pythae", "torch")}
        return versions | {"threads": threads}

    def _trainer(self, work: str, x: np.ndarray) -> BaseTrainer:
        encoder, decoder, width = bodies(work)
        size = 20 if work == "w1" else 2
        model = VAE(
            VAEConfig(input_dim=x.shape[1:], latent_dim=size, reconstruction_loss="bce"),
            encoder=Encoder(encoder, width, size), decoder=Decoder(decoder),
        )  # fmt: skip
        settings = BaseTrainerConfig(
            output_dir=self.folder.name, num_epochs=1_000, learning_rate=1e-3, no_cuda=True, optimizer_cls="Adam",
            per_device_train_batch_size=100 if work == "w1" else 128,
        )  # fmt: skip
        dataset = BaseDataset(torch.from_numpy(x), torch.zeros(len(x)))
        trainer = BaseTrainer(model=model, train_dataset=dataset, training_config=settings)
        trainer.prepare_training()
        return trainer

    def epoch(self) -> dict[str, Any]:
        """One pass by the trainer."""
        self.epochs += 1
        return {"images": self.images, "loss": float(self.trainer.train_step(self.epochs))}


if __name__ == "__main__":
    side = Pythae()
    serve({"ready": side.ready, "epoch": side.epoch})
