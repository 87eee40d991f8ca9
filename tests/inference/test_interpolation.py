import numpy as np
import pytest

from tests.helpers import binary_data, small_vae
from tests.inference.stubs import stub_model
from tfvae import likelihoods, posteriors, priors
from tfvae.errors import InputError
from tfvae.inference.interpolation import PATHS, geodesic, interpolation, linear, spherical
from tfvae.inference.model import Model

START, END = np.array([[3.0, 0.0, 0.0], [1.0, 1.0, 0.0]]), np.array([[0.0, 2.0, 0.0], [-1.0, -1.0, 0.0]])


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_way_goes_from_code_to_code(path):
    vae = small_vae()
    x = binary_data(6)
    made = interpolation(Model.of(vae), x[:3], x[3:], path=path, columns=5)
    z = made.arrays["z"].reshape(3, 5, 3)
    codes = vae.encode(x).mean().numpy()
    np.testing.assert_allclose(z[:, 0], codes[:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(z[:, -1], codes[3:], rtol=1e-4, atol=1e-5)
    assert made.columns == 5 and made.items.shape == (15, 6, 5, 1)
    np.testing.assert_allclose(made.items, vae.decode(made.arrays["z"]).mean(), rtol=1e-4, atol=1e-5)


def test_straight_ways_have_even_steps():
    way = linear(START, END, 7)
    np.testing.assert_allclose(np.diff(way, axis=1), np.repeat((END - START)[:, None] / 6, 6, axis=1))


def test_spherical_ways_turn_evenly_and_keep_the_length_of_equal_ends():
    end = np.array([[0.0, 3.0, 0.0], [0.0, 1.0, 1.0]])
    way = spherical(START, end, 9)
    np.testing.assert_allclose(np.linalg.norm(way, axis=-1), np.linalg.norm(START, axis=-1)[:, None] * np.ones(9))
    cosines = np.sum(way[:, 1:] * way[:, :-1], axis=-1) / np.sum(way[:, :1] ** 2, axis=-1)
    np.testing.assert_allclose(cosines, np.repeat(cosines[:, :1], 8, axis=1))
    # Opposite ends have no one way around: it is straight, and finite.
    np.testing.assert_allclose(spherical(START, END, 5)[1], linear(START, END, 5)[1])


def test_a_geodesic_goes_around_what_the_decoder_makes_long():
    """A decoder g(z) = (z, 4 exp(-|z|^2)) has a hill at the origin: the shortest way leads past it."""
    import tensorflow as tf

    model = stub_model(item_shape=(3,))

    def run(name, given):
        assert name == "decode"
        z = given["z"]
        return {"mean": tf.concat([z, 4.0 * tf.exp(-tf.reduce_sum(z**2, axis=-1, keepdims=True))], axis=-1)}

    object.__setattr__(model, "run", run)

    def energy(way):
        means = run("decode", {"z": tf.constant(way[0], tf.float32)})["mean"].numpy()
        return np.sum(np.diff(means, axis=0) ** 2)

    start, end = np.array([[-2.0, 0.3]]), np.array([[2.0, 0.3]])
    way = geodesic(model, start, end, 12)
    assert energy(way) < 0.6 * energy(linear(start, end, 12))
    assert way[0, 5:7, 1].min() > 0.8  # past the hill
    np.testing.assert_array_equal(geodesic(model, start, end, 2), linear(start, end, 2).astype(np.float32))


def test_ways_keep_to_the_support_of_z():
    vae = small_vae(posterior=posteriors.Dirichlet(), prior=priors.SymmetricDirichlet())
    x = binary_data(4)
    for path in PATHS:
        z = interpolation(Model.of(vae), x[:2], x[2:], path=path, columns=4).arrays["z"]
        np.testing.assert_allclose(z.sum(axis=-1), 1.0, rtol=1e-4)
        assert (z > 0).all()


def test_codes_without_order_have_no_geodesic():
    vae = small_vae((4,), likelihood=likelihoods.Categorical(num_categories=3))
    x = np.array([[0, 1, 2, 0], [2, 2, 0, 1]], np.float32)
    with pytest.raises(InputError, match="--path: received geodesic, expected linear or spherical"):
        interpolation(Model.of(vae), x[:1], x[1:], path="geodesic", columns=4)


def test_the_label_changes_half_way():
    vae = small_vae(num_labels=4)
    x = binary_data(2)
    made = interpolation(Model.of(vae), x[:1], x[1:], np.array([1]), np.array([3]), columns=4)
    np.testing.assert_allclose(made.items, vae.decode(made.arrays["z"], [1, 1, 3, 3]).mean(), rtol=1e-4, atol=1e-5)


def test_a_path_that_there_is_none_of():
    with pytest.raises(InputError, match="--path: received 'round', expected one of: linear, spherical, geodesic"):
        interpolation(Model.of(small_vae()), binary_data(1), binary_data(1), path="round")
