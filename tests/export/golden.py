"""What `saved_models/digits` gave when it was made: `python -m tests.export.golden` wrote `golden.npz`.

It is written once for an export, and only a new version of that export is a reason to write it anew.
"""

import pathlib

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

EXPORT = pathlib.Path(__file__).parents[2] / "saved_models" / "digits" / "1"
FILE = pathlib.Path(__file__).with_name("golden.npz")


def inputs():
    """Of every signature, by name: digits, the third grey and the last not valid; seeds, masks, noise, files."""
    image = (load_digits().images[:4, :, :, None] / 16.0).astype(np.float32)
    image[[0, 1, 3]] = image[[0, 1, 3]].round()
    random = np.random.RandomState(0)
    z, noise = (random.normal(size=shape).astype(np.float32) for shape in ((4, 8), (4, 64, 8)))
    seed, mask = np.array([0, 1, -7, 2**40]), np.arange(64).reshape(8, 8, 1) < 32
    mask = np.repeat(mask[None], 4, axis=0)
    files = [tf.io.encode_png(one).numpy() for one in np.uint8(255 * image[:3])] + [b"no image"]
    image[3, 4, 4] = np.nan
    floats = [tf.train.Feature(float_list=tf.train.FloatList(value=one.ravel())) for one in image]
    examples = [
        tf.train.Example(features=tf.train.Features(feature={"image": one})).SerializeToString() for one in floats
    ]
    return {
        "serving_default": {"image": image},
        "encode": {"image": image},
        "encode_sample": {"image": image, "seed": seed},
        "log_posterior": {"image": image, "z": z},
        "prior": {"noise": z},
        "decode": {"z": z},
        "decode_sample": {"z": z, "seed": seed},
        "log_joint": {"image": image, "mask": mask, "z": z},
        "reconstruct": {"image": image},
        "generate": {"seed": seed},
        "sample": {"n": np.int64(3), "seed": np.int64(5)},
        "score": {"image": image, "seed": seed},
        "score_noise": {"image": image, "noise": noise},
        "complete": {"image": image, "mask": mask, "seed": seed},
        "score_bytes": {"image_bytes": files},
        "regress": {"inputs": examples},
    }


def numbers():
    """What the export gives, by `<signature>.<output>`."""
    main, apart = (tf.saved_model.load(str(path)) for path in (EXPORT, EXPORT / "sample" / "1"))
    found = {}
    for name, given in inputs().items():
        run = (apart if name == "sample" else main).signatures[name]
        specs = run.structured_input_signature[1]
        outputs = run(**{key: tf.constant(value, specs[key].dtype) for key, value in given.items()})
        found |= {f"{name}.{key}": value.numpy() for key, value in outputs.items()}
    return found


if __name__ == "__main__":
    np.savez_compressed(FILE, **numbers())
