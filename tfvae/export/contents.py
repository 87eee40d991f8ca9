"""What lies in a version folder beside the model card: SavedModels, and what TensorFlow Serving and people read."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.export import batching
from tfvae.export.graphs import shrink
from tfvae.export.module import SIGNATURES, evaluate
from tfvae.export.registry import PREDICT
from tfvae.export.served import Served

_GRID = 8  # rows and columns of the picture of samples


def write(
    folder: str,
    served: Served,
    functions: dict[str, Any],
    *,
    model: str,
    version: int,
    batched: bool,
    label_names: Sequence[str] = (),
) -> None:
    """Writes a version folder, but for its card.

    * `saved_model.pb`, `variables/`: the signatures;
    * `sample/<version>/`: signatures that a server cannot batch, where it is to batch;
    * `batching_params.pbtxt`, where it is to batch;
    * `assets.extra/`, also of `sample/<version>/`: warm-up requests where the extra `serving` is installed;
    * `assets.extra/`: `samples.png` of image models, `labels.txt` where names of labels are known.

    Args:
      folder: of the version, which is made.
      served, functions: of `tfvae.export.module.trace`.
      model: the name that warm-up requests bear.
      version: of the folder `sample`.
      batched: whether a server is to merge requests.
      label_names: of the labels 0, 1, ...
    """
    apart = {name for name in functions if folder_of(name, version, batched=batched) != "."}
    _save(folder, {name: function for name, function in functions.items() if name not in apart})
    warm_up = batching.can_warm_up()
    for name in apart:
        place = os.path.join(folder, folder_of(name, version, batched=batched))
        _save(place, {name: functions[name], "serving_default": functions[name]})
        if warm_up:
            batching.write_warmup(place, served, [name], model=f"{model}_{name}")
    if batched:
        batching.write_parameters(folder)
    if warm_up:
        batching.write_warmup(folder, served, [name for name in functions if name not in apart], model=model)
    extra = os.path.join(folder, "assets.extra")
    os.makedirs(extra, exist_ok=True)
    if len(served.item_shape) == 3 and served.item_shape[-1] in (1, 3):
        tf.io.write_file(os.path.join(extra, "samples.png"), tf.io.encode_png(samples(served)))
    if label_names:
        with open(os.path.join(extra, "labels.txt"), "w", encoding="utf-8") as file:
            file.writelines(f"{name}\n" for name in label_names)


def folder_of(name: str, version: int, *, batched: bool) -> str:
    """The SavedModel of a signature, from the version folder: one that a server cannot batch is a model of its own."""
    return f"{name}/{version}" if batched and not SIGNATURES[name].batchable else "."


def renumber(folder: str, before: int, version: int) -> None:
    """Brings the folders below a version folder to another version."""
    for name in SIGNATURES:
        if os.path.isdir(os.path.join(folder, name)):
            os.rename(os.path.join(folder, name, str(before)), os.path.join(folder, name, str(version)))


def _save(folder: str, functions: dict[str, Any]) -> None:
    # A custom gradient is a function of its own, several for each special function of TFP's: up to nine tenths of a
    # graph. Without them the derivative is that of the ops.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(_variables_of(functions), folder, signatures=functions, options=options)
    methods = {name: SIGNATURES[name].method for name in functions if name in SIGNATURES}
    if set(methods.values()) - {PREDICT}:
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(folder)
        for name, method in methods.items():
            updater.replace_method_name(signature_key=name, method_name=method, tags=["serve"])
        updater.save()
    shrink(folder)


def _variables_of(functions: dict[str, Any]) -> tf.Module:
    """What a SavedModel keeps besides the functions: their variables, and no object of Keras or TFP."""
    module = tf.Module()
    found = {variable.ref(): variable for function in functions.values() for variable in function.variables}
    module.model_variables = sorted(found.values(), key=lambda variable: variable.name)
    return module


def samples(served: Served) -> np.ndarray:
    """A picture of items as `generate` makes them, by label if there are some: uint8 `[height, width, channels]`."""
    count = _GRID**2
    inputs = [tf.range(count, dtype=tf.int64)]
    if served.vae.num_labels:
        inputs.append(tf.range(count, dtype=tf.int64) % served.vae.num_labels)
    items = evaluate(served, "generate", inputs)[served.item_name].numpy()
    height, width, channels = served.item_shape
    pixels = np.clip(np.round(items / served.pixel_scale), 0, 255).astype(np.uint8)
    grid = pixels.reshape(_GRID, _GRID, height, width, channels).swapaxes(1, 2)
    return grid.reshape(_GRID * height, _GRID * width, channels)
