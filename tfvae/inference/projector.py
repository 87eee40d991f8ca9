"""Codes for the projector of TensorBoard, where one turns them about: points that look like their examples."""

import glob
import math
import os

import numpy as np
import tensorflow as tf

from tfvae.files import make_folder, write_atomically
from tfvae.inference.codes import Codes
from tfvae.inference.model import Model
from tfvae.inference.sheet import can_draw, png

MOST_PIXELS = 8192  # of a side of the sprite: more than that WebGL need not take

_SIDE = 32  # pixels that small images are enlarged to, about


def write(folder: str, codes: Codes, model: Model, *, name: str) -> list[str]:
    """Writes codes, what is known of them, and their pictures into a log directory of TensorBoard.

    `codes.tsv`, `metadata.tsv`, where items are images `sprite.png`, and `projector_config.pbtxt`; TensorBoard shows a
    directory that has an event file, so one is written where there is none.

    Args:
      folder: the log directory, made where it is missing: `tensorboard --logdir FOLDER`.
      codes: of the examples.
      model: whose codes they are.
      name: of the codes in the projector's list.

    Returns:
      the files of the projector.

    Raises:
      InputError: for a folder that cannot be written to.
    """
    from google.protobuf import text_format
    from tensorboard.plugins import projector

    make_folder(folder, flag="--projector")
    contents: dict[str, str | bytes] = {
        "codes.tsv": "".join("\t".join(map(str, row)) + "\n" for row in codes.z.astype(np.float32)),
        "metadata.tsv": metadata(codes),
    }
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name=name, tensor_path="codes.tsv", metadata_path="metadata.tsv", tensor_shape=codes.z.shape
    )
    if can_draw(model.item_shape):
        pixels, size = sprite(model.brightness(codes.examples.x))
        contents["sprite.png"] = png(pixels)
        embedding.sprite.image_path = "sprite.png"
        embedding.sprite.single_image_dim.extend(size)
    # Last, as it names the others.
    contents["projector_config.pbtxt"] = text_format.MessageToString(config)
    for file, content in contents.items():
        write_atomically(os.path.join(folder, file), content)
    if not glob.glob(os.path.join(glob.escape(folder), "*tfevents*")):
        writer = tf.summary.create_file_writer(folder)
        with writer.as_default():
            tf.summary.text("projector", f"{len(codes.z)} codes of {name}: see the tab Projector", step=0)
        writer.close()
    return list(contents)


def metadata(codes: Codes) -> str:
    """A line for each code: `label`, by its name, and `name`, where there are some, and `index`."""
    known = codes.examples.columns()
    # The first is what the projector writes beside a point.
    columns = {name: [_cell(value) for value in known[name]] for name in ("label", "name", "index") if name in known}
    if codes.examples.labels is not None and codes.label_names:
        names = [_cell(name) for name in codes.label_names]
        labels = codes.examples.labels
        columns["label"] = [names[label] if label < len(names) else str(label) for label in labels]
    rows = list(zip(*columns.values(), strict=True))
    # A single column has no header: the projector would take it for a row.
    lines = rows if len(columns) == 1 else [tuple(columns), *rows]
    return "".join("\t".join(line) + "\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split())  # a tab would begin a column, a line feed a row


def sprite(images: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """All images in one, row by row in a square, without gaps, as the projector wants them.

    Small images are enlarged by a whole factor; where they would not fit into `MOST_PIXELS`, images become smaller.

    Args:
      images: `[n, height, width]` or with 1 or 3 channels, in [0, 1]; values outside are cut off.

    Returns:
      uint8 `[height, width, 1 or 3]`, and (width, height) of one image in it.
    """
    images = np.clip(np.nan_to_num(images.reshape((*images.shape[:3], -1))), 0.0, 1.0)
    columns = math.ceil(math.sqrt(len(images)))
    most, longest = MOST_PIXELS // columns, max(images.shape[1:3])
    if longest > most:
        shrunk = [max(1, side * most // longest) for side in images.shape[1:3]]
        images = tf.image.resize(images, shrunk, method="area").numpy()
    factor = max(1, min(_SIDE, most) // longest)
    images = np.round(images * 255).astype(np.uint8).repeat(factor, axis=1).repeat(factor, axis=2)
    height, width, channels = images.shape[1:]
    rows = math.ceil(len(images) / columns)
    canvas = np.zeros((rows * columns, height, width, channels), np.uint8)
    canvas[: len(images)] = images
    square = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return square.reshape(rows * height, columns * width, channels), (width, height)
