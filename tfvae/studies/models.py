"""The configs that studies vary, and how one is trained and judged."""

import dataclasses
import os
from typing import Any

from tfvae import config as config_lib
from tfvae import likelihoods, networks, objectives, posteriors, priors
from tfvae.config import Config
from tfvae.data import DataSet, Split
from tfvae.devices import refuse_workers
from tfvae.evaluation import Estimator, estimate
from tfvae.evaluation.run import Result
from tfvae.training.fitting import load_data
from tfvae.training.train import train
from tfvae.training.workdir import WorkDir
from tfvae.vae import VAE

# The data of studies: all that can be learned from is, as the papers do; what is tested on is never chosen by.
_DATA: dict[str, dict[str, Any]] = {
    "digits": {"source": "digits", "item_shape": (8, 8, 1), "binarization": "dynamic"},
    "mnist": {
        "source": "tfds:mnist",
        "item_shape": (28, 28, 1),
        "binarization": "dynamic",
        "train_split": "train[:59000]",
        "validation_split": "train[59000:]",
        "test_split": "test",
    },
    "frey": {
        "source": "npz:frey_faces.npz",
        "item_shape": (28, 20, 1),
        "split_order": "sequential",
        "dequantize": True,
    },
}
DATA_NAMES = {"digits": "digits, 8x8", "mnist": "MNIST", "frey": "Frey faces"}


def base_config(data: str, *, latent_size: int, hidden: tuple[int, ...], **changes: Any) -> Config:
    """A VAE of the papers' kind: dense tanh networks, a diagonal normal posterior, N(0, I), estimator B.

    Args:
      data: `digits`, `mnist` or `frey`; the last has a Gaussian likelihood, others a Bernoulli one.
      latent_size: of z.
      hidden: widths of the encoder's layers; the decoder mirrors them.
      **changes: full names of fields, such as `training.num_epochs`, with `__` for the dot, and their values.
    """
    faces = likelihoods.Gaussian(mean="sigmoid", scale_floor=0.01)
    config = Config(
        name=f"study_{data}",
        data=config_lib.DataConfig(**_DATA[data]),
        model=config_lib.ModelConfig(
            latent_size=latent_size,
            posterior=posteriors.Normal(),
            prior=priors.StandardNormal(),
            likelihood=faces if data == "frey" else likelihoods.Bernoulli(),
            network=networks.MLP(hidden=hidden),
        ),
        objective=objectives.SGVB_B(),
        training=config_lib.TrainingConfig(pictures_every=0, checkpoints_to_keep=1),
    )
    return changed(config, **changes)


def changed(config: Config, **changes: Any) -> Config:
    """A copy with other values in some fields; `training__seed=1` is the field `training.seed`."""
    for name, value in changes.items():
        config = _replaced(config, name.split("__"), value)
    return config


def _replaced(part: Any, path: list[str], value: Any) -> Any:
    first, *rest = path
    return dataclasses.replace(part, **{first: _replaced(getattr(part, first), rest, value) if rest else value})


def check_data(name: str) -> None:
    """Raises `InputError` where the data of a study are not there."""
    load_data(base_config(name, latent_size=1, hidden=(1,)))


def described(config: Config) -> dict[str, Any]:
    """A config as rows keep it."""
    return config_lib.to_dict(config)


@dataclasses.dataclass
class Trained:
    """A model that a study trained.

    Attributes:
      vae: with its weights.
      config: of its run.
      dataset: that it learned from.
      workdir: of its run.
      step: optimizer steps of the checkpoint.
    """

    vae: VAE
    config: Config
    dataset: DataSet
    workdir: WorkDir
    step: int


def trained(config: Config, folder: str, *, checkpoint: str = "last", verbose: bool) -> Trained:
    """The model of a config, trained in `<folder>/run` as far as that is missing."""
    workdir = os.path.join(folder, "run")
    refuse_workers(config.training.strategy, what="a study, which evaluates between its runs")
    train(config, workdir, verbose=verbose)
    place = WorkDir(workdir)
    vae, config, step = place.load_model(checkpoint=checkpoint)
    return Trained(vae=vae, config=config, dataset=load_data(config), workdir=place, step=step)


def estimated(
    model: Trained, split: Split, estimator: Estimator, *, seed: int = 0, batch_size: int | None = None
) -> Result:
    """log p(x) of a split; a call that was interrupted is gone on with."""
    partial = os.path.join(model.workdir, f".{split.name}_{estimator.tag}.npz")
    found = estimate(
        model.vae, split, estimator, seed=seed, batch_size=batch_size, partial=partial,
        version=[model.step, config_lib.to_dict(model.config)],
    )  # fmt: skip
    if os.path.exists(partial):
        os.unlink(partial)
    return found
