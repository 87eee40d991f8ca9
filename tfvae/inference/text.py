"""Codes of characters and bags of words back to text, and what each latent of a model of words is about."""

import numpy as np

from tfvae.data.text import BAGS, LINES
from tfvae.errors import InputError
from tfvae.files import check_file, write_atomically
from tfvae.inference.model import Model

_NOISE = 2.5  # standard deviations that a latent is moved by


def is_text(model: Model) -> bool:
    """Whether the model's items are lines or bags of words."""
    return _scheme(model) in (*LINES, *BAGS)


def vocabulary(model: Model) -> tuple[str, ...]:
    """What the codes or counts of the model's items are of; raises `InputError` for a model of no text."""
    if not is_text(model):
        raise InputError(
            f"{model.origin}: received a model of other data, expected one of text: {', '.join((*LINES, *BAGS))}"
        )
    return tuple(model.config["data"]["encoding"])


def texts(model: Model, items: np.ndarray, *, count: int = 12) -> list[str]:
    """Items `[n, size]` as a line each: of lines their characters, of bags the `count` words with the most.

    Raises:
      InputError: for a model of no text.
    """
    words = vocabulary(model)
    if _scheme(model) in BAGS:
        return [" ".join(words[place] for place in _largest(item, count) if item[place] > 0) for item in items]
    codes = np.clip(np.rint(items), 0, len(words) - 1).astype(int)
    # An end of the line is no character, and what stands behind it is not read.
    return ["".join(words[code] for code in line[: np.argmin([*line, 0])]) for line in codes]


def top_words(model: Model, *, count: int = 10) -> list[list[str]]:
    """For each latent at most `count` words that become more likely as it grows, those that matter most first.

    Words are ranked by their part of KL(p || p_0): p has this one latent at `_NOISE` standard deviations of its prior
    and the others in the middle, p_0 all in the middle; a simplex latent is all but the whole.

    Raises:
      InputError: for a model that is not of bags of words, or whose prior is no image of normal noise.
    """
    words = vocabulary(model)
    if _scheme(model) not in BAGS:
        raise InputError(f"{model.origin}: received a model of lines, expected one of bags: {', '.join(BAGS)}")
    noise = np.concatenate([np.zeros((1, model.latent_size)), _NOISE * np.eye(model.latent_size)])
    z = model.rows("prior", noise=noise, labels=model.any_labels(len(noise)))["z"]
    if model.latent_support == "simplex":
        z[1:] = 0.9 * np.eye(model.latent_size) + 0.1 * model.middle(1)
    shares = model.decode(z, model.any_labels(len(z)))
    # p log(p / p_0)
    gains = shares[1:] * np.log(np.maximum(shares[1:], 1e-12) / np.maximum(shares[:1], 1e-12))
    return [[words[place] for place in _largest(gain, count) if gain[place] > 0] for gain in gains]


def write_text(model: Model, items: np.ndarray, path: str) -> None:
    """Writes items `[n, size]` as lines of text, see `texts`; raises `InputError` that begins with --output."""
    check_file(path, flag="--output", suffix=".txt")
    write_atomically(path, "".join(f"{line}\n" for line in texts(model, items)))


def _scheme(model: Model) -> str:
    return model.config["data"]["source"].partition(":")[0] if model.config else ""


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    return np.argsort(-values, kind="stable")[:count]
