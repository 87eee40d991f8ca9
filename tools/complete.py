"""Completes what is missing of examples: behind a mask, under noise, or between the pixels of a smaller image.

  python tools/complete.py --workdir=runs/digits --task=inpaint
  python tools/complete.py --workdir=runs/mnist --task=denoise --sigma=0.5 --output=clean.png
  python tools/complete.py --saved_model=saved_models/digits/1 --task=super_resolution --factor=2 --output=draws.gif
  python tools/complete.py --workdir=runs/table --task=inpaint --mask=nan --input=holes.csv --output=filled.csv

Infers z given what was observed, and then x: draws of p(x_missing | x_observed), their mean and their uncertainty.
Writes OUTPUT: .png (truth, observed, mean, draws, uncertainty: twice the standard deviation), .gif (the draws), .npz
(arrays), or .csv, .txt or .wav of such data (each example once, completed: its mean, of lines of text a draw), and
figures into the .json beside it. Methods: hmc, importance, optimise, and for inpaint pseudo_gibbs and metropolis.
"""

import os

from absl import flags

from tfvae import cli
from tfvae.cli import models

models.define_flags(output=".png, .gif or .npz file, or .csv, .txt or .wav of such data (default: <task>.png, or .npz "
                    "where items are no images)")  # fmt: skip
flags.DEFINE_string("task", "inpaint", "denoise, inpaint or super_resolution")
flags.DEFINE_string("method", "hmc", "hmc, importance, optimise, pseudo_gibbs or metropolis")
flags.DEFINE_string(
    "mask", "lower_half", "of inpaint, what is missing: lower_half, upper_half, left_half, right_half, quadrant, "
    "center, half (of the pixels, at random), nan (of .npz; empty cells of .csv); an "
    "image, bright where observed; .npz, key mask",
)  # fmt: skip
flags.DEFINE_string("noise", "gaussian", "of denoise: gaussian, salt_and_pepper or bernoulli")
flags.DEFINE_float("sigma", 0.5, "standard deviation of gaussian noise, in units of the data")
flags.DEFINE_float("share", 0.2, "of the numbers that other noise replaces or flips")
flags.DEFINE_integer(
    "factor", None, "of super_resolution: pixels of a side of a block (default: the divisor of both sides nearest to "
    "4, or to 2 below 16 pixels)", 1,
)  # fmt: skip
flags.DEFINE_bool("corrupted", False, "the input is corrupted already; otherwise it is made so, and is the truth")
flags.DEFINE_integer("count", 8, "examples", 1)
flags.DEFINE_integer("num_samples", 200, "draws of z for each example", 1)
flags.DEFINE_integer("num_draws", 5, "draws of x for each example", 1)
flags.DEFINE_string("values", "sample", "of the draws: sample of p(x|z), or mean")
flags.DEFINE_integer("label", None, "of a conditional model: the label of every example (default: their own)")

FIELDS = (
    "task", "method", "mask", "noise", "sigma", "share", "factor", "corrupted", "input", "split", "count",
    "num_samples", "num_draws", "values", "label", "seed",
)  # fmt: skip


def main() -> None:
    from tfvae.inference.completion import tasks
    from tfvae.inference.sheet import check_output

    given = cli.FLAGS
    models.one_of("task", given.task, tasks.TASKS)
    model = models.open_model()
    output = models.output_file(model, given.task)
    check_output(model, output)
    request = tasks.Request(model=model, **{name: getattr(given, name) for name in FIELDS})
    observed, found = tasks.run(request)
    tasks.sheet(request, observed, found, suffix=os.path.splitext(output)[1]).write(model, output)
    models.report(output, tasks.figures(request, observed, found))


if __name__ == "__main__":
    cli.run(main)
