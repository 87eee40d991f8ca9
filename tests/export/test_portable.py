"""What takes the place of ops that a format lacks, and which signatures of every part a format can hold."""

import re

import numpy as np
import pytest
import tensorflow as tf

from tests.export.test_parts import LIKELIHOODS, PRIORS, SIZE, Traced
from tests.helpers import needs, small_vae
from tfvae import networks, posteriors, priors
from tfvae.export import portable
from tfvae.export.convert import RefusedError, content_of, difference_of
from tfvae.export.formats import FORMATS
from tfvae.kinds import Posterior

# Ops that a format lacks -----------------------------------------------------------

POINTS = np.concatenate([np.logspace(-30, 3, 67), [0.5, 1.0, 2.0, 7.999, 8.0]]).astype(np.float32)
SIGNED = np.concatenate([-POINTS[POINTS < 80], [0.0], POINTS[POINTS < 80]]).astype(np.float32)
MATRIX = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
REPLACED = {
    "BroadcastArgs": lambda op: op(s0=tf.constant([2, 1, 3]), s1=tf.constant([4, 1])),
    "Cosh": lambda op: op(x=SIGNED),
    "EnsureShape": lambda op: op(input=POINTS, shape=[None]),
    "Expm1": lambda op: op(x=SIGNED),
    "Lgamma": lambda op: op(x=POINTS),
    "Log1p": lambda op: op(x=np.concatenate([POINTS, [-0.99, -0.5, -1e-4, -1e-20]]).astype(np.float32)),
    "MatrixDiagPartV3": lambda op: op(input=MATRIX, k=0, padding_value=0.0),
    "MatrixDiagV3": lambda op: op(diagonal=MATRIX[0], k=0, num_rows=-1, num_cols=-1, padding_value=0.0),
    "MatrixSetDiagV3": lambda op: op(input=MATRIX, diagonal=MATRIX[:, 0], k=0),
    "MulNoNan": lambda op: op(x=tf.constant([2.0, np.nan, np.inf]), y=tf.constant([3.0, 0.0, 0.0])),
    "Sigmoid": lambda op: op(x=SIGNED),
    "SparseSoftmaxCrossEntropyWithLogits": lambda op: op(features=10.0 * MATRIX[0], labels=[2, 0, 1]),
    "Xlogy": lambda op: op(x=tf.constant([0.0, 2.0]), y=tf.constant([0.0, 3.0])),
}


@pytest.mark.parametrize("op", sorted(portable.LITERT | portable.ONNX))
def test_what_takes_the_place_of_an_op(op):
    replacement = (portable.LITERT | portable.ONNX)[op]

    def other(**inputs):
        return replacement(*map(tf.convert_to_tensor, list(inputs.values())[: 1 if op == "EnsureShape" else None]))

    expected, found = (tuple(REPLACED[op](one)) for one in (getattr(tf.raw_ops, op), other))
    for one, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, value, rtol=2e-6, atol=2e-6)
    if op in ("Expm1", "Log1p", "Sigmoid"):  # which are there for their digits about 0
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("to", FORMATS)
def test_small_probabilities_keep_their_digits(to):
    needs(*FORMATS[to].packages)
    function = tf.function(
        lambda x: {"y": tf.math.sigmoid(x)}, input_signature=[tf.TensorSpec([None], tf.float32, "x")]
    )
    content = FORMATS[to].convert(portable.portable(function.get_concrete_function(), FORMATS[to].replaced), "chance")
    found = FORMATS[to].run(content, "chance", {"x": SIGNED})["y"]
    np.testing.assert_allclose(found, 1.0 / (1.0 + np.exp(-SIGNED.astype(float))), rtol=1e-5, atol=0)


# Parts ---------------------------------------------------------------------------

# Of parts: the signatures of those below that cannot become LiteRT, and those that cannot become ONNX, each with an op
# that is to blame.
PHI = ({"score_noise": "Erfc"},) * 2
GAMMA = ({"encode": "Digamma", "score_noise": "Igamma"}, {"encode": "Digamma", "score_noise": "Erfc"})
SLICES, LISTS = {"score_noise": "StridedSlice"}, "TensorListReserve"
REFUSED = {
    "categorical": (SLICES, {}), "discretized_logistic": (SLICES, {"decode": "StridedSlice"}),
    "dirichlet": GAMMA, "gamma": GAMMA,
    "student_t": ({"encode": "Betainc", "score_noise": "Betainc"}, {"encode": "Xlogy", "score_noise": "Erfc"}),
    "exponential": PHI, "gumbel": PHI, "kumaraswamy": PHI, "laplace": PHI, "logistic": PHI, "weibull": PHI,
    "recurrent": ({"decode": LISTS, "encode": LISTS, "score_noise": LISTS}, {}),
}  # fmt: skip
LARGE = (256, 256, 3)


def _parts():
    for tag, likelihood in LIKELIHOODS.items():
        yield tag, {"likelihood": likelihood}
    for tag, cls in sorted(Posterior.registry.items()):
        prior = PRIORS.get(cls.support, priors.StandardNormal())
        yield tag, {"posterior": getattr(posteriors, cls.__name__)(), "prior": prior}
    yield "recurrent", {"network": networks.Recurrent()}
    yield "labels", {"num_labels": 3}
    yield "large", {"network": networks.Convolutional(filters=(4, 4), dense=4)}


@pytest.mark.slow
@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(("tag", "parts"), [pytest.param(*one, id=one[0]) for one in _parts()])
def test_every_part(tag, parts, to):
    needs(*FORMATS[to].packages)
    shape, kind = {"recurrent": (SIZE, SIZE, 1), "large": LARGE}.get(tag, (SIZE,)), FORMATS[to]
    vae = small_vae(shape, **parts)
    traced = Traced(vae)
    traced.served = type(traced.served)(vae, shape, 3)
    given = {"label": np.array([0, 1, 2]), "seed": np.arange(3)}
    call = lambda name: traced[name](**{key: tf.constant(given[key]) for key in _inputs(traced[name])})  # noqa: E731
    given["z"] = call("generate")["z"].numpy()
    given[traced.served.item_name] = np.full((3, *shape), 0.5 if tag == "large" else 1.0, np.float32)  # grey is drawn
    given["noise"] = np.random.default_rng(0).normal(size=(3, 5, vae.latent_size)).astype(np.float32)
    refused = {}
    for name in ["encode"] if tag == "large" else ["decode", "encode", "score_noise"]:
        expected = {key: value.numpy() for key, value in call(name).items()}
        try:
            content = content_of(traced[name], name, kind)
        except RefusedError as error:
            refused[name] = str(error)
            continue
        found = kind.run(content, name, {key: given[key] for key in _inputs(traced[name])})
        assert max(difference_of(found[key], value) for key, value in expected.items()) < 1e-5
    lacking = REFUSED.get(tag, ({}, {}))[list(FORMATS).index(to)]
    assert refused.keys() == lacking.keys()
    for name, op in lacking.items():
        assert re.fullmatch(rf"it cannot do (\w+, )*{op}(, \w+)*", refused[name])


def _inputs(function):
    positional, named = function.structured_input_signature
    return [spec.name for spec in [*positional, *named.values()]]
