import numpy as np
import pytest
import tensorflow as tf

from tests.export.test_parts import LIKELIHOODS, SIZE
from tests.helpers import binary_data, small_vae
from tests.inference.stubs import stub_model
from tfvae import posteriors, priors
from tfvae.errors import InputError
from tfvae.evaluation.latent_space import LatentSpace
from tfvae.inference.generation import AggregatePosterior, prior_latents, samples
from tfvae.inference.model import Model


def test_samples_follow_the_seed_and_not_the_count():
    model = Model.of(small_vae())
    for values in ("mean", "sample"):
        many, few = samples(model, 20, seed=3, values=values), samples(model, 5, seed=3, values=values)
        np.testing.assert_allclose(many.items[:5], few.items, rtol=1e-5)
        assert not np.allclose(many.items, samples(model, 20, seed=4, values=values).items)
    assert set(np.unique(many.items)) == {0.0, 1.0}


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_latents_are_draws_from_the_prior_at_a_temperature(temperature):
    z = prior_latents(Model.of(small_vae()), 4_000, temperature=temperature)
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.07 * temperature)
    np.testing.assert_allclose(np.cov(z.T), temperature**2 * np.eye(3), atol=0.1 * temperature**2)


def test_a_mixture_has_no_temperature():
    model = Model.of(small_vae(prior=priors.MixtureOfNormals(num_components=2)))
    assert prior_latents(model, 3).shape == (3, 3)
    with pytest.raises(
        InputError, match=r"--temperature: received 0.5, expected 1: the model has no signature 'prior'"
    ):
        prior_latents(model, 3, temperature=0.5)


def test_labels_of_samples():
    model = Model.of(small_vae(num_labels=4))
    assert samples(model, 9).arrays["labels"].tolist() == [0, 1, 2, 3] * 2 + [0]
    assert samples(model, 9).columns == 4
    assert samples(model, 9, label=2).arrays["labels"].tolist() == [2] * 9


def codes_of(centers):
    """A model whose encoder draws z around one of these centers, by the first pixel."""

    def run(name, given):
        assert name == "encode_sample"
        which = given["image"][:, 0, 0, 0].astype(int)
        noise = np.array([np.random.default_rng(seed).normal(size=2) for seed in given["seed"]])
        return {"z": centers[which] + 0.1 * noise}

    return stub_model(run)


def test_the_aggregate_posterior_is_where_the_codes_are():
    centers = np.array([[-4.0, 0.0], [4.0, 1.0], [0.0, 6.0]])
    x = (np.arange(900) % 3).reshape(-1, 1, 1, 1).astype(np.float32)
    found = AggregatePosterior.fit(codes_of(centers), x)
    z = found.latents(3_000, seed=1)
    distance = np.linalg.norm(z[:, None] - centers, axis=-1)
    assert distance.min(axis=1).max() < 1.0
    np.testing.assert_allclose(np.bincount(distance.argmin(axis=1)) / 3_000, 1 / 3, atol=0.04)
    np.testing.assert_array_equal(z, found.latents(3_000, seed=1))
    colder = found.latents(3_000, seed=1, temperature=0.1)
    assert np.linalg.norm(colder[:, None] - centers, axis=-1).min(axis=1).mean() < 0.75 * distance.min(axis=1).mean()


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [(posteriors.Gamma(), priors.Gamma()), (posteriors.Dirichlet(), priors.SymmetricDirichlet())],
)
def test_the_aggregate_posterior_keeps_to_the_support(posterior, prior):
    vae = small_vae(posterior=posterior, prior=prior)
    z = AggregatePosterior.fit(Model.of(vae), binary_data(60)).latents(50)
    assert np.isfinite(vae.prior.log_prob(z)).all()


def test_the_aggregate_posterior_needs_examples():
    with pytest.raises(InputError, match="received 5 examples for the aggregate posterior, expected at least 6"):
        AggregatePosterior.fit(Model.of(small_vae()), binary_data(5))


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_every_likelihood_gives_new_data(name):
    vae = small_vae((SIZE,), likelihood=LIKELIHOODS[name])
    model = Model.of(vae)
    means = samples(model, 4)
    assert means.items.shape == (4, SIZE) and np.isfinite(means.items).all()
    if name == "multinomial":
        with pytest.raises(InputError, match="no signature 'decode_sample': no draws of BagOfWords are known"):
            samples(model, 4, values="sample")
    else:
        drawn = samples(model, 4, values="sample").items
        # A normal distribution of numbers in [0, 1] gives others too.
        assert np.isfinite(drawn).all() and ("gaussian" in name or vae.support.contains(drawn).all())


def test_codes_near_a_corner_of_the_simplex_have_coordinates():
    generator = np.random.default_rng(0)
    codes = generator.dirichlet([20.0, 0.15, 20.0, 0.15, 0.15, 20.0, 0.15, 0.15], size=500).astype(np.float32)
    space = LatentSpace.named("simplex")
    y = space.y(tf.constant(codes))
    assert np.isfinite(y).all()
    np.testing.assert_allclose(space.z(y), codes, atol=1e-5)
    np.testing.assert_allclose(space.y(tf.fill([1, 8], 1 / 8)), 0.0, atol=1e-5)
