"""Every likelihood, posterior, prior, network and several sizes of images: written, loaded, and each signature run."""

import itertools
import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.export.conftest import example
from tests.helpers import small_vae
from tfvae import likelihoods, networks
from tfvae.export import export_saved_model
from tfvae.export.module import SIGNATURES, evaluate, input_specs
from tfvae.export.served import Served
from tfvae.kinds import SUPPORTS, Likelihood, Network, Posterior, Prior

ROWS, K = 2, 3
SIZE_LIMIT = 1_000_000  # bytes of saved_model.pb: a graph, in which no constant is as large as weights
DIGIT, VECTOR = (28, 28, 1), (4,)

# What a part cannot have, beside `VECTORS`.
LEFT_OUT = {
    "autoregressive_bernoulli": {"complete", "log_joint"},
    "multinomial": {"complete", "decode_sample"},
    "mixture_of_normals": {"prior"},
    "vamp_prior": {"prior"},
}
VECTORS = {"score_bytes"}  # are no files of images


def encoder(item_shape, num_params):
    x = tf_keras.layers.Input(item_shape)
    return tf_keras.Model(x, tf_keras.layers.Dense(num_params)(tf_keras.layers.Flatten()(x)))


def decoder(latent_size, item_shape, params_per_dim):
    z = tf_keras.layers.Input([latent_size])
    return tf_keras.Model(z, tf_keras.layers.Dense(params_per_dim * math.prod(item_shape))(z))


NETWORKS = {
    "mlp": networks.MLP(hidden=(8,)),
    "bayesian_mlp": networks.BayesianMLP(hidden=(8,)),
    "convolutional": networks.Convolutional(filters=(4, 8), dense=8),
    "residual_convolutional": networks.ResidualConvolutional(filters=(4, 8), dense=8, blocks=1),
    "recurrent": networks.Recurrent(units=8),
    "imported": networks.Imported(encoder_function=f"{__name__}:encoder", decoder_function=f"{__name__}:decoder"),
}
SIZES = [
    ("mlp", (64, 64, 3)),
    ("convolutional", (64, 64, 3)),
    ("residual_convolutional", DIGIT),
    ("recurrent", DIGIT),
    ("imported", DIGIT),
    ("bayesian_mlp", (13, 7, 3)),
    ("convolutional", (13, 7, 3)),
    ("mlp", (1, 1, 1)),
    ("convolutional", (1, 1, 1)),
]


def _likelihoods():
    """Each with its defaults, on the commonest images."""
    for tag, cls in sorted(Likelihood.registry.items()):
        if tag == "table":
            columns = ("gaussian", "bernoulli", "poisson", "categorical:3")
            yield tag, VECTOR, {"likelihood": likelihoods.Table(columns=columns)}
        else:
            yield tag, DIGIT, {"likelihood": cls(num_categories=10) if tag == "categorical" else cls()}
    yield "gaussian of vectors", VECTOR, {"likelihood": likelihoods.Gaussian(domain="real")}


def _posteriors_and_priors():
    """Each of both at least once, beside one that fits."""
    for support in SUPPORTS:
        around = [tag for tag, cls in sorted(Posterior.registry.items()) if cls.support == support]
        before = [tag for tag, cls in sorted(Prior.registry.items()) if cls.support == support]
        if support in ("real", "positive"):
            before.insert(1, "vamp_prior")  # which takes any support
        both = [around, before]
        for one, other in itertools.islice(zip(*map(itertools.cycle, both), strict=False), max(map(len, both))):
            parts = {"posterior": Posterior.registry[one](), "prior": Prior.registry[other]()}
            yield f"{one} and {other}", (6, 5, 1), parts


def _networks():
    for tag, shape in SIZES:
        yield f"{tag} of {shape}", shape, {"network": NETWORKS[tag]}
    yield "labels", DIGIT, {"num_labels": 3}


CASES = {name: (shape, parts) for name, shape, parts in [*_likelihoods(), *_posteriors_and_priors(), *_networks()]}
QUICK = ["multinomial"]


def test_none_is_missing():
    for kind, registry in (("posterior", Posterior.registry), ("prior", Prior.registry)):
        assert {parts[kind].tag for _, parts in CASES.values() if kind in parts} == registry.keys()
    assert {
        parts["likelihood"].tag for _, parts in CASES.values() if "likelihood" in parts
    } == Likelihood.registry.keys()
    assert NETWORKS.keys() == Network.registry.keys() == {name for name, _ in SIZES}
    assert set(QUICK) < CASES.keys()


@pytest.mark.parametrize("case", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in CASES])
def test_every_part(case, tmp_path):
    shape, parts = CASES[case]
    vae = small_vae(shape, **parts)
    path = pathlib.Path(export_saved_model(vae, str(tmp_path / "model"), item_shape=shape, num_samples=K))
    card = json.loads((path / "model_card.json").read_text())
    loaded, apart = tf.saved_model.load(path), tf.saved_model.load(path / "sample" / "1")
    signatures = {**loaded.signatures, "sample": apart.signatures["sample"]}

    tags = {part.tag for part in parts.values() if hasattr(part, "tag")}
    expected = set().union(VECTORS if len(shape) != 3 else (), *(LEFT_OUT.get(tag, ()) for tag in tags))
    assert card["left_out"].keys() == expected == SIGNATURES.keys() - signatures.keys()
    assert card["signatures"].keys() == signatures.keys()
    for name, why in card["left_out"].items():
        assert why and f"There is no signature `{name}`: {why}." in card["limits"]

    given = _inputs(vae, shape, card)
    given["z"] = _run(signatures["generate"], given)["z"]
    for name, function in signatures.items():
        outputs, promised = _run(function, given), card["signatures"][name]["outputs"]
        assert outputs.keys() == promised.keys(), name
        for key, value in outputs.items():
            tensor = promised[key]
            assert value.dtype == tensor["dtype"], (name, key)
            assert list(value.shape) == [ROWS if size is None else size for size in tensor["shape"]], (name, key)
            assert np.isfinite(value).all(), (name, key)
        assert outputs.get("valid", np.array(True)).all(), name

    # Custom gradients are not saved: the derivative is that of the ops.
    specs = signatures["log_joint"].structured_input_signature[1] if "log_joint" in signatures else {}
    if specs and not vae.num_labels:
        z = tf.constant(given["z"])
        derivatives = []
        for run in (signatures["log_joint"], lambda **inputs: _own(vae, shape, inputs)):
            with tf.GradientTape() as tape:
                tape.watch(z)
                outputs = run(**{key: z if key == "z" else _fit(given, key, spec) for key, spec in specs.items()})
                total = outputs["log_likelihood"] + outputs["log_prior"]
            derivatives.append(tape.gradient(total, z).numpy())
        assert np.isfinite(derivatives[1]).all() and np.abs(derivatives[1]).max() > 0.0
        np.testing.assert_allclose(*derivatives, rtol=1e-3, atol=1e-3 * np.abs(derivatives[1]).max())

    sizes = {str(file.relative_to(path)): file.stat().st_size for file in path.rglob("saved_model.pb")}
    assert len(sizes) == 2 and max(sizes.values()) < SIZE_LIMIT, sizes


def _inputs(vae, shape, card):
    """Rows that are valid for any signature, by the names of inputs, but for z."""
    rng, support = np.random.default_rng(0), vae.support
    low = np.where(np.isfinite(support.low), support.low, -1.0)
    x = low + rng.random((ROWS, *shape)) * (np.minimum(support.high, 3.0) - low)
    step = np.asarray(support.step)
    x = np.where(step > 0, low + np.round((x - low) / np.where(step > 0, step, 1.0)) * step, x).astype(np.float32)
    name, labels = card["item"]["name"], vae.num_labels
    label = {"label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))} if labels else {}
    given = {
        name: x, "mask": rng.random(x.shape) < 0.5, "seed": np.arange(ROWS), "label": np.ones(ROWS, np.int64),
        "noise": rng.normal(size=(ROWS, K, vae.latent_size)), "n": ROWS,
        "inputs": [example(name, one, **label) for one in x],
    }  # fmt: skip
    if len(shape) == 3:
        pixels = np.clip(np.round(x / card["pixel_scale"]), 0, 255).astype(np.uint8)
        given["image_bytes"] = [tf.io.encode_png(one).numpy() for one in pixels]
    return given


def _own(vae, shape, inputs):
    """The same of the model itself, eagerly."""
    served = Served(vae, shape, K)
    return evaluate(served, "log_joint", [inputs[spec.name] for spec in input_specs(served, "log_joint")])


def _fit(given, key, spec):
    value = given[key]
    if spec.shape.rank == 0:  # one seed or label for all rows of `sample`
        value = np.ravel(value)[0]
    elif key == "noise" and spec.shape.rank == 2:
        value = value[:, 0]
    return tf.constant(value, spec.dtype)


def _run(function, given):
    specs = function.structured_input_signature[1]
    return {
        key: value.numpy()
        for key, value in function(**{key: _fit(given, key, spec) for key, spec in specs.items()}).items()
    }
