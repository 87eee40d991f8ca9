"""Variational autoencoders for TensorFlow.

`tfvae.VAE` and its parts are loaded on first use, so that `import tfvae` is quick and
quiet.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tfvae.build import build_vae
    from tfvae.regularizers import KLRegularizer
    from tfvae.vae import VAE

_HOMES = {"VAE": "tfvae.vae", "KLRegularizer": "tfvae.regularizers", "build_vae": "tfvae.build"}
_MODULES = {
    "build", "config", "data", "evaluation", "export", "inference", "likelihoods", "networks",
    "objectives", "posteriors", "priors", "regularizers", "schedules", "training", "vae",
}  # fmt: skip

__all__ = ["VAE", "KLRegularizer", "__version__", "build_vae"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"tfvae.{name}")
    raise AttributeError(f"module 'tfvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
