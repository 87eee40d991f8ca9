"""Spectrogram patches back to sound, by Griffin-Lim, and into WAV files."""

import io

import numpy as np
from scipy.io import wavfile

from tfvae import config as config_lib
from tfvae.config import DataConfig
from tfvae.data.audio import spectrogram
from tfvae.data.spectrogram import Spectrogram
from tfvae.errors import InputError
from tfvae.files import check_file, write_atomically
from tfvae.inference.model import Model

_SOURCES = ("tones", "wav")
_PAUSE = 0.15  # seconds between items in a file


def is_audio(model: Model) -> bool:
    """Whether the model's items are patches of sound."""
    return bool(model.config) and model.config["data"]["source"].partition(":")[0] in _SOURCES


def spectrogram_of(model: Model) -> Spectrogram:
    """How the model's sounds became patches; raises `InputError` for a model of something else."""
    if not is_audio(model):
        known = ", ".join(_SOURCES)
        raise InputError(f"{model.origin}: received a model of other data, expected one of sound: {known}")
    return spectrogram(config_lib.from_dict(model.config["data"], DataConfig, "data"))


def waveform(
    patch: np.ndarray, shape: Spectrogram, *, iterations: int = 60, momentum: float = 0.99, seed: int = 0
) -> np.ndarray:
    """Samples whose spectrogram is near a patch: the fast Griffin-Lim algorithm.

    Griffin & Lim 1984, Signal estimation from modified short-time Fourier transform, section III; with momentum,
    Perraudin et al. 2013, A fast Griffin-Lim algorithm, algorithm 2.

    Args:
      patch: levels `[frames, bins, 1]`, or of any number of frames.
      shape: how sound became patches.
      iterations: of the algorithm.
      momentum: its alpha; 0: Griffin & Lim's own.
      seed: of the phases that it starts from.

    Returns:
      float64 `[samples]`, about in [-1, 1].
    """
    levels = np.pad(patch[..., 0].astype(np.float64), ((0, 0), (0, 1)))  # the frequency that patches leave out
    magnitudes = shape.magnitudes(levels)
    phases = np.exp(2j * np.pi * np.random.default_rng(seed).random(magnitudes.shape))
    before = np.zeros_like(phases)
    for _ in range(iterations):
        # t_n = STFT(ISTFT(S exp(i angle(c_n - 1)))), c_n = t_n + alpha (t_n - t_n - 1)
        consistent = shape.transform(shape.inverse(magnitudes * phases))
        moved = consistent + momentum * (consistent - before)
        phases, before = moved / np.maximum(np.abs(moved), 1e-12), consistent
    return shape.inverse(magnitudes * phases)


def wav(samples: np.ndarray, sample_rate: int) -> bytes:
    """Samples `[n]` as a WAV file of 16 bits, mono; made softer as a whole where they leave [-1, 1]."""
    samples = samples / max(1.0, float(np.abs(samples).max(initial=0.0)))
    stream = io.BytesIO()
    wavfile.write(stream, sample_rate, np.round(32767 * samples).astype(np.int16))
    return stream.getvalue()


def write_wav(model: Model, items: np.ndarray, path: str, *, seed: int = 0) -> None:
    """Writes items as one sound, one after the other with short pauses.

    Args:
      model: of sound.
      items: patches `[n, frames, bins, 1]`.
      path: ends in .wav.
      seed: of the phases; each item has its own, wherever it stands.

    Raises:
      InputError: for a model of other data, or a file that cannot be written; begins with --output.
    """
    check_file(path, flag="--output", suffix=".wav")
    shape = spectrogram_of(model)
    pause = np.zeros(round(_PAUSE * shape.sample_rate))
    parts = [part for item in items for part in (waveform(item, shape, seed=seed), pause)]
    write_atomically(path, wav(np.concatenate(parts[:-1]) if parts else pause, shape.sample_rate))
