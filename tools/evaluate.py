"""Evaluates a trained VAE: log p(x) by an estimator with its errors, in nats, and what the latent has learned.

  python tools/evaluate.py --workdir=runs/mnist --num_samples=5000
  python tools/evaluate.py --workdir=runs/mnist --estimator=ais --num_temperatures=1000 --output=ais.npz

Prints JSON and writes it to WORKDIR/evaluation/<split>_<estimator>.json; `importance` writes evaluation.json too, with
the measures, and all of it goes into WORKDIR/report.html. The same command goes on where it was interrupted.
"""

import json

from absl import flags

from tfvae import cli

flags.DEFINE_string("workdir", None, "folder of a training run", required=True)
flags.DEFINE_string("split", "test", "train, validation or test")
flags.DEFINE_string("checkpoint", "best", "best (on the validation split) or last")
flags.DEFINE_string("estimator", "importance", "of log p(x): importance, ais, bdmc or hmc_density")
flags.DEFINE_string("measures", None, "names with commas between them, all or none (default: all for importance)")
flags.DEFINE_string("output", None, "NPZ file for the numbers of each example")
# Settings of estimators: the default of each is its own. `settings` lists which has which.
flags.DEFINE_integer("num_samples", None, "posterior samples: K of importance and bdmc, of a chain of hmc_density", 1)
flags.DEFINE_integer("num_chains", None, "Markov chains for each example", 1)
flags.DEFINE_integer("num_temperatures", None, "of ais and bdmc", 1)
flags.DEFINE_integer("num_leapfrog_steps", None, "of a step of Hamiltonian Monte Carlo", 1)
flags.DEFINE_integer("num_burnin_steps", None, "of a chain of hmc_density", 1)
flags.DEFINE_float("mass", None, "of the fitted density that hmc_density keeps")
flags.DEFINE_string("start", None, "where chains of ais and bdmc begin: prior or posterior")
flags.DEFINE_integer("max_examples", None, "simulated examples of bdmc", 1)
SETTINGS = (
    "num_samples", "num_chains", "num_temperatures", "num_leapfrog_steps", "num_burnin_steps", "mass", "start",
    "max_examples",
)  # fmt: skip


def main() -> None:
    from tfvae.training import WorkDir, evaluate_run

    result = evaluate_run(
        WorkDir(cli.FLAGS.workdir),
        split=cli.FLAGS.split,
        checkpoint=cli.FLAGS.checkpoint,
        estimator=cli.FLAGS.estimator,
        settings={name: getattr(cli.FLAGS, name) for name in SETTINGS if getattr(cli.FLAGS, name) is not None},
        measures=cli.FLAGS.measures,
        output=cli.FLAGS.output,
    )
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    cli.run(main)
