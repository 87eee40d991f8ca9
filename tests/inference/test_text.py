"""Codes and bags back to text."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import digits_config, small_vae
from tfvae import config as config_lib
from tfvae import likelihoods, networks, posteriors, priors
from tfvae.config import DataConfig
from tfvae.errors import InputError
from tfvae.inference import text
from tfvae.inference.generation import samples
from tfvae.inference.inputs import open_input
from tfvae.inference.model import Model
from tfvae.training import WorkDir, train

ALPHABET = ("", "\ufffd", " ", "a", "b")
WORDS = ("apple", "iron", "pear", "zinc")


def model_of(source, encoding, vae):
    data = DataConfig(source=source, encoding=encoding, item_shape=vae.item_shape, scale="none")
    return Model.of(vae, config={"data": config_lib.to_dict(data)}, origin="a test")


@pytest.fixture(scope="module")
def lines():
    return model_of("text:x.txt", ALPHABET, small_vae((6,), likelihood=likelihoods.Categorical(num_categories=8)))


def bags_with(posterior, prior, weights, latent_size=2, bias=(0.0, 0.0, 0.0, 0.0)):
    """A model whose decoder gives `weights` `[latent_size, words]` times z, and `bias`, as logits."""
    vae = small_vae(
        (4,), latent_size=latent_size, posterior=posterior, prior=prior, likelihood=likelihoods.Multinomial(),
        network=networks.MLP(hidden=()),
    )  # fmt: skip
    kernel, constant = vae.decoder.weights
    kernel.assign(tf.constant(weights, tf.float32))
    constant.assign(bias)
    return model_of("words:x.txt", WORDS, vae)


def test_lines_end_where_their_end_is(lines):
    items = np.array([[3, 4, 2, 3, 0, 0], [3, 3, 3, 3, 3, 3], [0, 4, 4, 4, 4, 4], [1, 3.4, 7, 2, 0, 3]], np.float32)
    # Codes that no character has are the last one's.
    assert text.texts(lines, items) == ["ab a", "aaaaaa", "", "\ufffdab "]
    assert text.is_text(lines) and text.vocabulary(lines) == ALPHABET


def test_bags_are_their_most_frequent_words():
    model = bags_with(posteriors.Normal(), priors.StandardNormal(), np.zeros((2, 4)))
    items = np.array([[0, 5, 1, 0], [1, 1, 2, 3]], np.float32)
    assert text.texts(model, items, count=3) == ["iron pear", "zinc pear apple"]


def test_top_words_of_normal_latents():
    model = bags_with(posteriors.Normal(), priors.StandardNormal(), [[2, 0, 2.2, -1], [0, -1, 0, 3]])
    assert text.top_words(model, count=3) == [["pear", "apple"], ["zinc"]]  # no other becomes more likely
    assert text.top_words(model, count=1) == [["pear"], ["zinc"]]


def test_top_words_are_not_the_rarest():
    # zinc gains by the greater factor, and yet makes up little.
    rare = bags_with(posteriors.Normal(), priors.StandardNormal(), [[1, 0, 0, 2], [0] * 4], bias=[0.0, 0.0, 0.0, -6.0])
    assert text.top_words(rare, count=2)[0] == ["apple", "zinc"]


def test_top_words_of_topics():
    weights = [[4.0, 0, 3, 0], [0, 4, 0, 3], [2, 2, 2, 2.5]]
    model = bags_with(posteriors.Dirichlet(), priors.SymmetricDirichlet(), weights, latent_size=3)
    assert text.top_words(model, count=2)[:2] == [["apple", "pear"], ["iron", "zinc"]]


def test_write_text(lines, tmp_path):
    path = str(tmp_path / "x.txt")
    text.write_text(lines, np.array([[3, 4, 0, 0, 0, 0], [4, 4, 4, 0, 0, 0]]), path)
    with open(path, encoding="utf-8") as file:
        assert file.read() == "ab\nbbb\n"
    # What was written is an input again, read by the model's own codes.
    found = open_input(lines, path)
    assert found.first()[0].tolist() == [[3, 4, 0, 0, 0, 0], [4, 4, 4, 0, 0, 0]]
    assert found.names == ("x.txt@0", "x.txt@1")


def test_text_is_read_as_the_model_reads_it(lines, tmp_path):
    (tmp_path / "x.txt").write_text("iron, iron, ZINC, apple pear! and more\nzinc\n")
    model = bags_with(posteriors.Normal(), priors.StandardNormal(), np.zeros((2, 4)))
    for given in (str(tmp_path / "x.txt"), str(tmp_path)):
        assert open_input(model, given).first()[0].tolist() == [[1, 2, 1, 1]]
        assert open_input(lines, given).first()[0].shape == (2, 6)
    # Arrays are taken as they are: no words are asked for.
    np.savez(tmp_path / "y.npz", data=np.array([[1, 0, 2, 0]]))
    assert open_input(model, str(tmp_path / "y.npz")).first()[0].tolist() == [[1, 0, 2, 0]]


def test_a_run_keeps_the_alphabet_of_its_text(tmp_path):
    """What a model writes, and how it reads, does not hang on the file that it was trained on."""
    (tmp_path / "x.txt").write_text("ab\nba\naab\nbb\nabb\nba\n" * 2)
    base = digits_config(num_epochs=1, batch_size=4)
    base.data = DataConfig(source=f"text:{tmp_path / 'x.txt'}", scale="none")
    base.model.likelihood = likelihoods.Categorical(num_categories=4)
    train(base, str(tmp_path / "run"), verbose=False)
    (tmp_path / "x.txt").unlink()
    vae, config, _ = WorkDir(str(tmp_path / "run")).load_model()
    assert config.data.encoding == ("", "\ufffd", "b", "a") and config.data.item_shape == (3,)
    model = Model.of(vae, config=config_lib.to_dict(config))
    drawn = text.texts(model, samples(model, 20, values="sample").items)
    assert len(drawn) == 20 and set("".join(drawn)) <= set("\ufffdab") and max(map(len, drawn)) <= 3
    (tmp_path / "y.txt").write_text("ac")
    assert open_input(model, str(tmp_path / "y.txt")).first()[0].tolist() == [[3, 1, 0]]


def test_refusals(lines, tmp_path):
    other = dataclasses.replace(lines, config={"data": {"source": "digits"}})
    for ask in (text.vocabulary, text.top_words, lambda model: text.texts(model, np.zeros((1, 6)))):
        with pytest.raises(InputError, match="^a test: received a model of other data, expected one of text"):
            ask(other)
    with pytest.raises(InputError, match="^a test: received a model of lines, expected one of bags: topics, words"):
        text.top_words(lines)
    with pytest.raises(InputError, match=r"^--output: .*ends in \.txt"):
        text.write_text(lines, np.zeros((1, 6)), str(tmp_path / "x.png"))
