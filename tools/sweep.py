"""Trains a config at several values of one of its fields, and draws rate against distortion (Alemi et al. 2018).

  python tools/sweep.py --config=configs/digits.py --field=objective.kl_weight --values=0.1,1,10 --workdir=runs/sweep

Each value has a run of its own, WORKDIR/<field>_<value>. The same command goes on where it was stopped and makes only
what is missing; more values may be added. Writes sweep.json and rate_distortion.png, and prints the figures.
"""

import os

from absl import flags

from tfvae import cli

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
flags.DEFINE_string("workdir", None, "folder of the sweep (default: runs/<config name>_sweep)")
flags.DEFINE_string("field", "objective.kl_weight", "any field of the config that is one number")
flags.DEFINE_list("values", ["0.1", "0.3", "1", "3", "10"], "its values, with commas between them")


def main() -> None:
    from tfvae.training.sweep import sweep, table

    workdir = cli.FLAGS.workdir or os.path.join("runs", f"{cli.FLAGS.config.name}_sweep")
    rows = sweep(cli.FLAGS.config, workdir, field=cli.FLAGS.field, values=cli.FLAGS.values)
    print(table(cli.FLAGS.field, rows))
    print(f"\nLook at it:\n  {os.path.join(workdir, 'rate_distortion.png')}\n  {os.path.join(workdir, 'sweep.json')}")


if __name__ == "__main__":
    cli.run(main, config=os.path.join(ROOT, "configs", "digits.py"))
