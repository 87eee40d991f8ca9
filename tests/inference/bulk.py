"""Inputs of `tools/predict.py --shards` with what is bad in them, and what becomes of these, for several tests."""

import json
import pathlib

import numpy as np
import tensorflow as tf

from tests.inference.test_columns import read
from tfvae.inference import bulk, codes
from tfvae.inference.inputs import open_input
from tfvae.inference.model import Model

ROOT = pathlib.Path(__file__).parents[2]
DIGITS = str(ROOT / "saved_models" / "digits" / "1")  # of 0 and 1, which grey is drawn to


def save(path, contents):
    """Writes records; returns their offsets, and that of the end."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    return np.cumsum([0] + [16 + len(content) for content in contents]).tolist()


def example(**values):
    """A serialized tf.Example: bytes, one or several, and numbers in lists."""
    features = tf.train.Features()
    for name, value in values.items():
        several = value if isinstance(value, list) else [value]
        if isinstance(several[0], bytes):
            features.feature[name].bytes_list.value.extend(several)
        elif np.asarray(value).dtype.kind == "f":
            features.feature[name].float_list.value.extend(np.ravel(value))
        else:
            features.feature[name].int64_list.value.extend(np.ravel(value))
    return tf.train.Example(features=features).SerializeToString()


def raw(pixels, **others):
    """The example of an image's bytes."""
    shape = dict(zip(("height", "width", "channels"), pixels.shape, strict=True))
    return example(image=pixels.tobytes(), **shape | others)


def png(pixels):
    """An encoded image."""
    return tf.io.encode_png(pixels).numpy()


def predict(out, source, **settings):
    """`bulk.predict` with the export of the digits and 4 shards where nothing else is said."""
    given = {"saved_model": DIGITS, "input": str(source), "output": str(out), "shards": 4} | settings
    return bulk.predict(bulk.Request(**given))


def in_turn(monkeypatch):
    """Has units done one after the other; what Beam makes of them other tests see."""
    from tfvae.inference.bulk import pipeline, work

    work.STOPPING.clear()  # which a pipeline that ended early leaves set
    monkeypatch.setattr(pipeline, "run", lambda job, left, *_: [work.worker(job).run(unit) for unit in left])


def load(monkeypatch, tmp_path, model):
    """Has another model loaded; gives the settings that name it."""
    monkeypatch.setattr(Model, "load", lambda path: model)
    return {"saved_model": str(tmp_path / "stub")}


def rows(out):
    """The columns of all parts of a folder; those without rows have none."""
    parts = [read(path) for path in sorted(out.glob("part-*")) if path.stat().st_size > 22]  # of an empty archive
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def bad_ones(out):
    """The lines of all bad records of a folder."""
    return [json.loads(line) for path in sorted(out.glob("bad-*")) for line in path.read_text().splitlines()]


def files(folder):
    """The contents of its files by their names, but for the index, which knows paths and times."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "index.json"}


def one_process(model, source, out, **settings):
    """What is written without shards."""
    codes.write(model, open_input(model, str(source)), str(out), **settings)
    return read(out)


def check_same(found, expected, places):
    """Checks columns against those of some places, to the last bit."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values[places], err_msg=name)
