import os

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins import projector as plugin

from tests.inference.stubs import stub_model
from tfvae.errors import InputError
from tfvae.inference import projector
from tfvae.inference.codes import Batch, Codes
from tfvae.inference.projector import metadata, sprite

RNG = np.random.default_rng(0)


def codes_of(count, item_shape=(4, 3, 1), labels=None, names=None, label_names=()):
    z = RNG.normal(size=(count, 3)).astype(np.float32)
    x = RNG.random((count, *item_shape)).astype(np.float32)
    return Codes(z, Batch(np.arange(count) * 10, x, labels, names), label_names, count)


def config_in(folder):
    text = (folder / "projector_config.pbtxt").read_text()
    [embedding] = text_format.Parse(text, plugin.ProjectorConfig()).embeddings
    return embedding


def test_the_projector_finds_codes_and_what_they_are(tmp_path):
    codes = codes_of(5, labels=np.array([0, 1, 1, 0, 2]))
    files = projector.write(
        str(tmp_path / "new" / "logs"), codes, stub_model(item_shape=(4, 3, 1)), name="digits, test"
    )
    folder = tmp_path / "new" / "logs"
    embedding = config_in(folder)
    assert embedding.tensor_name == "digits, test" and list(embedding.tensor_shape) == [5, 3]
    rows = [line.split("\t") for line in (folder / embedding.tensor_path).read_text().splitlines()]
    np.testing.assert_array_equal(np.array(rows, np.float32), codes.z)
    assert (folder / embedding.metadata_path).read_text() == "label\tindex\n0\t0\n1\t10\n1\t20\n0\t30\n2\t40\n"
    width, height = embedding.sprite.single_image_dim
    with Image.open(folder / embedding.sprite.image_path) as image:
        assert image.size == (3 * width, 2 * height) and (width, height) == (3 * 8, 4 * 8)
    assert set(files) | {file for file in os.listdir(folder) if "tfevents" in file} == set(os.listdir(folder))


def test_tensorboard_has_an_event_file_to_find_the_folder_by(tmp_path):
    model, codes = stub_model(item_shape=(4, 3, 1)), codes_of(5)
    for _ in range(2):
        projector.write(str(tmp_path), codes, model, name="x")
    [event_file] = [file for file in os.listdir(tmp_path) if "tfevents" in file]
    assert EventAccumulator(str(tmp_path / event_file)).Reload().Tags()["tensors"] == ["projector"]


def test_the_same_codes_give_the_same_files(tmp_path):
    model, codes = stub_model(item_shape=(4, 3, 1)), codes_of(5)
    contents = []
    for name in ("a", "b"):
        files = projector.write(str(tmp_path / name), codes, model, name="x")
        contents.append([(tmp_path / name / file).read_bytes() for file in files])
    assert contents[0] == contents[1]


def test_data_that_are_no_images_have_no_sprite(tmp_path):
    projector.write(str(tmp_path), codes_of(5, (7,)), stub_model(item_shape=(7,)), name="x")
    assert not config_in(tmp_path).HasField("sprite") and not (tmp_path / "sprite.png").exists()


def test_metadata_of_names_with_tabs_and_of_label_names():
    codes = codes_of(3, labels=np.array([1, 0, 2]), names=np.array(["a\tb", "c\nd", "e"]), label_names=("no", "y es"))
    assert metadata(codes) == "label\tname\tindex\ny es\ta b\t0\nno\tc d\t10\n2\te\t20\n"


def test_metadata_of_one_column_has_no_header():
    assert metadata(codes_of(3)) == "0\n10\n20\n"


# Sprites ----------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (4, 1), (5, 3), (7, 1), (10, 3)])
def test_images_lie_row_by_row_without_gaps(count, channels, monkeypatch):
    monkeypatch.setattr(projector, "_SIDE", 1)  # no enlargement
    images = RNG.random((count, 4, 3, channels))
    pixels, size = sprite(images)
    columns = int(np.ceil(np.sqrt(count)))
    assert size == (3, 4) and pixels.dtype == np.uint8
    assert pixels.shape == (-(-count // columns) * 4, columns * 3, channels)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        cell = pixels[4 * row : 4 * row + 4, 3 * column : 3 * column + 3]
        np.testing.assert_array_equal(cell, np.round(image * 255))


def test_values_outside_are_cut_off(monkeypatch):
    monkeypatch.setattr(projector, "_SIDE", 1)
    pixels, _ = sprite(np.array([-1.0, 0.5, 2.0, np.nan]).reshape(4, 1, 1))
    assert pixels[..., 0].tolist() == [[0, 128], [255, 0]]


@pytest.mark.parametrize(("size", "most", "shown"), [
    ((8, 8), 8192, (32, 32)), ((28, 28), 8192, (28, 28)), ((4, 3), 30, (8, 6)), ((64, 32), 8192, (64, 32)),
    ((40, 20), 30, (10, 5)), ((100, 1), 30, (10, 1)),
])  # fmt: skip
def test_images_fit_into_what_a_browser_takes(size, most, shown, monkeypatch):
    monkeypatch.setattr(projector, "MOST_PIXELS", most)
    values = RNG.random(9)
    pixels, (width, height) = sprite(np.broadcast_to(values[:, None, None, None], (9, *size, 1)))
    assert (height, width) == shown and pixels.shape == (3 * height, 3 * width, 1) and max(pixels.shape) <= most
    np.testing.assert_allclose(pixels[::height, ::width, 0].ravel(), values * 255, atol=1)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^--projector: received .*file', expected a folder"):
        projector.write(str(tmp_path / "file"), codes_of(5), stub_model(item_shape=(4, 3, 1)), name="x")
