"""What the papers compare a VAE with, over the same networks, data and evaluation.

`Autoencoder` and `WakeSleep` are objectives: a config chooses them like any other. `MonteCarloEM` is a model to `fit`;
so are the density models without latents.
"""

from tfvae.baselines.autoencoder import Autoencoder
from tfvae.baselines.density import DensityModel, PixelCNN, PixelRNN
from tfvae.baselines.monte_carlo_em import MonteCarloEM
from tfvae.baselines.wake_sleep import WakeSleep

__all__ = ["Autoencoder", "DensityModel", "MonteCarloEM", "PixelCNN", "PixelRNN", "WakeSleep"]
