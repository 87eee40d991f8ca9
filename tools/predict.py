"""Applies a trained VAE to data: codes of examples, maps of them, how odd each one is, or any other signature.

  python tools/predict.py --workdir=runs/digits --output=codes.csv
  python tools/predict.py --workdir=runs/digits --map=tsne --output=map.png --projector=runs/digits/projector
  python tools/predict.py --saved_model=saved_models/digits/1 --input=photos --signature=score --score=typicality
  python tools/predict.py --saved_model=saved_models/digits/1 --input='data/*.tfrecord' --output=codes --shards=100

Writes OUTPUT: .npz, .tfrecord or .csv, a row for each example, in memory a few at a time. --map writes a picture of the
codes, .png, or its points, .npz. --signature=score ranks the examples, the oddest first, and draws the first and the
last. log p(x) alone can rank simple data as too normal: see typicality and likelihood_ratio.

--shards runs it as a pipeline of Apache Beam over a folder of images or over TFRecord files of any size: rows in the
input's order in OUTPUT/part-*, bad records with the reason in OUTPUT/bad-*. The same command goes on where it stopped.
"""

from absl import flags

from tfvae import cli
from tfvae.cli import models

models.define_flags(output=".npz, .tfrecord or .csv file, of a map .png or .npz (default: <signature>.npz, map.png)")
flags.DEFINE_string("signature", "encode", "encode, score, or another that takes an item: reconstruct, encode_sample")
flags.DEFINE_integer("label", None, "of a conditional model: the label of every example (default: its own)")
flags.DEFINE_string("map", None, "of the codes in two dimensions: pca, tsne or umap (which needs umap-learn)")
flags.DEFINE_string("projector", None, "log directory for TensorBoard's projector: tensorboard --logdir PROJECTOR")
flags.DEFINE_integer("max_examples", 2_000, "of a map and the projector, evenly spaced over the input", 1)
flags.DEFINE_string(
    "score", None, "of oddness: log_likelihood (default), elbo, distortion, typicality or likelihood_ratio"
)
flags.DEFINE_string("reference", None, "data of typicality (default: the validation split that the model came with)")
flags.DEFINE_string("background_workdir", None, "training run of a background model for likelihood_ratio, or")
flags.DEFINE_string("background_saved_model", None, "its export (default: none, a compressor takes its place)")
flags.DEFINE_integer("shards", None, "parts of the output, which is then a folder (needs pip install tfvae[beam])", 1)
flags.DEFINE_string("format", None, "of the parts: tfrecord (default), npz or csv")
flags.DEFINE_integer("levels", None, "of bytes with --shards, 2 or 256 (default: 2 where the first are all 0 and 1)")
flags.DEFINE_string("pipeline_options", None, "of Beam, such as '--runner=FlinkRunner' (default: this process)")


def main() -> None:
    from tfvae.inference import bulk
    from tfvae.inference.inputs import open_input
    from tfvae.inference.prediction import Request, predict

    given = models.FLAGS
    if any(given[name].value is not None for name in ("shards", "format", "levels", "pipeline_options")):
        for name, value in bulk.predict(bulk.Request.of({name: given[name].value for name in given})).items():
            print(f"{name}: {value}")
        print(given.output)
        return
    request = Request(
        signature=given.signature, output=given.output, label=given.label, seed=given.seed, map=given.map,
        projector=given.projector, max_examples=given.max_examples, score=given.score,
    )  # fmt: skip
    request.check()
    model, background = models.open_model(), None
    if given.background_workdir is not None or given.background_saved_model is not None:
        background = models.open_model(prefix="background_")
    written, figures = predict(
        model, models.open_input(model, check=given.signature != "score"), request, background=background,
        reference=lambda: open_input(model, given.reference, split="validation", flag="--reference"),
    )  # fmt: skip
    for path in written[1:]:
        print(path)
    models.report(written[0], figures)


if __name__ == "__main__":
    cli.run(main)
