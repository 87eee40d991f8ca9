"""The measures that go into `evaluation.json` beside log p(x): what each is called, and how they are made together.

A measure is a function (vae, dataset, split, seed=) -> what JSON holds, with the key `method`: a sentence about how
its numbers were made. It raises `NotApplicable` where it cannot be had.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tfvae.data import DataSet, Split
from tfvae.errors import InputError
from tfvae.evaluation.common import NotApplicable
from tfvae.evaluation.decomposition import decomposition
from tfvae.evaluation.disentanglement import disentanglement
from tfvae.evaluation.inference_gap import inference_gap
from tfvae.evaluation.representation import representation
from tfvae.evaluation.sample_quality import sample_quality
from tfvae.vae import VAE

MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (decomposition, inference_gap, representation, disentanglement, sample_quality)
}


def check_names(names: Sequence[str], *, flag: str) -> None:
    """Raises `InputError`, beginning with `flag`, for a name that no measure has."""
    for name in names:
        if name not in MEASURES:
            raise InputError(f"{flag}: received {name!r}, expected some of: {', '.join(MEASURES)}; or all, or none")


def measure(
    names: Sequence[str],
    vae: VAE,
    dataset: DataSet,
    split: Split,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Results by name; of a measure that cannot be had, `{"skipped": reason}`.

    Args:
      names: keys of `MEASURES`.
      vae: the model.
      dataset: the data, whose training split some measures learn from.
      split: the examples that are looked at.
      seed: of all noise.
      progress: called with the name of each before it is made.
    """
    found: dict[str, Any] = {}
    for name in names:
        if progress:
            progress(name)
        try:
            found[name] = MEASURES[name](vae, dataset, split, seed=seed)
        except NotApplicable as reason:
            found[name] = {"skipped": str(reason)}
    return found
