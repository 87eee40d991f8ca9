"""Rows of tables back to CSV, and CSV as input of a trained model."""

import dataclasses

import numpy as np
import pytest

from tests.helpers import small_vae
from tfvae import config as config_lib
from tfvae import likelihoods
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.export.card import check
from tfvae.inference import tables
from tfvae.inference.inputs import open_input
from tfvae.inference.model import Model

ENCODING = ('["age", 40, 10]', '["/color", ["blue", "red"]]', '["label", ["no", "yes"]]')


@pytest.fixture(scope="module")
def model():
    vae = small_vae((2,), likelihood=likelihoods.Table(columns=("gaussian", "bernoulli")))
    data = DataConfig(source="csv:x.csv", encoding=ENCODING, item_shape=(2,), scale="none")
    return Model.of(vae, config={"data": config_lib.to_dict(data)}, origin="a test")


def test_rows_are_written_and_read_again(model, tmp_path):
    path = str(tmp_path / "x.csv")
    items = np.array([[0.5, 1.0], [-1.0, 0.0]], np.float32)
    tables.write_csv(model, items, path)
    with open(path, encoding="utf-8") as file:
        assert file.read() == "age,/color\n45,red\n30,blue\n"
    found, labels = open_input(model, path).first()
    np.testing.assert_allclose(found, items, rtol=1e-6)
    assert labels is None and tables.is_table(model)


def test_missing_cells_of_an_input_are_nan(model, tmp_path):
    (tmp_path / "x.csv").write_text("/color,age,label\n,50,yes\nred,,no\n")
    found, labels = open_input(model, str(tmp_path / "x.csv"), check=False).first()
    np.testing.assert_array_equal(found, [[1.0, np.nan], [np.nan, 1.0]])
    assert labels.tolist() == [1, 0]


def test_a_model_card_keeps_the_entries_as_they_are(model):
    # Entries and words may look like paths, which a card takes the folders from.
    data = model.config["data"] | {"source": "csv:/home/someone/x.csv"}
    kept = check({"config": {"data": data | {"encoding": ["/", "~a/b", *ENCODING]}}})["config"]["data"]
    assert kept["encoding"] == ["/", "~a/b", *ENCODING] and kept["source"] == "csv:x.csv"


def test_refusals(model, tmp_path):
    other = dataclasses.replace(model, config={"data": {"source": "digits"}})
    with pytest.raises(InputError, match="^a test: received a model of other data, expected one of a table: table,"):
        tables.write_csv(other, np.zeros((1, 2)), str(tmp_path / "x.csv"))
    with pytest.raises(InputError, match=r"^--output: .*ends in \.csv"):
        tables.write_csv(model, np.zeros((1, 2)), str(tmp_path / "x.npz"))
    assert not list(tmp_path.iterdir())
