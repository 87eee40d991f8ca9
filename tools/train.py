"""Trains a VAE, evaluates it on the test split, draws pictures and exports a SavedModel.

  python tools/train.py --config=configs/mnist.py --workdir=runs/mnist

Without flags it trains `configs/digits.py`. Fields of the config are flags too, such as
--config.model.latent_size=32. The same command goes on where a run was stopped.
"""

import os

from absl import flags

from tfvae import cli

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
flags.DEFINE_string("workdir", None, "folder of the run (default: runs/<config name>)")
flags.DEFINE_string("export_dir", None, "folder of the SavedModel's versions (default: saved_models/<config name>)")
flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "checkpoint to evaluate and export")


def main() -> None:
    from tfvae.training import summary, train_and_evaluate

    config = cli.FLAGS.config
    workdir = cli.FLAGS.workdir or os.path.join("runs", config.name)
    export_dir = cli.FLAGS.export_dir or os.path.join("saved_models", config.name)
    result = train_and_evaluate(config, workdir, export_dir=export_dir, checkpoint=cli.FLAGS.checkpoint)
    print(summary(result, workdir))


if __name__ == "__main__":
    cli.run(main, config=os.path.join(ROOT, "configs", "digits.py"))
