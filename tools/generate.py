"""Makes data like the data with a trained VAE, and moves through its latents.

  python tools/generate.py --workdir=runs/digits --mode=prior --count=100
  python tools/generate.py --saved_model=saved_models/digits/1 --mode=interpolation --output=between.gif

Writes OUTPUT: .png a picture, .gif a film, .npz arrays; .wav sounds, .txt text, .csv rows of a table. Modes: prior (new
data), manifold (a grid over two latents), interpolation (from one example to another), traversal (one latent at a
time), attribute (adds what a label, or a folder of examples, stands for).
"""

from absl import flags

from tfvae import cli
from tfvae.cli import models

MODES = ("prior", "manifold", "interpolation", "traversal", "attribute")

models.define_flags(output="file that ends as above (default: <mode>.png, or .npz where items are no images)")
flags.DEFINE_string("mode", "prior", f"one of: {', '.join(MODES)}")
flags.DEFINE_integer("count", None, "items of prior (100), pairs of interpolation (8), examples of attribute (8)", 1)
flags.DEFINE_integer("columns", None, "items in a row", 2)
flags.DEFINE_integer("label", None, "of a conditional model: the label of every item (prior: default all, in columns)")
flags.DEFINE_string("latents", "prior", "where prior draws z from: prior, or aggregate, a mixture fitted to codes")
flags.DEFINE_string("values", "mean", "mean of p(x|z), or sample, a draw")
flags.DEFINE_float("temperature", 1.0, "of z: below 1 more typical, above 1 more varied", 0.0)
flags.DEFINE_list("dimensions", None, "numbers of the latents of manifold (two) and traversal")
flags.DEFINE_string("path", "linear", "of interpolation: linear, spherical or geodesic")
flags.DEFINE_string("attribute", None, "label, or <factor>=<value>, against the rest (default: the first label)")
flags.DEFINE_string("direction", "means", "of attribute: means (their difference) or classifier (its normal)")
flags.DEFINE_string("positive", None, "in place of a label: file or folder of examples that have the attribute")
flags.DEFINE_string("negative", None, "and of examples that have it not")
flags.DEFINE_float("strength", 1.5, "of attribute: 1 is the way from one mean to the other")


FIELDS = (
    "input", "split", "seed", "count", "columns", "label", "latents", "values", "temperature", "path", "attribute",
    "direction", "positive", "negative", "strength",
)  # fmt: skip


def main() -> None:
    from tfvae.inference import modes, sheet

    given = cli.FLAGS
    models.one_of("mode", given.mode, MODES)
    model = models.open_model()
    output = models.output_file(model, given.mode)
    sheet.check_output(model, output)
    request = modes.Request(
        model=model, dimensions=models.integers("dimensions"), **{name: getattr(given, name) for name in FIELDS}
    )
    made, figures = modes.make(given.mode, request)
    made.write(model, output)
    models.report(output, figures)


if __name__ == "__main__":
    cli.run(main)
