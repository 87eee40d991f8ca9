"""What TensorFlow Serving reads beside a model: how it merges requests, and requests that it warms up with."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfvae.export.module import REGRESS, SIGNATURES, evaluate, input_specs
from tfvae.export.served import Served

BATCH_SIZES = (1, 8, 64)
WARMUP = "tf_serving_warmup_requests"  # in the folder `assets.extra`
PARAMETERS = "batching_params.pbtxt"


def write_parameters(folder: str) -> None:
    """Writes `batching_params.pbtxt`: a server with `--enable_per_model_batching_parameters` reads it of each model."""
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in BATCH_SIZES)
    with open(os.path.join(folder, PARAMETERS), "w", encoding="utf-8") as file:
        file.write(
            "# A request waits at most a millisecond for others; batches are filled up to the next allowed size.\n"
            f"max_batch_size {{ value: {BATCH_SIZES[-1]} }}\n"
            "batch_timeout_micros { value: 1000 }\n"
            "max_enqueued_batches { value: 1000 }\n"
            "num_batch_threads { value: 4 }\n" + sizes
        )


def can_warm_up() -> bool:
    """Whether the extra `serving` is installed, whose messages warm-up requests are made of."""
    try:
        import tensorflow_serving.apis.prediction_log_pb2  # noqa: F401
    except ImportError:
        return False
    return True


def write_warmup(folder: str, served: Served, names: Sequence[str], *, model: str) -> int:
    """Writes `assets.extra/tf_serving_warmup_requests`: a request of every signature for every allowed batch size.

    Args:
      folder: of the version.
      served: the model.
      names: of its signatures.
      model: the name that requests bear.

    Returns:
      the number of requests.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    place = os.path.join(folder, "assets.extra")
    os.makedirs(place, exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(os.path.join(place, WARMUP)) as writer:
        for name in names:
            # Of a signature that is not batched one request is enough.
            for size in BATCH_SIZES if SIGNATURES[name].batchable else (1,):
                log = prediction_log_pb2.PredictionLog()
                inputs = valid_inputs(served, name, size)
                if SIGNATURES[name].method == REGRESS:
                    request = log.regress_log.request
                    for example in inputs["inputs"]:
                        request.input.example_list.examples.add().ParseFromString(example)
                else:
                    request = log.predict_log.request
                    for key, value in inputs.items():
                        request.inputs[key].CopyFrom(tensor_proto(value))
                request.model_spec.name, request.model_spec.signature_name = model, name
                writer.write(log.SerializeToString(deterministic=True))
                count += 1
    return count


def valid_inputs(served: Served, name: str, rows: int) -> dict[str, np.ndarray]:
    """Inputs of a signature that are valid, by their names; of one that is not batched `rows` is n."""
    seed = np.arange(rows, dtype=np.int64)
    specs = input_specs(served, name)
    given: dict[str, Any] = {
        "seed": seed, "label": np.zeros(rows, np.int64), "n": rows,
        "mask": (np.arange(served.size) % 2 == 0).reshape(served.item_shape),
        "noise": np.zeros(served.vae.latent_size, np.float32), served.item_name: served.fit_item,
    }  # fmt: skip
    found: dict[str, np.ndarray] = {}
    for spec in specs:
        if spec.name == "z":
            arguments = [seed] + ([given["label"]] if served.vae.num_labels else [])
            value = evaluate(served, "generate", [tf.constant(one) for one in arguments])["z"].numpy()
        elif spec.name == "inputs":
            value = np.array([_example(served)] * rows, object)
        elif spec.dtype == tf.string:
            value = np.array([_png(served)] * rows, object)
        elif spec.shape.rank == 0:
            value = np.array(rows if spec.name == "n" else 0, spec.dtype.as_numpy_dtype)
        else:
            shape = [rows, *(size or served.num_samples for size in spec.shape[1:])]
            value = np.broadcast_to(given[spec.name], shape).astype(spec.dtype.as_numpy_dtype)
        found[spec.name] = value
    return found


def _example(served: Served) -> bytes:
    features = {served.item_name: tf.train.Feature(float_list=tf.train.FloatList(value=served.fit_item.ravel()))}
    if served.vae.num_labels:
        features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[0]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def _png(served: Served) -> bytes:
    pixels = np.clip(np.round(served.fit_item / served.pixel_scale), 0, 255).astype(np.uint8)
    return tf.io.encode_png(pixels).numpy()


def tensor_proto(value: np.ndarray) -> Any:
    """A `TensorProto`; of equal numbers it holds one, which stands for all."""
    if value.dtype == object or value.size < 2 or not (value == value.flat[0]).all():
        return tf.make_tensor_proto(value.tolist() if value.dtype == object else value,
                                    tf.string if value.dtype == object else None)  # fmt: skip
    proto = tf.make_tensor_proto(value.flat[0])
    proto.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    return proto
