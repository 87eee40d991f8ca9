"""Makes the gallery of README.md: trains the models that are missing, and draws each picture by its own command.

  python tools/gallery.py

Needs MNIST (TFDS_DATA_DIR, or the network) and Frey faces (TFVAE_DATA_DIR); about twenty minutes on two cores, and
seconds for each picture once the models are there. Writes docs/pictures/gallery/.
"""

import os
import shutil
import subprocess
import sys

from absl import flags

from tfvae import cli
from tfvae.errors import InputError
from tfvae.files import make_folder

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
flags.DEFINE_string("runs", "runs/gallery", "folder of the models")
flags.DEFINE_string("output_dir", os.path.join(ROOT, "docs", "pictures", "gallery"), "folder of the pictures")
flags.DEFINE_list("only", None, "names of pictures (default: all)")

MODELS = {
    "mnist": "mnist.py",
    "mnist_2d": "mnist.py --config.model.latent_size=2",
    "digits_conditional": "conditional.py",
    "faces": "frey_faces.py --config.data.split_order=random",
    "faces_2d": "frey_faces.py --config.data.split_order=random --config.model.latent_size=2",
    "shapes": "shapes.py",
}
# name of the picture: its model, and the command that draws it.
PICTURES = {
    "samples.png": ("mnist", "generate --mode=prior --count=100 --columns=20"),
    "by_label.png": ("digits_conditional", "generate --mode=prior --count=80"),
    "manifold.png": ("mnist_2d", "generate --mode=manifold"),
    "faces_manifold.png": ("faces_2d", "generate --mode=manifold --columns=12"),
    "faces.gif": ("faces", "generate --mode=interpolation --split=train --count=12 --path=spherical"),
    "traversal.png": ("shapes", "generate --mode=traversal"),
    "attribute.png": ("mnist", "generate --mode=attribute --attribute=7 --strength=1.2"),
    "inpaint.png": ("mnist", "complete --task=inpaint"),
    "faces_inpaint.png": ("faces", "complete --task=inpaint"),
    "denoise.png": ("mnist", "complete --task=denoise"),
    "super_resolution.png": ("mnist", "complete --task=super_resolution"),
    "codes.png": ("mnist", "predict --signature=encode --map=tsne"),
    "odd.png": ("mnist", "predict --signature=score --score=typicality"),
}


def call(script: str, *arguments: str) -> None:
    """Runs a script of this folder; raises `InputError` where it fails."""
    command = [sys.executable, os.path.join(ROOT, "tools", f"{script}.py"), *arguments]
    print(" ".join(["python", f"tools/{script}.py", *arguments]), flush=True)
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise InputError(f"tools/{script}.py failed: see above")


def main() -> None:
    wanted = cli.FLAGS.only or list(PICTURES)
    unknown = sorted(set(wanted) - set(PICTURES))
    if unknown:
        raise InputError(f"--only: received {', '.join(unknown)}, expected some of: {', '.join(PICTURES)}")
    make_folder(cli.FLAGS.output_dir, flag="--output_dir")
    runs = os.path.abspath(cli.FLAGS.runs)
    for name in dict.fromkeys(PICTURES[picture][0] for picture in wanted):
        config, *fields = MODELS[name].split()
        place = [f"--workdir={os.path.join(runs, name)}", f"--export_dir={os.path.join(runs, 'exports', name)}"]
        call("train", f"--config={os.path.join('configs', config)}", *fields, *place)
    for picture in wanted:
        name, command = PICTURES[picture]
        script, *arguments = command.split()
        output = os.path.join(os.path.abspath(cli.FLAGS.output_dir), picture)
        if "--signature=score" in arguments:  # whose picture stands beside its table
            output = os.path.join(runs, name, picture.replace(".png", ".csv"))
        call(script, f"--workdir={os.path.join(runs, name)}", *arguments, f"--output={output}")
        beside = os.path.splitext(output)[0]
        if output.endswith(".csv"):
            shutil.copy(beside + ".png", cli.FLAGS.output_dir)
        elif os.path.exists(beside + ".json"):
            os.replace(beside + ".json", os.path.join(runs, name, os.path.basename(beside) + ".json"))


if __name__ == "__main__":
    cli.run(main)
