"""A model by its signatures: the same from a VAE and from its export alone."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tfvae import likelihoods, posteriors, priors
from tfvae.errors import InputError
from tfvae.export import export_saved_model
from tfvae.export.module import SIGNATURES
from tfvae.inference.model import Model, seeds

SHAPE, N = (6, 5, 1), 7


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    vae = small_vae(SHAPE)
    path = export_saved_model(vae, str(tmp_path_factory.mktemp("exports") / "small"), item_shape=SHAPE)
    return Model.of(vae), Model.load(path), vae, path


def arguments(name):
    z = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    known = {"item": binary_data(N), "z": z, "noise": z, "seed": seeds(3, N), "mask": binary_data(N, seed=1) > 0}
    known["noises"] = np.stack([z, -z] * 32, axis=1)  # K is that of the export
    return {key.replace("noises", "noise"): known[key] for key in SIGNATURES[name].inputs}


# Others take strings, or no rows: see tests/export.
OF_ROWS = sorted(SIGNATURES.keys() - {"regress", "sample", "score_bytes"})


@pytest.mark.parametrize("name", OF_ROWS)
def test_a_run_and_its_export_give_the_same(pair, name):
    of, loaded, *_ = pair
    here, there = of.rows(name, **arguments(name)), loaded.rows(name, **arguments(name))
    assert here.keys() == there.keys() and here
    for key, value in here.items():
        np.testing.assert_allclose(value, there[key], rtol=1e-5, atol=1e-5)


def test_the_same_facts(pair):
    of, loaded, *_ = pair
    for field in ("item_name", "item_shape", "latent_size", "latent_support", "num_labels", "low", "high", "step"):
        assert getattr(of, field) == getattr(loaded, field), field
    assert of.binary and loaded.binary and loaded.dimensions == 30


def test_rows_do_not_depend_on_how_many_go_at_once(pair, monkeypatch):
    whole = pair[0].rows("encode_sample", **arguments("encode_sample"))["z"]
    monkeypatch.setattr("tfvae.inference.model._ROWS", 3)
    np.testing.assert_allclose(pair[0].rows("encode_sample", **arguments("encode_sample"))["z"], whole, rtol=1e-5)


def test_log_joint_is_the_models_and_has_a_gradient(pair):
    of, loaded, vae, _ = pair
    given = arguments("log_joint")
    z = tf.Variable(given.pop("z"))
    gradients = []
    for model in (of, loaded):
        with tf.GradientTape() as tape:
            found = model.tensors("log_joint", z=z, **given)
            total = tf.reduce_sum(found["log_likelihood"] + found["log_prior"])
        gradients.append(tape.gradient(total, z))
    np.testing.assert_allclose(found["log_prior"], vae.prior.log_prob(z), rtol=1e-5)
    with tf.GradientTape() as tape:
        each = vae.decode(z).distribution.log_prob(given["item"])
        observed = tf.reduce_sum(tf.where(given["mask"], each, 0.0), axis=[1, 2, 3])
        total = tf.reduce_sum(observed + vae.prior.log_prob(z))
    np.testing.assert_allclose(found["log_likelihood"], observed, rtol=1e-5)
    expected = tape.gradient(total, z)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_densities_are_those_of_x_also_outside_the_range():
    """A draw of a Gaussian p(x|z) of [0, 1] may lie outside."""
    vae = small_vae((4,), likelihood=likelihoods.Gaussian())
    x, z = np.array([[-0.5, 0.2, 1.7, 0.9]], np.float32), np.zeros((1, 3), np.float32)
    found = Model.of(vae).rows("log_joint", item=x, mask=np.ones((1, 4), bool), z=z)
    np.testing.assert_allclose(found["log_likelihood"], vae.decode(z).log_prob(x), rtol=1e-5)


def test_the_export_of_the_repository_has_all_signatures():
    model = Model.load(str(pathlib.Path(__file__).parents[2] / "saved_models" / "digits" / "1"))
    for name in OF_ROWS:
        given = {"item": np.zeros((1, 8, 8, 1)), "z": np.zeros((1, 8)), "noise": np.zeros((1, 8)), "seed": [0]}
        given |= {"mask": np.ones((1, 8, 8, 1)), "noises": np.zeros((1, 64, 8))}
        inputs = {key.replace("noises", "noise"): given[key] for key in SIGNATURES[name].inputs}
        assert model.rows(name, **inputs)


def test_draws_of_z_follow_their_density(pair):
    """E_q[log q] is minus the entropy."""
    of, _, vae, _ = pair
    x = np.repeat(binary_data(1), 2_000, axis=0)
    z = of.rows("encode_sample", item=x, seed=seeds(0, 2_000))["z"]
    log_q = of.rows("log_posterior", item=x, z=z)["log_prob"]
    np.testing.assert_allclose(log_q.mean(), -vae.encode(x[:1]).entropy()[0], atol=4 * log_q.std() / np.sqrt(2_000))
    np.testing.assert_allclose(z.mean(axis=0), vae.encode(x[:1]).mean()[0], atol=0.1)


def test_draws_of_x_have_the_decoders_mean(pair):
    z = np.repeat(arguments("decode")["z"][:1], 3_000, axis=0)
    x = pair[0].rows("decode_sample", z=z, seed=seeds(0, 3_000))["item"]
    assert set(np.unique(x)) == {0.0, 1.0}
    np.testing.assert_allclose(x.mean(axis=0), pair[0].decode(z[:1])[0], atol=0.05)


@pytest.mark.parametrize(
    ("posterior", "prior", "support"),
    [
        (posteriors.Normal(), priors.StandardNormal(), "real"),
        (posteriors.Normal(), priors.AutoregressiveFlow(hidden=(4,)), "real"),
        (posteriors.Normal(), priors.MixtureOfNormals(num_components=2), "real"),
        (posteriors.Gamma(), priors.Gamma(), "positive"),
        (posteriors.LogNormal(), priors.StandardLogNormal(), "positive"),
        (posteriors.Kumaraswamy(), priors.StandardUniform(), "unit"),
        (posteriors.Dirichlet(), priors.SymmetricDirichlet(), "simplex"),
        (posteriors.Gamma(), priors.VampPrior(), "positive"),
    ],
)
def test_where_z_lies(posterior, prior, support):
    vae = small_vae(posterior=posterior, prior=prior)
    model = Model.of(vae)
    assert model.latent_support == support
    middle = model.middle(2)
    assert middle.shape == (2, 3) and np.isfinite(vae.prior.log_prob(middle)).all()


def test_a_signature_that_a_model_cannot_have_is_left_out_and_said(tmp_path):
    vae = small_vae((4,), likelihood=likelihoods.Multinomial(), prior=priors.MixtureOfNormals(num_components=2))
    path = export_saved_model(vae, str(tmp_path / "bags"), item_shape=(4,))
    with open(f"{path}/model_card.json", encoding="utf-8") as file:
        card = json.load(file)
    missing = {"complete", "decode_sample", "prior", "score_bytes"}
    assert card["left_out"].keys() == missing == SIGNATURES.keys() - card["signatures"].keys()
    assert any("no signature `decode_sample`: no draws of BagOfWords" in limit for limit in card["limits"])
    for model in (Model.of(vae), Model.load(path)):
        assert not model.draws_items
        with pytest.raises(InputError, match="has no signature 'prior': p\\(z\\) is no image of a standard normal"):
            model.rows("prior", noise=np.zeros((1, 3)))
    with pytest.raises(InputError, match="has no signature 'nothing': expected one of: decode, encode"):
        Model.load(path).rows("nothing", z=np.zeros((1, 3)))


def test_a_conditional_model_asks_for_labels():
    model = Model.of(small_vae(num_labels=4))
    with pytest.raises(InputError, match=r"labels: received none, expected one of 0 \.\.\. 3 for each example"):
        model.decode(np.zeros((2, 3)))
    one, other = (model.decode(np.zeros((2, 3)), np.full(2, label)) for label in (0, 3))
    assert not np.allclose(one, other)


def test_folders_that_are_no_export(pair, tmp_path):
    with pytest.raises(InputError, match=r"--saved_model: received '.*', which holds no saved_model.pb"):
        Model.load(str(tmp_path))
    shutil.copytree(pair[3], tmp_path / "copy")
    card = tmp_path / "copy" / "model_card.json"
    card.write_text('{"item": {"name": "image"}}')
    with pytest.raises(InputError, match=r"model_card.json: received a card without 'shape'"):
        Model.load(str(tmp_path / "copy"))
    card.unlink()
    with pytest.raises(InputError, match="holds no model_card.json, expected an export of tfvae"):
        Model.load(str(tmp_path / "copy"))
    card.write_text((tmp_path / "copy" / "saved_model.pb").name)
    with pytest.raises(InputError, match="expected a readable JSON file"):
        Model.load(str(tmp_path / "copy"))
    shutil.copy(f"{pair[3]}/model_card.json", card)
    (tmp_path / "copy" / "saved_model.pb").write_bytes(b"damaged")
    with pytest.raises(InputError, match="received a SavedModel that cannot be loaded"):
        Model.load(str(tmp_path / "copy"))


def test_seeds_of_other_uses_and_rows_are_others():
    first = seeds(0, 100)
    np.testing.assert_array_equal(first[:10], seeds(0, 10))
    assert first.dtype == np.int64 and (first >= 0).all()
    assert len({*first, *seeds(1, 100), *seeds(0, 100, use=1)}) == 300
