"""Converts signatures of an export to LiteRT or ONNX, for programs without TensorFlow.

  python tools/convert.py --saved_model=saved_models/digits/1 --to=litert
  python tools/convert.py --saved_model=saved_models/digits/1 --to=onnx --signatures=encode,decode --output=onnx

Writes the folder OUTPUT: <signature>.tflite or .onnx, and conversion.json. What a converted signature gives is compared
with the SavedModel's numbers first; where it differs by more than 1e-4, or the format cannot hold it, there is no
folder. ONNX needs pip install tfvae[convert].
"""

from absl import flags

from tfvae import cli

flags.DEFINE_string("saved_model", None, "one version of an export, such as saved_models/digits/1", required=True)
flags.DEFINE_string("to", None, "litert or onnx", required=True)
flags.DEFINE_list("signatures", None, "(default: encode, decode, reconstruct and score_noise)")
flags.DEFINE_string("output", None, "a new folder (default: <name>-<version>-<to>)")
flags.DEFINE_integer("num_samples", None, "K of the noise of score_noise (default: free)", lower_bound=1)


def main() -> None:
    from tfvae.export.convert import convert

    given = cli.FLAGS
    with cli.quiet():  # converters write pages about what they cannot do
        facts = convert(
            given.saved_model, given.to, given.output, signatures=given.signatures, num_samples=given.num_samples
        )
    for entry in facts["signatures"].values():
        print(f"{entry['file']}: differs by {entry['largest_difference']:.1e} at most")
    print(facts["output"])


if __name__ == "__main__":
    cli.run(main)
