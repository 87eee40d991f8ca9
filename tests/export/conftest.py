import dataclasses
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import small_vae
from tfvae import likelihoods, networks, posteriors
from tfvae.export import export_saved_model

IMAGE, VECTOR = (5, 7, 3), (6,)
NUM_SAMPLES = 20  # not a multiple of the chunk


@dataclasses.dataclass
class Exported:
    """A model, its export, and the export loaded again."""

    vae: Any
    path: str
    item_shape: tuple[int, ...]

    def __post_init__(self):
        main, apart = (tf.saved_model.load(path) for path in (self.path, f"{self.path}/sample/1"))
        self.loaded = main, apart
        self.signatures = {**main.signatures, "sample": apart.signatures["sample"]}
        self.item_name = "image" if len(self.item_shape) == 3 else "vector"
        self.binary = "logits" in self.signatures["decode"].structured_outputs

    def __call__(self, name, item=None, **inputs):
        if item is not None:
            inputs[self.item_name] = tf.constant(item, tf.float32)
        if "seed" in inputs:
            inputs["seed"] = tf.constant(inputs["seed"], tf.int64)
        return {key: value.numpy() for key, value in self.signatures[name](**inputs).items()}

    def items(self, num_rows, *, binary=None):
        """Grey, or 0/1, by default where the model wants it."""
        x = np.random.default_rng(1).random((num_rows, *self.item_shape)).astype(np.float32)
        return x.round() if (self.binary if binary is None else binary) else x


def _model(item_shape, **parts):
    vae = small_vae(item_shape, latent_size=2, **parts)
    generator = np.random.default_rng(0)
    for variable in vae.trainable_variables:  # initial biases are all zero
        variable.assign_add(generator.normal(0.0, 0.1, variable.shape))
    return vae


MODELS = {
    "normal-bernoulli-mlp": lambda: (_model(IMAGE), IMAGE),
    "full-bernoulli-convolutional": lambda: (
        _model(IMAGE, posterior=posteriors.FullNormal(), network=networks.Convolutional(filters=(4, 8), dense=8)),
        IMAGE,
    ),
    "normal-gaussian-convolutional": lambda: (
        _model(IMAGE, likelihood=likelihoods.Gaussian(), network=networks.Convolutional(filters=(4,), dense=0)),
        IMAGE,
    ),
    "full-gaussian-mlp": lambda: (
        _model(IMAGE, posterior=posteriors.FullNormal(), likelihood=likelihoods.Gaussian(mean="sigmoid")),
        IMAGE,
    ),
    "full-identity-vector": lambda: (
        _model(VECTOR, posterior=posteriors.FullNormal(), likelihood=likelihoods.GaussianIdentity()),
        VECTOR,
    ),
}


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Every model's export, made once."""
    made = {}

    def get(name):
        if name not in made:
            vae, item_shape = MODELS[name]()
            folder = tmp_path_factory.mktemp("exports") / name
            path = export_saved_model(vae, str(folder), item_shape=item_shape, num_samples=NUM_SAMPLES)
            made[name] = Exported(vae, path, item_shape)
        return made[name]

    return get


@pytest.fixture(params=MODELS, scope="session")
def exported(request, exports):
    return exports(request.param)


@pytest.fixture(scope="session")
def binary(exports):
    return exports("normal-bernoulli-mlp")


def arguments(exported, name, num_rows):
    """Inputs of any signature."""
    specs = exported.signatures[name].structured_input_signature[1]
    inputs = {"z": np.random.default_rng(2).normal(size=(num_rows, 2)).astype(np.float32)}
    inputs["noise"] = inputs["z"] + 1.0
    inputs["mask"] = np.random.default_rng(4).random((num_rows, *exported.item_shape)) < 0.5
    items = exported.items(num_rows, binary=False)
    inputs |= {"seed": np.arange(num_rows) * 7, exported.item_name: items}
    if name == "score_noise":
        inputs["noise"] = np.random.default_rng(5).normal(size=(num_rows, specs["noise"].shape[1] or 3, 2))
    if name == "sample":
        inputs |= {"n": num_rows, "seed": 3}
    pixels = np.uint8(255 * items)
    inputs["image_bytes"] = [tf.io.encode_png(one).numpy() for one in pixels] if items.ndim == 4 else []
    inputs["inputs"] = [example(exported.item_name, one) for one in items]
    return {key: tf.constant(inputs[key], spec.dtype) for key, spec in specs.items()}


def example(name, item, **others):
    features = {name: tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(item)))} | others
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
