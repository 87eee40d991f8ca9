"""Exports a trained VAE as a SavedModel with signatures, for TensorFlow and TF Serving.

  python tools/export.py --workdir=runs/mnist --export_dir=saved_models/mnist

Writes EXPORT_DIR/<version>, by default the next free version.
"""

import os

from absl import flags

from tfvae import cli

flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
flags.DEFINE_string("export_dir", None, "folder of the versions (default: saved_models/<config name>)")
flags.DEFINE_integer("version", None, "number of the new version (default: the next free one)", lower_bound=1)
flags.DEFINE_bool("batching", True, "for a server that merges requests: what it cannot merge is a model of its own")
flags.DEFINE_string("checkpoint", "best", "best (on the validation split) or last")
flags.DEFINE_string("licence", None, "of the model, for its card, such as Apache-2.0 (default: not stated)")


def main() -> None:
    from tfvae.training import WorkDir, outputs

    place = WorkDir(cli.FLAGS.workdir)
    vae, config, step = place.load_model(checkpoint=cli.FLAGS.checkpoint)
    export_dir = cli.FLAGS.export_dir or os.path.join("saved_models", config.name)
    print(
        outputs.write_export(
            place, vae, config, export_dir, step=step, version=cli.FLAGS.version, batching=cli.FLAGS.batching,
            licence=cli.FLAGS.licence,
        )
    )  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
