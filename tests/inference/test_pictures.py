import numpy as np
import pytest
import scipy.stats

from tests.helpers import binary_data, small_vae
from tests.inference.stubs import stub_model
from tfvae import posteriors, priors
from tfvae.errors import InputError
from tfvae.inference import sheet
from tfvae.inference.generation import samples
from tfvae.inference.model import Model
from tfvae.inference.pictures import CAPTIONS, all_pictures, manifold, prior_quantiles, reconstructions, traversal


def constant_images(values):
    return np.reshape(values, (-1, 1, 1, 1)).astype(np.float32)


class Stub:
    """A model of 1x1 images: its reconstruction is 1 - x, and its decoder shows a function of z."""

    def __init__(self, show=None, **facts):
        self.show, self.seen, self.labels = show or (lambda z: z[:, 0]), [], None
        self.model = stub_model(self.run, **facts)

    def run(self, name, given):
        if name == "reconstruct":
            return {"reconstruction": 1 - given["image"]}
        if name == "prior":
            return {"z": given["noise"]}
        assert name == "decode"
        self.seen.append(given["z"])
        self.labels = given.get("label")
        return {"mean": np.reshape(self.show(given["z"]), (-1, 1, 1, 1))}


@pytest.fixture
def unenlarged(monkeypatch):
    monkeypatch.setattr(sheet, "_WIDTH", 1)


def cells(made, stub):
    """The values of a grid of 1x1 images, `[rows, columns]`."""
    return made.pixels(stub.model)[::2, ::2, 0].astype(int)


def test_the_manifolds_first_latent_grows_to_the_right_and_the_second_upwards(unenlarged):
    levels = np.round((np.arange(5) + 0.5) / 5 * 255).astype(int)
    across, upwards = (Stub(lambda z, i=i: scipy.stats.norm.cdf(z[:, i])) for i in range(2))
    np.testing.assert_allclose(cells(manifold(across.model, columns=5), across), np.tile(levels, (5, 1)), atol=1)
    up = np.tile(levels[::-1, None], (1, 5))
    np.testing.assert_allclose(cells(manifold(upwards.model, columns=5), upwards), up, atol=1)
    assert manifold(across.model).pixels(across.model).shape == (39, 39, 1)


def test_a_manifold_of_more_latents_moves_two_and_keeps_the_others_at_the_median():
    stub = Stub(latent_size=4)
    z = manifold(stub.model, latents=(3, 1), columns=6).arrays["z"].reshape(6, 6, 4)
    np.testing.assert_allclose(z[..., [0, 2]], 0.0, atol=1e-6)
    assert (np.diff(z[0, :, 3]) > 0).all() and (np.diff(z[:, 0, 1]) < 0).all()
    assert (np.diff(z[:, 0, 3]) == 0).all() and (np.diff(z[0, :, 1]) == 0).all()


@pytest.mark.parametrize("latents", [(0, 0), (0, 4), (-1, 2)])
def test_a_manifold_of_latents_that_there_are_none_of(latents):
    with pytest.raises(InputError, match=r"--dimensions: received .*, expected two of 0 ... 3"):
        manifold(Stub(latent_size=4).model, latents=latents)


def test_a_manifold_needs_two_latents():
    with pytest.raises(InputError, match="expected a model of at least two latents"):
        manifold(Stub(latent_size=1).model)


@pytest.mark.parametrize("prior", [priors.StandardNormal(), priors.MixtureOfNormals(num_components=3)])
def test_quantiles_of_a_prior(prior):
    """Through its noise, or where a mixture has none, through its draws."""
    model = Model.of(small_vae(prior=prior, latent_size=2))
    shares = np.array([[0.1, 0.5], [0.5, 0.9], [0.9, 0.1]])
    drawn = model.rows("generate", seed=np.arange(4_000) + 10**6)["z"]
    below = np.mean(drawn[None] < prior_quantiles(model, shares)[:, None], axis=1)
    np.testing.assert_allclose(below, shares, atol=0.03)


@pytest.mark.parametrize(("count", "columns"), [(4, 4), (8, 4), (3, 3)])
def test_rows_of_examples_stand_above_their_reconstructions(unenlarged, count, columns):
    stub = Stub()
    found = cells(reconstructions(stub.model, constant_images(np.arange(10, 10 + count) / 255), columns=columns), stub)
    examples = np.arange(10, 10 + count).reshape(-1, columns)
    assert found.shape == (2 * count // columns, columns)
    np.testing.assert_array_equal(found[::2], examples)
    np.testing.assert_array_equal(found[1::2], 255 - examples)


@pytest.mark.parametrize(("count", "columns"), [(6, 4), (7, 5)])
def test_a_row_that_is_not_full_stands_above_its_reconstructions_too(unenlarged, count, columns):
    stub = Stub()
    found = cells(reconstructions(stub.model, constant_images(np.arange(10, 10 + count) / 255), columns=columns), stub)
    last = np.arange(10, 10 + count)[count // columns * columns :]
    assert len(found) == 2 * -(-count // columns)
    np.testing.assert_array_equal(found[-2, : len(last)], last)
    np.testing.assert_array_equal(found[-1, : len(last)], 255 - last)
    assert (found[-2:, len(last) :] == 128).all()


def test_reconstructions_are_means_at_the_posteriors_mean():
    vae, x = small_vae(), binary_data(3)
    made = reconstructions(Model.of(vae), x, columns=3)
    np.testing.assert_array_equal(made.items[:3], x)
    np.testing.assert_allclose(made.items[3:], vae.decode(vae.encode(x).mean()).mean(), rtol=1e-5)


class Latents(Stub):
    """Codes of examples are a table's rows, with a normal posterior of given scales."""

    def __init__(self, codes, scales, **facts):
        self.codes = np.asarray(codes, np.float32)
        self.scales = np.broadcast_to(np.asarray(scales, np.float32), self.codes.shape)
        super().__init__(lambda z: np.zeros(len(z)), latent_size=self.codes.shape[1], **facts)

    def run(self, name, given):
        if name not in ("encode", "encode_sample"):
            return super().run(name, given)
        which = given["image"].ravel().astype(int)  # an example is its own number
        if name == "encode":
            return {"mean": self.codes[which], "stddev": self.scales[which]}
        noise = np.array([np.random.default_rng(seed).normal(size=self.codes.shape[1]) for seed in given["seed"]])
        return {"z": self.codes[which] + self.scales[which] * noise}


def decoded(stub, *, labels=None, columns=5, **kwargs):
    """The latents of a traversal, `[rows, columns, latent_size]`."""
    x = constant_images(np.arange(len(stub.codes)))
    return (
        traversal(stub.model, x, labels, columns=columns, **kwargs)
        .arrays["z"]
        .reshape(-1, columns, stub.codes.shape[1])
    )


def test_each_row_moves_one_latent_of_the_first_examples_code():
    codes = np.random.default_rng(0).normal(size=(50, 3)) * [0.1, 5.0, 1.0] + [0.0, 10.0, -3.0]
    z = decoded(Latents(codes, [1e-6, 1e-6, 1e-6]))
    ends = np.quantile(np.repeat(codes, 20, axis=0), [0.01, 0.99], axis=0)
    assert z.shape == (3, 5, 3)
    for row, latent in enumerate([1, 2, 0]):  # the most active first
        others = [i for i in range(3) if i != latent]
        np.testing.assert_allclose(z[row][:, others], np.tile(codes[0, others], (5, 1)), rtol=1e-5)
        np.testing.assert_allclose(z[row][[0, -1], latent], ends[:, latent], atol=1e-3)
        steps = np.diff(z[row][:, latent])
        assert steps.min() > 0
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3)


def test_a_latent_that_tells_nothing_moves_over_its_posterior():
    # Its mean is the same for all examples: what it does, it does over the draws.
    z = decoded(Latents(np.tile([[0.0, 1.0], [0.0, -1.0]], (25, 1)), [2.0, 0.01]))
    np.testing.assert_allclose(z[1][[0, -1], 0], scipy.stats.norm.ppf([0.01, 0.99]) * 2.0, atol=0.6)


def test_a_traversal_has_the_most_active_rows_and_follows_the_seed():
    stub = Latents(np.random.default_rng(0).normal(size=(20, 15)) * np.arange(15), np.ones(15))
    z = decoded(stub, seed=1)
    assert z.shape == (10, 5, 15)
    moved = [int(np.ptp(row, axis=0).argmax()) for row in z]
    np.testing.assert_array_equal(moved, np.argsort(-stub.codes.var(axis=0))[:10])
    np.testing.assert_array_equal(z, decoded(stub, seed=1))
    assert not np.array_equal(z, decoded(stub, seed=2))
    chosen = decoded(stub, seed=1, latents=(4, 2))
    assert [int(np.ptp(row, axis=0).argmax()) for row in chosen] == [4, 2]
    with pytest.raises(InputError, match=r"--dimensions: received \[15\], expected some of 0 ... 14"):
        decoded(stub, latents=(15,))


def test_latents_on_the_simplex_keep_their_sum_and_the_others_their_proportions():
    codes = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=30)
    z = decoded(Latents(codes, [1e-9] * 3, latent_support="simplex"))
    np.testing.assert_allclose(z.sum(axis=-1), 1.0, atol=1e-4)
    assert z.min() >= 0
    for row in z:
        latent = int(np.ptp(row, axis=0).argmax())
        a, b = (i for i in range(3) if i != latent)
        np.testing.assert_allclose(row[:, a] / row[:, b], codes[0, a] / codes[0, b], rtol=1e-3)


def test_a_conditional_model_keeps_the_label_of_the_example():
    stub = Latents(np.random.default_rng(0).normal(size=(6, 2)), [1.0, 1.0], num_labels=4)
    decoded(stub, labels=np.array([3, 0, 1, 2, 0, 1]))
    assert stub.labels.tolist() == [3] * 10


@pytest.mark.parametrize(
    ("posterior", "prior"),
    [
        (posteriors.FullNormal(), priors.StandardNormal()),
        (posteriors.Gamma(), priors.Gamma()),
        (posteriors.Kumaraswamy(), priors.StandardUniform()),
        (posteriors.Dirichlet(), priors.SymmetricDirichlet()),
        (posteriors.InverseAutoregressiveFlow(), priors.StandardNormal()),
    ],
)
def test_every_support_can_be_traversed(posterior, prior):
    vae, x = small_vae(posterior=posterior, prior=prior), binary_data(7)
    made = traversal(Model.of(vae), x)
    assert np.ptp(made.items) > 0
    assert np.isfinite(vae.prior.log_prob(made.arrays["z"])).all()  # inside the support


def test_all_pictures():
    x = binary_data(10)
    two = Model.of(small_vae(latent_size=2))
    made = all_pictures(two, x, seed=5)
    assert list(made) == ["reconstructions", "samples", "manifold", "traversal"]
    assert list(CAPTIONS) == list(made)
    np.testing.assert_array_equal(made["samples"], samples(two, seed=5).pixels(two))
    np.testing.assert_array_equal(made["reconstructions"], reconstructions(two, x).pixels(two))
    np.testing.assert_array_equal(made["traversal"], traversal(two, x, seed=5).pixels(two))
    assert list(all_pictures(Model.of(small_vae(latent_size=3)), x)) == ["reconstructions", "samples", "traversal"]
    assert {pixels.dtype.name for pixels in made.values()} == {"uint8"}


def test_vectors_have_no_pictures():
    assert all_pictures(Model.of(small_vae((30,), latent_size=2)), binary_data(4, (30,))) == {}
