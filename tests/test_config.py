"""The schema of a run, and every config in `configs/`."""

import dataclasses
import json
import math
import pathlib
import runpy

import numpy as np
import pytest

from tests.helpers import digits_config
from tfvae import config as config_lib
from tfvae import likelihoods, networks, objectives, posteriors, priors, schedules
from tfvae.build import build_vae
from tfvae.config import Config, DataConfig, ModelConfig, TrainingConfig, differences, from_dict, to_dict, validate
from tfvae.errors import InputError
from tfvae.kinds import Posterior
from tfvae.reparameterization import center
from tfvae.support import BINARY

PATHS = {path.stem: path for path in sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))}


def load(name):
    return config_lib.from_file(name if ".py" in name else f"{name}.py", beside=str(PATHS["digits"]))


def changed(config, field, value):
    """A copy of `config` with the field of this dotted path set, as `--config.field=value` would."""
    first, _, rest = field.partition(".")
    return dataclasses.replace(config, **{first: changed(getattr(config, first), rest, value) if rest else value})


def message(config, path=""):
    with pytest.raises(InputError) as error:
        validate(config, path)
    return str(error.value)


# The configs of the repository ------------------------------------------------


def test_there_are_configs():
    assert {"digits", "mnist"} <= PATHS.keys()


@pytest.mark.parametrize("name", PATHS)
def test_config_is_valid_and_named_as_its_file(name):
    config = load(name)
    validate(config)
    assert config.name == name
    if config.model.likelihood.support(config.data.item_shape) is BINARY:
        assert config.data.binarization != "none"


@pytest.mark.parametrize("name", [name for name in PATHS if f"{name}.py:mnist" in PATHS[name].read_text()])
def test_variants_are_of_mnist_too(name):
    config = load(f"{name}.py:mnist")
    validate(config)
    assert config.name == f"{name}_mnist" and config.data.source == "tfds:mnist"
    assert config.model != load("mnist").model or config.objective != load("mnist").objective


@pytest.mark.parametrize("data", ["cats", "iwae", "beta_vae"])  # the last two are variants themselves
def test_a_variant_of_what_is_no_config_of_data_is_refused(data):
    with pytest.raises(InputError) as error:
        load(f"iwae.py:{data}")
    says = f"received {data!r} after the colon, expected a config of data, such as digits or mnist"
    assert str(error.value) == says


@pytest.mark.parametrize("argument", ["", "../configs/digits", "digits.py", " digits", "1"])
def test_what_follows_the_colon_is_a_name(argument):
    with pytest.raises(InputError) as error:
        load(f"iwae.py:{argument}")
    assert str(error.value) == f"received {argument!r} after the colon, expected a name, such as digits or mnist"


def test_a_path_is_no_config_of_data():
    with pytest.raises(InputError, match=r"^received '\.\./configs/digits' after the colon, expected a config of data"):
        config_lib.variant("x", "../configs/digits", beside=str(PATHS["digits"]))


@pytest.mark.parametrize("name", PATHS)
def test_config_comes_back_from_json(name):
    config = load(name)
    written = json.loads(json.dumps(to_dict(config)))
    again = from_dict(written)
    assert again == config and to_dict(again) == written
    assert type(again.model.posterior) is type(config.model.posterior)
    assert isinstance(again.data.item_shape, tuple)


@pytest.mark.parametrize("name", PATHS)
def test_config_builds_its_model_from_the_declared_shape(name, monkeypatch):
    config = load(name)
    shape, latent_size = config.data.item_shape, config.model.latent_size
    assert shape, "data.item_shape must be declared, as a run without data is built from it"
    monkeypatch.setattr("tfvae.data._SOURCES", {})
    monkeypatch.setattr("numpy.load", None)
    ones = np.ones((3, *shape), np.float32)
    vae = build_vae(config.model, shape, num_labels=10, data_mean=ones[0] / 4, examples=lambda n: ones[:n])
    labels = [0, 9, 3] if config.model.conditional else None
    q = vae.encode(ones, labels)
    assert q.batch_shape == [3] and q.event_shape == [latent_size]
    z = center(q)
    p = vae.decode(z, labels)
    assert p.batch_shape == [3] and p.event_shape == list(shape) and p.mean().shape == [3, *shape]
    assert np.isfinite(q.log_prob(z)).all() and np.isfinite(p.log_prob(ones)).all()


@pytest.mark.parametrize("name", PATHS)
def test_docstring_says_origin_and_command(name):
    text = runpy.run_path(str(PATHS[name]))["__doc__"]
    assert f"tools/train.py --config=configs/{name}.py" in text
    assert "Origin: " in text


# Validation -------------------------------------------------------------------

BAD = [
    ("data.validation_fraction", 0.0, "data.validation_fraction: received 0.0, expected a number above 0 and at most"),
    ("data.threshold", 1.5, "data.threshold: received 1.5, expected a number at least 0 and at most 1"),
    ("data.threshold", -0.1, "data.threshold: received -0.1, expected a number at least 0 and at most 1"),
    ("data.threshold", math.nan, "data.threshold: received nan, expected a number at least 0 and at most 1"),
    ("data.split_order", "sideways", "data.split_order: received 'sideways', expected one of: random, sequential"),
    ("data.item_shape", (8, 0, 1), "data.item_shape: received (8, 0, 1), expected a number at least 1"),
    ("data.item_shape", [8, 8, 1], "data.item_shape: received [8, 8, 1], expected tuple[int, ...]"),
    ("data.item_shape", (8, 8.0), "data.item_shape: received (8, 8.0), expected tuple[int, ...]"),
    ("data.item_shape", (8, True), "data.item_shape: received (8, True), expected tuple[int, ...]"),
    ("data.item_shape", 8, "data.item_shape: received 8, expected tuple[int, ...]"),
    ("data.resize", (8,), "data.resize: received (8,), expected (height, width) or ()"),
    ("data.download", 1, "data.download: received 1, expected bool"),
    ("data.source", None, "data.source: received None, expected str"),
    ("data.dequantize", True, "data.dequantize: received True, expected False with binarization 'dynamic'"),
    ("model.latent_size", 0, "model.latent_size: received 0, expected a number at least 1"),
    ("model.latent_size", True, "model.latent_size: received True, expected int"),
    ("model.latent_size", 2.0, "model.latent_size: received 2.0, expected int"),
    ("model.latent_size", "2", "model.latent_size: received '2', expected int"),
    ("model.network.hidden", (5, -1), "model.network.hidden: received (5, -1), expected a number at least 1"),
    ("model.posterior.scale_floor", 0.0, "model.posterior.scale_floor: received 0.0, expected a number above 0"),
    ("model.posterior.scale_floor", math.nan, "model.posterior.scale_floor: received nan, expected a number above 0"),
    ("objective.num_samples", 0, "objective.num_samples: received 0, expected a number at least 1"),
    ("objective.kl_weight", -1, "objective.kl_weight: received -1, expected a number at least 0"),
    ("objective.kl_schedule", None, "objective.kl_schedule: received None, expected a schedule chosen in the"),
    ("training.learning_rate", True, "training.learning_rate: received True, expected float"),
    ("training.learning_rate", 0, "training.learning_rate: received 0, expected a number above 0"),
    ("training.learning_rate", math.nan, "training.learning_rate: received nan, expected a number above 0"),
    ("training.optimizer", "adamm", "training.optimizer: received 'adamm', expected one of: adam, adamw, adagrad"),
    ("evaluation.num_samples", 0, "evaluation.num_samples: received 0, expected a number at least 1"),
    ("name", "", "name: received '', expected a plain folder name"),
    ("name", "a/b", "name: received 'a/b', expected a plain folder name"),
    ("name", "..", "name: received '..', expected a plain folder name"),
    ("name", 3, "name: received 3, expected str"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "says"), BAD)
def test_a_bad_value_is_named_with_its_full_path(field, value, says):
    assert message(changed(digits_config(), field, value)).startswith(says)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("training.learning_rate", 1),  # an int is a float
        ("data.threshold", 0),
        ("data.threshold", 1.0),
        ("data.validation_fraction", 0.9),
        ("data.item_shape", ()),
        ("data.resize", (4, 5)),
        ("model.network.hidden", ()),
        ("objective.kl_weight", 0.0),
        ("objective.kl_schedule", schedules.Linear(num_steps=10)),
        ("model.likelihood", likelihoods.Gaussian(mean="sigmoid")),
    ],
)
def test_values_on_the_bounds_are_good(field, value):
    validate(changed(digits_config(), field, value))


@pytest.mark.parametrize("likelihood", [likelihoods.Bernoulli(), likelihoods.DiscretizedLogistic(num_levels=17)])
def test_levels_are_not_dequantized(likelihood):
    config = changed(changed(digits_config(), "data.binarization", "none"), "data.dequantize", True)
    says = f"data.dequantize: received True, expected False for a {likelihood.tag} likelihood, which is of levels"
    assert message(changed(config, "model.likelihood", likelihood)) == says
    validate(changed(config, "model.likelihood", likelihoods.ContinuousBernoulli()))


def test_a_component_of_another_kind_is_refused_with_the_known_ones():
    config = changed(digits_config(), "model.posterior", priors.StandardNormal())
    says = message(config)
    assert says.startswith("model.posterior: received StandardNormal()")
    known = ", ".join(sorted(Posterior.registry))
    assert "full_normal, gamma" in known
    assert says.endswith(f"expected a posterior chosen in the config file (one of: {known})")


def test_an_infinite_number_is_refused():
    assert "training.learning_rate: received inf" in message(
        changed(digits_config(), "training.learning_rate", math.inf)
    )


def test_the_path_of_a_part_stands_before_its_fields():
    assert message(TrainingConfig(batch_size=0), "training.").startswith("training.batch_size: received 0")
    assert message(DataConfig(resize=(1, 2, 3)), "data.").startswith("data.resize: received (1, 2, 3)")
    validate(DataConfig())


# JSON -------------------------------------------------------------------------


def test_json_form_carries_tags_and_lists():
    written = to_dict(digits_config())
    assert written["model"]["posterior"] == {"type": "normal", "scale_floor": 1e-4}
    assert written["model"]["network"]["type"] == "mlp" and written["model"]["network"]["hidden"] == [16]
    assert written["objective"]["type"] == "sgvb_b" and written["objective"]["kl_schedule"] == {"type": "constant"}
    assert "type" not in written["data"]


@pytest.mark.parametrize(
    ("component", "field"),
    [
        (posteriors.FullNormal(scale_floor=0.5), "model.posterior"),
        (likelihoods.Gaussian(mean="sigmoid", initial_scale=0.125), "model.likelihood"),
        (likelihoods.GaussianIdentity(), "model.likelihood"),
        (networks.Convolutional(filters=(3, 5), kernel_size=5, dense=0), "model.network"),
        (objectives.SGVB_B(num_samples=3, kl_schedule=schedules.Cyclic(num_cycles=2)), "objective"),
        (schedules.Cosine(warmup_steps=7), "training.learning_rate_schedule"),
    ],
)
def test_components_are_found_by_their_tags(component, field):
    config = changed(digits_config(), field, component)
    again = from_dict(to_dict(config))
    assert again == config != digits_config()


def without(values, field):
    first, _, rest = field.partition(".")
    if rest:
        return values | {first: without(values[first], rest)}
    return {name: value for name, value in values.items() if name != first}


def with_value(values, field, value):
    first, _, rest = field.partition(".")
    return values | {first: with_value(values[first], rest, value) if rest else value}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("colour", 1, r"^colour: unknown field, expected one of: name, data, model, objective, training, evaluation$"),
        ("data.sauce", 1, r"^data\.sauce: unknown field, expected one of: source, data_dir"),
        ("model.posterior.floor", 1, r"^model\.posterior\.floor: unknown field, expected one of: scale_floor$"),
        ("model.posterior.type", "norml", r"^model\.posterior: unknown posterior 'norml', expected one of: coupling"),
        ("objective.kl_schedule.type", None, r"^objective\.kl_schedule: unknown schedule None, expected one of: const"),
        ("model", 3, r"^model: received 3, expected an object$"),
        ("data", ["digits"], r"^data: received \['digits'\], expected an object$"),
        ("model.prior", "standard_normal", r"^model\.prior: received 'standard_normal', expected an object$"),
        ("model.latent_size", "2", r"^model\.latent_size: received '2', expected int$"),
        ("training.learning_rate", -1, r"^training\.learning_rate: received -1, expected a number above 0$"),
        ("training.learning_rate_schedule", {"type": "cyclic", "rise": 2},
         r"^training\.learning_rate_schedule\.rise: received 2, expected a number above 0 and at most 1$"),
    ],
)  # fmt: skip
def test_bad_json_is_named_with_its_full_path(field, value, says):
    with pytest.raises(InputError, match=says):
        from_dict(with_value(to_dict(digits_config()), field, value))


@pytest.mark.parametrize(("field", "path", "name"), [
    ("name", "config", "'name'"), ("model", "config", "'model'"), ("model.prior", "model", "'prior'"),
])  # fmt: skip
def test_a_missing_field_is_named(field, path, name):
    with pytest.raises(InputError, match=f"^{path}: .*missing.*{name}"):
        from_dict(without(to_dict(digits_config()), field))


def test_fields_with_defaults_may_be_missing():
    assert from_dict(without(to_dict(digits_config()), "data.split_seed")) == digits_config()


def test_what_is_no_object_is_refused():
    with pytest.raises(InputError, match=r"^config: received \[\], expected an object$"):
        from_dict([])


def test_a_class_attribute_is_no_field():
    values = with_value(to_dict(digits_config()), "model.likelihood.binary", True)
    with pytest.raises(InputError, match=r"^model\.likelihood.*binary"):
        from_dict(values)


def test_a_tag_that_is_no_string_is_refused():
    with pytest.raises(InputError, match=r"^model\.prior: unknown prior"):
        from_dict(with_value(to_dict(digits_config()), "model.prior.type", ["standard_normal"]))


def test_a_part_is_read_by_its_own_class():
    model = digits_config().model
    assert from_dict(to_dict(model), ModelConfig) == model
    with pytest.raises(InputError, match=r"^latent_size: received 0"):
        from_dict(to_dict(model) | {"latent_size": 0}, ModelConfig)


def test_differences_name_full_paths():
    ours = to_dict(digits_config())
    assert differences(ours, ours) == {}
    other = changed(digits_config(batch_size=7), "model.posterior", posteriors.FullNormal(scale_floor=0.5))
    found = differences(ours, to_dict(other))
    assert found == {
        "training.batch_size": (50, 7),
        "model.posterior.type": ("normal", "full_normal"),
        "model.posterior.scale_floor": (1e-4, 0.5),
    }
    assert differences(ours, without(ours, "data.source")) == {"data.source": ("digits", None)}
    assert differences({"a": {"b": 1}}, {"a": 3}) == {"a": ({"b": 1}, 3)}


def test_field_names_are_in_order():
    names = config_lib.field_names(Config)
    assert names == ["name", "data", "model", "objective", "training", "evaluation"]
