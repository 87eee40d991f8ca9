"""Converts signatures of an export to LiteRT or ONNX, for programs without TensorFlow.

  python tools/convert.py --saved_model=saved_models/digits/1 --to=litert
  python tools/convert.py --saved_model=saved_models/digits/1 --to=onnx --signatures=encode,decode --output=onnx

Writes the folder OUTPUT: <signature>.tflite or .onnx, and conversion.json. What a converted signature gives is compared
with the SavedModel's numbers first; one that differs by more than 1e-4, or that the format cannot hold, is refused.
Without --signatures the others are written, and stderr and conversion.json say what was refused and why; with
--signatures there is then no folder. ONNX needs pip install tfvae[convert].
"""

import sys

from absl import flags

from tfvae import cli

flags.DEFINE_string("saved_model", None, "one version of an export, such as saved_models/digits/1", required=True)
flags.DEFINE_string("to", None, "litert or onnx", required=True)
flags.DEFINE_list("signatures", None, "(default: what converts of encode, decode, reconstruct and score_noise)")
flags.DEFINE_string("output", None, "a new folder (default: <name>-<version>-<to>)")
flags.DEFINE_integer("num_samples", None, "K of the noise of score_noise (default: as in the export)", lower_bound=1)


def main() -> None:
    from tfvae.export.convert import convert

    given = cli.FLAGS
    with cli.quiet():  # converters write pages about what they cannot do
        facts = convert(
            given.saved_model, given.to, given.output, signatures=given.signatures, num_samples=given.num_samples
        )
    for entry in facts["signatures"].values():
        print(f"{entry['file']}: differs by {entry['largest_difference']:.1e} at most")
    for name, why in facts["refused"].items():
        print(f"refused: {name}: {why}", file=sys.stderr)
    print(facts["output"])


if __name__ == "__main__":
    cli.run(main)
