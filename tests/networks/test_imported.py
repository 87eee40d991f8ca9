"""Networks by import path: what they are given, and each way they can be wrong."""

import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfvae import config
from tfvae.errors import InputError
from tfvae.networks import Imported

MODELS = """
    import math
    import keras
    import tf_keras
    from tf_keras import layers

    seen = {}

    def encoder(item_shape, num_params):
        inputs = layers.Input(item_shape)
        return tf_keras.Model(inputs, layers.Dense(num_params)(layers.Flatten()(inputs)))

    def decoder(latent_size, item_shape, params_per_dim):
        size = params_per_dim * math.prod(item_shape)
        return tf_keras.Sequential([layers.InputLayer([latent_size]), layers.Dense(size)])

    def full_encoder(item_shape, num_params, *, policy):
        seen["encoder"] = policy
        return encoder(item_shape, num_params)

    def full_decoder(latent_size, item_shape, params_per_dim, policy="x", output_bias="x"):
        seen["decoder"] = policy, output_bias
        return decoder(latent_size, item_shape, params_per_dim)

    number = 7

    def none(*args):
        return None

    def raises(item_shape, num_params):
        raise ValueError("no such size\\nmore")

    def one_argument(item_shape):
        return None

    def keras_3(item_shape, num_params):
        inputs = keras.layers.Input(item_shape)
        return keras.Model(inputs, keras.layers.Dense(num_params)(keras.layers.Flatten()(inputs)))

    def unbuilt(item_shape, num_params):
        return tf_keras.Sequential([layers.Flatten(), layers.Dense(num_params)])

    def other_input(item_shape, num_params):
        return encoder((3, 3), num_params)

    def other_output(item_shape, num_params):
        return encoder(item_shape, num_params + 1)

    def two_inputs(item_shape, num_params):
        one, other = layers.Input(item_shape), layers.Input((2,))
        return tf_keras.Model([one, other], layers.Dense(num_params)(layers.Flatten()(one)))

    def fixed_rows(item_shape, num_params):
        inputs = layers.Input(item_shape, batch_size=5)
        return tf_keras.Model(inputs, layers.Dense(num_params)(layers.Flatten()(inputs)))

    def one_number_a_dimension(latent_size, item_shape, params_per_dim):
        return decoder(latent_size, item_shape, 1)

    def other_latents(latent_size, item_shape, params_per_dim):
        return decoder(latent_size + 1, item_shape, params_per_dim)
"""


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory):
    """Modules `own_models.networks`, `own_models.broken` and `own_models.wants_more` on the path."""
    folder = tmp_path_factory.mktemp("path")
    (folder / "own_models").mkdir()
    for name, text in {
        "__init__": "",
        "networks": textwrap.dedent(MODELS),
        "broken": "raise RuntimeError('half written')",
        "wants_more": "import package_that_is_not_there",
    }.items():
        (folder / "own_models" / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_models"]:
        del sys.modules[name]


def imported(encoder="encoder", decoder="decoder"):
    return Imported(
        **{f"{part}_function": path if ":" in path else f"own_models.networks:{path}"
           for part, path in (("encoder", encoder), ("decoder", decoder))}
    )  # fmt: skip


def test_models_are_the_users():
    network = imported()
    config.validate(network)
    encoder, decoder = network.encoder((4, 5), 3), network.decoder(2, (4, 5), 2)
    assert isinstance(encoder, tf_keras.Model) and isinstance(decoder, tf_keras.Sequential)
    assert encoder(np.zeros((6, 4, 5))).shape == (6, 3) and decoder(tf.zeros([6, 2])).shape == (6, 40)


def test_functions_get_what_they_ask_for():
    network = imported("full_encoder", "full_decoder")
    network.encoder((4, 5), 3, policy="mixed_bfloat16")
    network.decoder(2, (4, 5), 2, output_bias="the bias", policy="mixed_bfloat16")
    seen = sys.modules["own_models.networks"].seen
    assert seen == {"encoder": "mixed_bfloat16", "decoder": ("mixed_bfloat16", "the bias")}
    assert imported().encoder((4, 5), 3, policy="mixed_bfloat16").output_shape == (None, 3)


def test_the_config_is_read_without_the_module():
    network = imported("not_there_yet.models:encoder")
    config.validate(network)
    assert config.from_dict(config.to_dict(network), Imported, "network") == network


@pytest.mark.parametrize("path", ["", "models", "a.b", ":f", "models:", "a:b:c", "models/x.py:f", "a b:f", "a..b:f"])
def test_what_is_no_import_path(path):
    says = rf"received {path!r}, expected '<module>:<function>', such as 'my_package\.models:make_encoder'$"
    network = Imported(encoder_function=path, decoder_function="a:b")
    for ask in (lambda: config.validate(network, "model.network."), lambda: network.encoder((4, 5), 3)):
        with pytest.raises(InputError, match=rf"^model\.network\.encoder_function: {says}"):
            ask()
    other = Imported(encoder_function="a:b", decoder_function=path)
    with pytest.raises(InputError, match=r"^model\.network\.decoder_function: .*make_decoder'$"):
        config.validate(other, "model.network.")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("not_there:f", r"and there is no module 'not_there', expected a module that can be imported"),
        ("own_models.not_there:f", r"and there is no module 'own_models\.not_there', expected .* PYTHONPATH"),
        ("own_models.broken:f", r"whose import fails \(RuntimeError: half written\), expected"),
        (
            "own_models.wants_more:f",
            r"whose import fails \(ModuleNotFoundError: No module named 'package_that_is_not_there'\)",
        ),
        ("not_there", r"but own_models\.networks has no 'not_there', expected a function of that module"),
        ("number", r"which is int, expected a function"),
        ("raises", r"where raises\(\(4, 5\), 3\) fails \(ValueError: no such size\), expected a tf_keras model"),
        ("one_argument", r"where one_argument\(\(4, 5\), 3\) fails \(TypeError: .*positional argument"),
        ("none", r"which returns builtins\.NoneType, expected a tf_keras model from \(None, 4, 5\) to \(None, 3\)$"),
        ("keras_3", r"which returns keras\..*, of Keras 3 \(as tf\.keras is in this TensorFlow\), expected a tf_keras"),
        ("unbuilt", r"which returns a model of unknown input shape, expected .*, functional"),
        ("other_input", r"which returns a model from \(None, 3, 3\) to \(None, 3\), expected .* \(None, 4, 5\) to"),
        ("other_output", r"which returns a model from \(None, 4, 5\) to \(None, 4\), expected .* to \(None, 3\)"),
        ("two_inputs", r"which returns a model from \(None, 4, 5\), \(None, 2\) to \(None, 3\), expected"),
        ("fixed_rows", r"which returns a model from \(5, 4, 5\) to \(5, 3\), expected"),
    ],
)
def test_encoders_that_are_refused(path, message):
    network = imported(path)
    received = network.encoder_function
    with pytest.raises(InputError, match=rf"^model\.network\.encoder_function: received {received!r}, {message}") as c:
        network.encoder((4, 5), 3)
    assert "\n" not in str(c.value)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("one_number_a_dimension", r"a model from \(None, 2\) to \(None, 20\), expected .* to \(None, 40\)$"),
        ("other_latents", r"a model from \(None, 3\) to \(None, 40\), expected .* from \(None, 2\) to"),
        ("none", r"which returns builtins\.NoneType"),
        ("raises", r"where raises\(2, \(4, 5\), 2\) fails \(TypeError: "),
    ],
)
def test_decoders_that_are_refused(path, message):
    network = imported(decoder=path)
    with pytest.raises(InputError, match=rf"^model\.network\.decoder_function: received .*{message}"):
        network.decoder(2, (4, 5), 2)
