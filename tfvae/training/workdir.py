"""The work directory: names of what lies in it, its config, and the model it holds."""

import dataclasses
import os

from absl import logging

from tfvae import (  # noqa: F401, they register components
    baselines,
    likelihoods,
    networks,
    objectives,
    posteriors,
    priors,
)
from tfvae import config as config_lib
from tfvae.build import build_vae
from tfvae.config import Config
from tfvae.errors import InputError
from tfvae.files import make_folder, read_json, write_json
from tfvae.training.checkpoints import Checkpoints
from tfvae.vae import VAE

CHECKPOINTS = ("best", "last")

# Where data lie and what is kept or shown, which changes no number.
_FREE = {"data.data_dir", "data.download", "training.checkpoints_to_keep", "training.pictures_every"}

_LONGEST = 200  # characters of a value in a message: a vocabulary has thousands


@dataclasses.dataclass(frozen=True)
class WorkDir:
    """Paths under one run's folder.

    Attributes:
      path: the folder.
    """

    path: str

    def __fspath__(self) -> str:
        return self.path

    def file(self, *names: str) -> str:
        """A path inside the folder."""
        return os.path.join(self.path, *names)

    @property
    def config_file(self) -> str:
        return self.file("config.json")

    @property
    def checkpoints(self) -> str:
        return self.file("checkpoints")

    @property
    def pictures(self) -> str:
        return self.file("pictures")

    @property
    def evaluations(self) -> str:
        return self.file("evaluation")

    @property
    def evaluation_file(self) -> str:
        return self.file("evaluation.json")

    def claim(self, config: Config, *, write: bool = True) -> None:
        """Makes this the folder of `config`'s run.

        Later `training.num_epochs` may be raised, and what does not touch the numbers may change.

        Args:
          config: of the run.
          write: whether to write it; otherwise it is only compared.

        Raises:
          InputError: where it holds the run of another config, naming the fields that
            differ, or cannot be written to.
        """
        ours = config_lib.to_dict(config)
        if os.path.exists(self.config_file):
            # Read as a config, so that a field that came later has its default.
            theirs = config_lib.to_dict(self.config())
            differing = config_lib.differences(ours, theirs)
            new, old = differing.get("training.num_epochs", (0, 0))
            if isinstance(old, int) and new > old:
                del differing["training.num_epochs"]
            for name in _FREE & differing.keys():
                del differing[name]
            if differing:
                fields = "; ".join(f"{k}: {_cut(new)}, there {_cut(old)}" for k, (new, old) in differing.items())
                raise InputError(f"--workdir: {self.path} holds the run of another config, which differs in {fields}")
        elif os.path.isdir(self.path) and Checkpoints.exist_in(self.checkpoints):
            raise InputError(f"--workdir: {self.path} holds checkpoints but no config.json, expected a new folder")
        if not write:
            return
        make_folder(self.path, flag="--workdir")
        write_json(self.config_file, ours)

    def config(self) -> Config:
        """The config of the run.

        Raises:
          InputError: where there is none.
        """
        if not os.path.isfile(self.config_file):
            raise InputError(f"--workdir: {self.path} holds no config.json, expected the folder of a training run")
        return config_lib.from_dict(read_json(self.config_file))

    def load_model(self, *, checkpoint: str = "best") -> tuple[VAE, Config, int]:
        """The trained model, its config, and the optimizer step of the checkpoint.

        Args:
          checkpoint: `best` by `Objective.quality` on the validation split, or `last`.

        Raises:
          InputError: where there is no such checkpoint.
        """
        if checkpoint not in CHECKPOINTS:
            raise InputError(f"--checkpoint: received {checkpoint!r}, expected one of: {', '.join(CHECKPOINTS)}")
        config = self.config()
        vae = build_vae(
            config.model,
            config.data.item_shape,
            num_labels=config.data.num_labels,
            seed=config.training.seed,
            precision=config.training.precision,
        )
        step = Checkpoints(self.checkpoints, vae).restore_for_use(checkpoint)
        logging.info("restored the %s checkpoint of step %d", checkpoint, step)
        return vae, config, step


def _cut(value: object) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
