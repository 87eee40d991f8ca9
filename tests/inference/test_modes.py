"""Every mode with its defaults, on a run of the digits and on its export."""

import numpy as np
import pytest
from PIL import Image

from tests.helpers import digits_config, small_vae
from tfvae import config as config_lib
from tfvae.data import load
from tfvae.errors import InputError
from tfvae.inference import modes
from tfvae.inference.model import Model
from tfvae.inference.modes import MODES, Request, make
from tfvae.inference.sheet import Sheet
from tfvae.training import WorkDir


@pytest.fixture(scope="module")
def models(small_run):
    """Of a trained run and of its export."""
    vae, config, _ = WorkDir(str(small_run / "run")).load_model()
    run = Model.of(vae, config=config_lib.to_dict(config), origin="the run")
    return run, Model.load(str(small_run / "export" / "1"))


def same(one, other):
    np.testing.assert_allclose(one.items, other.items, rtol=1e-3, atol=1e-3)
    assert one.columns == other.columns and one.arrays.keys() == other.arrays.keys()


@pytest.mark.parametrize("mode", sorted(MODES))
def test_defaults_of_a_run_and_of_its_export(models, mode):
    sheets = [make(mode, Request(model=model, seed=1)) for model in models]
    same(sheets[0][0], sheets[1][0])
    made, figures = sheets[0]
    assert isinstance(made, Sheet) and np.isfinite(made.items).all() and made.items.std() > 0.05
    assert (figures is not None) == (mode == "attribute")
    same(make(mode, Request(model=models[0], seed=1))[0], made)  # a seed's output is always the same


def test_an_attribute_is_the_first_label_and_a_classifier_sees_it(models):
    made, figures = make("attribute", Request(model=models[0], strength=1.5, count=4))
    assert made.items.shape[0] == 4 * made.columns and made.columns == 7
    assert figures["attribute_after"] > figures["attribute_before"] + 0.3
    chosen = make("attribute", Request(model=models[0], attribute="7", direction="classifier"))[1]
    assert chosen["attribute"] == "label" and chosen["direction"] == "classifier"


def test_an_attribute_by_folders(models, tmp_path):
    dataset = load(config_lib.from_dict(models[0].config["data"], config_lib.DataConfig, "data"))
    x, labels = dataset.train.examples(600, labels=True)
    for name, which in (("yes", labels == 0), ("no", labels == 1)):
        np.savez(tmp_path / f"{name}.npz", images=x[which])
    request = Request(model=models[0], positive=str(tmp_path / "yes.npz"), negative=str(tmp_path / "no.npz"))
    made, figures = make("attribute", request)
    np.testing.assert_array_equal(made.items[0], x[labels == 1][0])
    assert figures["attribute_after"] > 0.8 and figures["attribute_before"] < 0.2
    assert figures["classifier_accuracy"] > 0.8
    with pytest.raises(InputError, match="--positive: received none, expected a file or folder, as the other one"):
        make("attribute", Request(model=models[0], negative=str(tmp_path / "no.npz")))


def test_label_names_of_an_input_tell_what_it_lacks(models, tmp_path):
    for name in ("3", "7"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), 255 * (name == "7"), np.uint8)).save(tmp_path / name / "one.png")
    made, _ = make("attribute", Request(model=models[0], attribute="3", input=str(tmp_path)))
    assert len(made.items) == made.columns and made.items[0].min() == 1.0  # the 7 alone


def test_what_is_judged_was_not_learned_from(models, tmp_path, monkeypatch):
    rng, seen = np.random.default_rng(0), {}
    x = rng.integers(0, 2, (2, 13, 8, 8, 1)).astype(np.float32)
    for name, values in zip(("yes", "no"), x, strict=True):
        np.savez(tmp_path / f"{name}.npz", images=values)

    def codes(model, x, labels=None):
        seen.setdefault("codes", []).append(x)
        return rng.normal(size=(len(x), 2)) + len(seen["codes"])

    def judge(model, sheet, learned, attribute, value, *, unseen=None):
        seen.update(learned=learned, unseen=unseen, sheet=sheet)
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(modes.attributes, "codes", codes)
        patch.setattr(modes.attributes, "judge", judge)
        make("attribute", Request(model=models[0], positive=f"{tmp_path}/yes.npz", negative=f"{tmp_path}/no.npz"))
    held = np.arange(13) % 4 == 0
    np.testing.assert_array_equal(seen["learned"][0], np.concatenate([x[0][~held], x[1][~held]]))
    assert seen["learned"][1]["positive"].tolist() == [1] * 9 + [0] * 9
    np.testing.assert_array_equal(seen["codes"][0], x[0][~held])
    np.testing.assert_array_equal(seen["codes"][1], x[1][~held])
    np.testing.assert_array_equal(seen["unseen"][0], np.concatenate([x[0][held], x[1][held]]))
    assert seen["unseen"][1]["positive"].tolist() == [1] * 4 + [0] * 4
    np.testing.assert_array_equal(seen["sheet"].items.reshape(4, 3, 8, 8, 1)[:, 0], x[1][held])
    np.savez(tmp_path / "yes.npz", images=x[0, :1])
    with pytest.raises(InputError, match="--positive: received 1 example, expected at least two: one to learn from"):
        make("attribute", Request(model=models[0], positive=f"{tmp_path}/yes.npz", negative=f"{tmp_path}/no.npz"))


def test_a_conditional_model_keeps_its_label():
    config = config_lib.to_dict(digits_config())
    model = Model.of(small_vae((8, 8, 1), num_labels=10), config=config, origin="a run")
    with pytest.raises(
        InputError, match="^--attribute: received 3, expected --positive and .*: a run is a conditional"
    ):
        make("attribute", Request(model=model, attribute="3"))


def test_new_data_from_the_aggregate_posterior(models):
    made, _ = make("prior", Request(model=models[0], latents="aggregate", count=30, values="sample"))
    assert made.items.shape == (30, 8, 8, 1) and set(np.unique(made.items)) == {0.0, 1.0}
    same(made, make("prior", Request(model=models[1], latents="aggregate", count=30, values="sample"))[0])


def test_given_images_are_what_is_gone_between(models, tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (4, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", images=x)
    made, _ = make("interpolation", Request(model=models[0], input=str(tmp_path / "mine.npz"), columns=3))
    assert made.items.shape == (6, 8, 8, 1)
    codes = models[0].rows("encode", item=x[..., None].astype(np.float32))["mean"]
    np.testing.assert_allclose(made.arrays["z"].reshape(2, 3, 2)[:, 0], codes[:2], rtol=1e-4)


@pytest.mark.parametrize(
    ("mode", "fields", "message"),
    [
        ("prior", {"latents": "other"}, "--latents: received 'other', expected one of: prior, aggregate"),
        ("prior", {"values": "other"}, "--values: received 'other', expected one of: mean, sample"),
        ("prior", {"label": 3}, "--label: received 3, expected none: the run is no conditional model"),
        ("manifold", {"dimensions": (1,)}, r"--dimensions: received \[1\], expected two latents"),
        ("manifold", {"dimensions": (0, 2)}, r"--dimensions: received \[0, 2\], expected two of 0 ... 1"),
        ("traversal", {"dimensions": (2,)}, r"--dimensions: received \[2\], expected some of 0 ... 1"),
        ("traversal", {"split": "all"}, "--split: received 'all'"),
        ("interpolation", {"path": "round"}, "--path: received 'round'"),
        ("attribute", {"attribute": "ten"}, r"--attribute: received 'ten', an unknown value, expected one of: 0, 1, 2"),
        ("attribute", {"attribute": "size=1"}, r"--attribute: received 'size=1', expected one of: label=..."),
        ("attribute", {"direction": "best"}, "--direction: received 'best'"),
    ],
)
def test_requests_that_cannot_be(models, mode, fields, message):
    with pytest.raises(InputError, match=message):
        make(mode, Request(model=models[0], **fields))
