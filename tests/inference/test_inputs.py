import numpy as np
import pytest
from PIL import Image

from tests.helpers import digits_config, small_vae
from tfvae import config as config_lib
from tfvae.errors import InputError
from tfvae.inference.inputs import check_label, open_input
from tfvae.inference.model import Model

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def model():
    return Model.of(small_vae(SHAPE), config=config_lib.to_dict(digits_config()), origin="a run")


def grey(height, width, number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (height, width), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        grey(8, 8, number).convert("RGB" if number == 1 else "L").save(tmp_path / f"{number}.png")
    return tmp_path


def test_by_default_the_models_own_test_split(model):
    opened = open_input(model)
    x, labels = opened.first()
    assert x.shape == (297, *SHAPE) and labels.shape == (297,) and set(np.unique(x)) == {0.0, 1.0}
    assert opened.label_names == tuple("0123456789") and opened.dataset is not None
    np.testing.assert_array_equal(opened.first(5)[0], x[:5])
    assert open_input(model, split="train").split.num_examples == 1350
    np.testing.assert_array_equal(open_input(model, "digits").first(5)[0], x[:5])


def test_a_folder_and_a_file_are_taken_whole_in_the_order_of_names(model, folder):
    opened = open_input(model, str(folder))
    x, labels = opened.first()
    assert x.shape == (3, *SHAPE) and labels is None and opened.names == ("0.png", "1.png", "2.png")
    one = open_input(model, str(folder / "2.png"))
    assert one.names == ("2.png",) and one.first()[0].shape == (1, *SHAPE)


def test_subfolders_are_labels(model, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        grey(8, 8, 0).save(tmp_path / name / "one.png")
    opened = open_input(model, str(tmp_path))
    assert opened.first()[1].tolist() == [0, 1] and opened.label_names == ("cat", "dog")
    assert opened.names == ("cat/one.png", "dog/one.png") and opened.attributes(np.array([1]))["label"].tolist() == [1]


def test_an_npz_file(model, tmp_path):
    values = np.random.default_rng(0).integers(0, 2, (2, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", images=values, labels=np.array([4, 2]))
    x, labels = open_input(model, str(tmp_path / "a.npz")).first()
    np.testing.assert_array_equal(x[..., 0], values)
    assert labels.tolist() == [4, 2]


def test_a_model_without_a_config_needs_an_input(folder):
    bare = Model.of(small_vae(SHAPE))
    with pytest.raises(InputError, match=r"--input: received none, expected one: the model card of the model names no"):
        open_input(bare)
    assert set(np.unique(open_input(bare, str(folder)).first()[0])) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "{folder}/large.png",
            r"--input: received examples of shape \[9, 8, 1\] in .*, expected \[8, 8, 1\], as those of a",
        ),
        (
            "{folder}/missing.png",
            r"--input: data.source: received 'images:.*missing.png', expected a folder: nothing at",
        ),
        ("{folder}/text.txt.gz", r"--input: data.source: received '.*', expected one of: digits"),
        ("{folder}", r"--input: data.source: received images of shape"),
        ("shapes", r"--input: received examples of shape \[32, 32, 1\] in shapes, expected \[8, 8, 1\]"),
        ("nothing:x", r"--input: data.source: received 'nothing:x', expected one of: digits"),
        ("{folder}/broken.png", r"--input: data.source: .*broken.png: received a file that cannot be read"),
    ],
)
def test_inputs_that_are_not_fit(model, folder, given, message):
    grey(9, 8, 0).save(folder / "large.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    if given == "{folder}":
        (folder / "broken.png").unlink()
    with pytest.raises(InputError, match=message):
        open_input(model, given.format(folder=folder))


def test_labels_that_a_conditional_model_is_given(model, folder):
    conditional = Model.of(small_vae(SHAPE, num_labels=3), config=model.config, origin="a run")
    unlabelled = open_input(conditional, str(folder))
    with pytest.raises(InputError, match=r"--label: received none, expected one of 0 \.\.\. 2"):
        unlabelled.given_labels(conditional, None, None)
    assert unlabelled.given_labels(conditional, None, 2).tolist() == [2, 2, 2]
    assert unlabelled.given_labels(conditional, np.array([1, 0, 1]), None).tolist() == [1, 0, 1]
    assert unlabelled.given_labels(model, np.array([1, 0, 1]), None) is None
    with pytest.raises(InputError, match=r"--label: received 3, expected one of 0 \.\.\. 2"):
        check_label(conditional, 3)
    with pytest.raises(InputError, match="--label: received 0, expected none: a run is no conditional model"):
        check_label(model, 0)
