"""p(x_missing | x_observed): what is behind a mask, noise or a downsampling, by inference of z and not by one pass."""

from tfvae.inference.completion.base import METHODS, Latents, Method, Problem
from tfvae.inference.completion.complete import Completion, complete
from tfvae.inference.completion.downsampling import Downsampled
from tfvae.inference.completion.gibbs import Metropolis, PseudoGibbs
from tfvae.inference.completion.hmc import HMC, Optimise
from tfvae.inference.completion.importance import Importance
from tfvae.inference.completion.noise import BernoulliNoise, GaussianNoise, SaltAndPepper
from tfvae.inference.completion.observations import Masked, Observation

__all__ = [
    "HMC",
    "METHODS",
    "BernoulliNoise",
    "Completion",
    "Downsampled",
    "GaussianNoise",
    "Importance",
    "Latents",
    "Masked",
    "Method",
    "Metropolis",
    "Observation",
    "Optimise",
    "Problem",
    "PseudoGibbs",
    "SaltAndPepper",
    "complete",
]
