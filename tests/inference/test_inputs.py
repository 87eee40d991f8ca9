import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.helpers import digits_config, small_vae
from tfvae import config as config_lib
from tfvae import likelihoods
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.inference import inputs
from tfvae.inference.generation import samples
from tfvae.inference.inputs import check_label, open_input
from tfvae.inference.model import Model
from tfvae.inference.sheet import Sheet

SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def model():
    return Model.of(small_vae(SHAPE), config=config_lib.to_dict(digits_config()), origin="a run")


def grey(height, width, number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (height, width), dtype=np.uint8))


def model_of(likelihood=None, item_shape=SHAPE, num_labels=0, **data):
    """A model of a run on data of this config."""
    data = {"source": "digits"} | data
    config = {"data": config_lib.to_dict(DataConfig(**data))}
    return Model.of(small_vae(item_shape, likelihood=likelihood, num_labels=num_labels), config=config, origin="a run")


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


# Numbers ---------------------------------------------------------------------------


def test_an_empty_cell_is_refused_where_it_is_not_marked(tmp_path):
    model = model_of(
        likelihoods.Table(columns=("gaussian", "poisson")), (2,), source="csv:mine.csv", scale="none",
        encoding=('["age", 40.0, 10.0]', '["visits"]'),
    )  # fmt: skip
    path = tmp_path / "x.csv"
    path.write_text("age,visits\n50,1\n,2\n")
    with pytest.raises(InputError, match=r"^--input: received nan at \[0\] in csv:.*, expected finite numbers, as the"):
        open_input(model, str(path))
    assert np.isnan(open_input(model, str(path), check=False).first()[0][1, 0])
    path.write_text("age,visits\n50,1\n30,2\n")
    np.testing.assert_allclose(open_input(model, str(path)).first()[0], [[1.0, 1.0], [-1.0, 2.0]])


@pytest.mark.parametrize("likelihood", [likelihoods.Poisson(), likelihoods.Categorical(num_categories=17)])
def test_a_picture_of_bytes_is_none_of_17_levels(tmp_path, likelihood):
    model, path = model_of(likelihood, scale="none"), str(tmp_path / "one.png")
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(path)
    message = (
        r"^--photo: received 200 at \[0, 0, 0\] in images:.*, expected whole numbers from 0 to 16, as the items of a"
    )
    with pytest.raises(InputError, match=message):
        open_input(model, path, flag="--photo")
    assert open_input(model, path, check=False).first()[0].max() == 200
    Image.fromarray(np.full((8, 8), 16, np.uint8)).save(path)
    assert open_input(model, path).first()[0].max() == 16
    assert open_input(model).first(10)[0].max() == 16


def test_numbers_between_levels(tmp_path):
    """Those that a model draws or rounds are taken, those of counts are not."""
    path = str(tmp_path / "x.npz")
    np.savez(path, images=np.full((2, *SHAPE), 0.3, np.float32))
    assert open_input(model_of(binarization="dynamic"), path).first()[0].max() == 1.0
    assert open_input(model_of(), path).first()[0].max() == np.float32(0.3)
    logistic = model_of(likelihoods.DiscretizedLogistic(num_levels=17))
    assert open_input(logistic, path).first()[0].max() == np.float32(0.3)
    counts = model_of(likelihoods.Poisson(), scale="none")
    with pytest.raises(
        InputError, match=r"received 0\.3 at .* expected whole numbers of at least 0, .*: means of such"
    ):
        open_input(counts, path)
    np.savez(path, images=np.full((2, *SHAPE), -1))
    with pytest.raises(InputError, match=r"^--input: received -1 at .* expected whole numbers of at least 0, as the "):
        open_input(counts, path)
    np.savez(path, images=np.full((2, *SHAPE), 1.5, np.float32))
    with pytest.raises(
        InputError, match=r"^--input: received 1\.5 at .* expected numbers from 0 to 1, as the items of"
    ):
        open_input(model_of(likelihoods.Gaussian(), scale="none"), path)


@pytest.mark.parametrize(("bad", "seen"), [(0, True), (299, False)])
def test_of_a_stream_the_first_are_checked(tmp_path, monkeypatch, bad, seen):
    monkeypatch.setattr(inputs, "CHECKED_OF_STREAM", 128)
    model = model_of(likelihoods.Categorical(num_categories=5), (1, 1, 1), scale="none", memory_limit_mb=0)
    path = str(tmp_path / "x.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for number in range(300):
            pixels = tf.io.encode_png(tf.fill([1, 1, 1], tf.constant(7 * (number == bad), tf.uint8))).numpy()
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
            features = tf.train.Features(feature={"image": image})
            writer.write(tf.train.Example(features=features).SerializeToString())
    if seen:
        with pytest.raises(InputError, match=r"^--input: received 7 .*expected whole numbers from 0 to 4"):
            open_input(model, path)
    else:
        assert not open_input(model, path).split.storage.in_memory


# Labels ----------------------------------------------------------------------------


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_the_model_has_not(tmp_path, label):
    conditional = model_of(num_labels=3)
    np.savez(tmp_path / "x.npz", images=np.zeros((2, *SHAPE)))
    opened = open_input(conditional, str(tmp_path / "x.npz"))
    message = rf"^--input: received the label {label} at place 1, expected labels of 0 \.\.\. 2, as those of a run"
    with pytest.raises(InputError, match=message):
        opened.given_labels(conditional, np.array([0, label]), None)
    with pytest.raises(InputError, match=rf"the label {label} at place 7"):
        opened.given_labels(conditional, np.array([0, label]), None, places=np.array([6, 7]))


def subfolders(folder, *names):
    for name in names:
        (folder / name).mkdir(parents=True)
        grey(8, 8, 0).save(folder / name / "one.png")
    return str(folder)


def test_label_names_are_those_of_the_models_source(tmp_path):
    digits = subfolders(tmp_path / "digits", "3", "7")
    for model in (model_of(num_labels=10), model_of(num_labels=10, source="npz:far-away.npz")):
        opened = open_input(model, digits)
        labels = opened.first()[1]
        assert labels.tolist() == [0, 1] and opened.given_labels(model, labels, None).tolist() == [3, 7]
    # The names come before the numbers that are written in them.
    np.savez(tmp_path / "own.npz", images=np.zeros((3, *SHAPE)), labels=np.array(["1", "7", "dog"]))
    named = model_of(num_labels=3, source=f"npz:{tmp_path}/own.npz")
    for names, numbers in ((("7", "dog"), [1, 2]), (("1", "2"), [1, 2])):
        opened = open_input(named, subfolders(tmp_path / "-".join(names), *names))
        assert opened.given_labels(named, np.array([0, 1]), None).tolist() == numbers
    trained = model_of(num_labels=2, source=f"images:{subfolders(tmp_path / 'trained', 'cat', 'dog')}")
    opened = open_input(trained, subfolders(tmp_path / "dogs", "dog"))
    assert opened.given_labels(trained, np.array([0]), None).tolist() == [1]
    own = open_input(named, split="train")
    assert own.model_labels(np.array([2, 0])).tolist() == [2, 0]


def test_unknown_label_names_are_refused(tmp_path):
    path = subfolders(tmp_path, "7", "cat")
    for num_labels, end in ((10, ", or --label for all examples$"), (0, "a run$")):
        model = model_of(num_labels=num_labels)
        opened = open_input(model, path)
        with pytest.raises(InputError, match="^--input: received the label 'cat' in .*, expected one of: 0, 1.*" + end):
            opened.model_labels(np.array([0, 1]))
    conditional = model_of(num_labels=10, source="npz:far-away.npz")
    opened = open_input(conditional, path)
    with pytest.raises(InputError, match="'cat' in .*, expected whole numbers as names, as the labels of a run"):
        opened.given_labels(conditional, np.array([0, 1]), None)
    assert opened.given_labels(conditional, np.array([0, 1]), 4).tolist() == [4, 4]


# Preparation -----------------------------------------------------------------------


def test_fields_of_the_models_own_source_do_not_bind_others(tmp_path):
    model = model_of(source="images:far-away", resize=(8, 8), grayscale=True, binarization="threshold")
    assert open_input(model, "digits").first(3)[0].shape == (3, *SHAPE)
    np.savez(tmp_path / "x.npz", images=np.ones((2, *SHAPE)))
    assert open_input(model, str(tmp_path / "x.npz")).first()[0].min() == 1
    grey(9, 12, 0).convert("RGB").save(tmp_path / "large.png")
    assert open_input(model, str(tmp_path / "large.png")).first()[0].shape == (1, *SHAPE)


def test_levels_are_dequantized_and_floats_taken_as_they_are(tmp_path):
    model, path = model_of(likelihoods.Gaussian(), dequantize=True), str(tmp_path / "x.npz")
    values = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), dtype=np.uint8)
    np.savez(path, images=values)
    noisy = open_input(model, path).first()[0]
    np.testing.assert_array_equal(np.floor(noisy * 256), values)
    assert (noisy * 256 - values).std() > 0.2
    np.savez(path, images=values / np.float32(255))
    np.testing.assert_array_equal(open_input(model, path).first()[0], values / np.float32(255))


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"binarization": "dynamic"}, "sample"),
        ({"likelihood": likelihoods.Gaussian(mean="sigmoid"), "dequantize": True, "resize": (8, 8)}, "mean"),
        ({"likelihood": likelihoods.Poisson(), "scale": "none"}, "sample"),
    ],
    ids=["binary", "dequantized", "counts"],
)
def test_what_a_model_makes_it_takes(fields, values, tmp_path):
    model = model_of(source="images:far-away", **fields)
    made = samples(model, 12, values=values)
    path = str(tmp_path / "made.npz")
    Sheet(made.items, 4, made.arrays).write(model, path)
    np.testing.assert_array_equal(open_input(model, path).first()[0], made.items)
