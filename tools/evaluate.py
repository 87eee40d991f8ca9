"""Evaluates a trained VAE: the ELBO and the importance-weighted bound on log p(x), in nats.

  python tools/evaluate.py --workdir=runs/mnist --split=test --num_samples=5000

Prints JSON and writes it to evaluation.json in the work directory.
"""

import json

from absl import flags

from tfvae import cli

flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
flags.DEFINE_string("split", "test", "train, validation or test")
flags.DEFINE_integer("num_samples", 100, "K, posterior samples for each example", lower_bound=1)
flags.DEFINE_string("checkpoint", "best", "best (on the validation split) or last")


def main() -> None:
    from tfvae.training import WorkDir, load_data, outputs

    place = WorkDir(cli.FLAGS.workdir)
    vae, config, step = place.load_model(checkpoint=cli.FLAGS.checkpoint)
    result = outputs.write_evaluation(
        place, vae, config, load_data(config), split=cli.FLAGS.split, num_samples=cli.FLAGS.num_samples, step=step
    )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    cli.run(main)
