"""The learned priors: a mixture, the VampPrior, flows."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tf_keras

from tests.helpers import binary_data, digits_config
from tfvae import likelihoods, networks, posteriors, priors, random
from tfvae.build import build_vae
from tfvae.config import ModelConfig
from tfvae.errors import InputError
from tfvae.evaluation.latent_space import latent_support
from tfvae.export import export_saved_model
from tfvae.objectives import IWAE, SGVB_A, SGVB_B
from tfvae.reparameterization import draw_prior
from tfvae.training.checkpoints import Checkpoints

SIZE, ITEM = 3, (6, 5, 1)
X = binary_data(40, ITEM)
LEARNED = [
    priors.MixtureOfNormals(num_components=3),
    priors.VampPrior(num_pseudo_inputs=4),
    priors.AutoregressiveFlow(hidden=(8,)),
    priors.CouplingFlow(hidden=(8,)),
]
each = pytest.mark.parametrize("prior", LEARNED, ids=lambda p: p.tag)


def make_vae(prior, *, posterior=None, examples=lambda n: X[:n]):
    tf_keras.utils.set_random_seed(0)
    parts = ModelConfig(
        latent_size=SIZE,
        posterior=posterior or posteriors.Normal(),
        prior=prior,
        likelihood=likelihoods.Bernoulli(),
        network=networks.MLP(hidden=(8,)),
    )
    return build_vae(parts, ITEM, examples=examples)


def points(count=50):
    return np.random.default_rng(0).normal(size=(count, SIZE)).astype(np.float32)


def shaken(vae):
    """The model with other numbers in its prior, which begins at zeros and ones."""
    rng = np.random.default_rng(5)
    # Four couplings in a row soon have tails that no importance weights bring home.
    size = 0.1 if "conditioners" in vars(vae.prior) else 0.3
    for variable in vae.prior.trainable_variables:
        variable.assign_add(size * rng.normal(size=variable.shape).astype(np.float32))
    return vae


# Densities -----------------------------------------------------------------------


@each
def test_the_density_integrates_to_one(prior):
    p = shaken(make_vae(prior)).prior
    # By importance: E_r p(z) / r(z) = 1 for any wide r.
    wide = scipy.stats.t(df=4, scale=1.5)
    z = wide.rvs(size=(400_000, SIZE), random_state=0).astype(np.float32)
    ratio = np.exp(p.log_prob(z).numpy() - wide.logpdf(z).sum(axis=1))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio)) < 0.05


@each
def test_draws_have_the_density(prior):
    p = shaken(make_vae(prior)).prior
    z = draw_prior(p, random.row_keys(0, random.PRIOR, rows=tf.range(20_000))).numpy()
    # E_p f by draws, and by importance from another distribution, for a function that tells modes apart.
    wide = scipy.stats.t(df=4, scale=1.5)
    other = wide.rvs(size=(200_000, SIZE), random_state=1).astype(np.float32)
    ratio = np.exp(p.log_prob(other).numpy() - wide.logpdf(other).sum(axis=1))
    for function in (lambda z: z, lambda z: z**2, lambda z: np.sin(2 * z) * np.roll(z, 1, axis=1)):
        draws, weighted = function(z), ratio[:, None] * function(other)
        error = np.sqrt(draws.var(axis=0) / len(draws) + weighted.var(axis=0) / len(weighted))
        assert np.all(np.abs(draws.mean(axis=0) - weighted.mean(axis=0)) < 4.5 * error)


@each
def test_a_draw_belongs_to_its_row(prior):
    p, keys = make_vae(prior).prior, random.row_keys(3, random.PRIOR, rows=tf.range(6))
    whole = draw_prior(p, keys)
    np.testing.assert_allclose(draw_prior(p, tf.gather(keys, [4, 1])), tf.gather(whole, [4, 1]), rtol=1e-5, atol=1e-6)
    compiled = tf.function(lambda keys: draw_prior(p, keys), jit_compile=True, autograph=False)
    np.testing.assert_allclose(compiled(keys), whole, rtol=1e-4, atol=1e-5)


def test_a_mixture_is_the_sum_of_its_components():
    p = shaken(make_vae(priors.MixtureOfNormals(num_components=3, scale_floor=0.05))).prior
    loc, scale = p.components_distribution.distribution.loc.numpy(), p.components_distribution.stddev().numpy()
    logits = p.mixture_distribution.logits.numpy()
    z = points()
    parts = scipy.stats.norm.logpdf(z[:, None], loc, scale).sum(axis=2)
    expected = scipy.special.logsumexp(parts + scipy.special.log_softmax(logits), axis=1)
    np.testing.assert_allclose(p.log_prob(z), expected, rtol=1e-4)


def test_a_mixture_of_one_is_the_normal():
    one = make_vae(priors.MixtureOfNormals(num_components=1, initial_spread=0.0))
    normal = make_vae(priors.StandardNormal())
    np.testing.assert_allclose(one.prior.log_prob(points()), normal.prior.log_prob(points()), rtol=1e-5)
    keys = random.row_keys(0, random.PRIOR, rows=tf.range(9))
    np.testing.assert_allclose(draw_prior(one.prior, keys), draw_prior(normal.prior, keys), rtol=1e-5, atol=1e-6)
    losses = []
    for vae in (one, normal):
        vae.compile("sgd", objective=SGVB_A())
        losses.append(vae.evaluate(X, verbose=0, return_dict=True)["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_mixtures_scales_stay_above_their_floor():
    vae = make_vae(priors.MixtureOfNormals(num_components=2, scale_floor=0.2))
    for variable in vae.prior.trainable_variables:
        variable.assign(tf.fill(variable.shape, -1e4))
    np.testing.assert_allclose(vae.prior.components_distribution.stddev(), 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    "posterior", [posteriors.Normal(), posteriors.FullNormal(), posteriors.Dirichlet()], ids=lambda p: p.tag
)
def test_a_vamp_prior_with_one_pseudo_input_is_its_posterior(posterior):
    vae = make_vae(priors.VampPrior(num_pseudo_inputs=1), posterior=posterior)
    q = vae.encode(X[:1])
    z = np.random.default_rng(0).dirichlet(np.ones(SIZE), size=20).astype(np.float32)
    np.testing.assert_allclose(vae.prior.log_prob(z), q.log_prob(z), rtol=1e-4)
    # It follows the encoder.
    kernel = vae.encoder.trainable_variables[-2]
    kernel.assign_add(0.1 * tf.ones_like(kernel))
    np.testing.assert_allclose(vae.prior.log_prob(z), vae.encode(X[:1]).log_prob(z), rtol=1e-4)


def test_a_vamp_prior_is_the_mixture_of_posteriors_at_examples():
    vae, z = make_vae(priors.VampPrior(num_pseudo_inputs=4)), points()
    np.testing.assert_array_equal(vae.prior.pseudo_inputs, X[:4])
    each = np.stack([vae.encode(X[k : k + 1]).log_prob(z) for k in range(4)])
    np.testing.assert_allclose(vae.prior.log_prob(z), scipy.special.logsumexp(each, axis=0) - np.log(4), rtol=1e-4)
    # More pseudo-inputs than examples: they come again.
    few = make_vae(priors.VampPrior(num_pseudo_inputs=5), examples=lambda n: X[:2])
    np.testing.assert_array_equal(few.prior.pseudo_inputs, X[[0, 1, 0, 1, 0]])


@pytest.mark.parametrize("steps", [1, 5])
def test_pseudo_inputs_stay_in_the_range_of_the_data_and_move(steps):
    vae = make_vae(priors.VampPrior(num_pseudo_inputs=8))
    vae.compile(tf_keras.optimizers.Adam(0.1), steps_per_execution=steps)
    inputs, seen = vae.prior.pseudo_inputs, []
    for _ in range(3):
        vae.fit(X, batch_size=8, epochs=4, verbose=0)
        seen.append(inputs.numpy())
    assert min(s.min() for s in seen) >= 0.0 and max(s.max() for s in seen) <= 1.0
    assert np.any(seen[0] != seen[2])
    # One that came to the border is not caught there.
    border = np.isin(seen[0], (0.0, 1.0))
    assert np.any(border) and np.any(seen[2][border] != seen[0][border])


def test_codes_are_no_pseudo_inputs():
    says = "model.prior: received vamp_prior for a likelihood whose features of x are codes without a gradient"
    likelihood = likelihoods.Categorical(num_categories=3)
    assert unfit(prior=priors.VampPrior(), likelihood=likelihood).startswith(says)


def test_layers_with_activity_regularizers_are_refused(monkeypatch):
    made = digits_config().model
    made.prior, network = priors.VampPrior(), made.network
    encoder = network.encoder((8, 8, 1), 4)
    encoder.layers[-1].activity_regularizer = tf_keras.regularizers.L2(0.1)
    monkeypatch.setattr(type(network), "encoder", lambda *_, **__: encoder)
    says = r"^model\.prior: received vamp_prior for an encoder whose layers have activity regularizers, expected none"
    with pytest.raises(InputError, match=says):
        build_vae(made, (8, 8, 1))


@pytest.mark.parametrize("prior", LEARNED[2:], ids=lambda p: p.tag)
def test_a_flow_of_zero_weights_is_the_standard_normal(prior):
    p = make_vae(prior).prior
    for variable in p.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_allclose(p.log_prob(points()), scipy.stats.norm.logpdf(points()).sum(axis=1), rtol=1e-5)


# In a model ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "objective"), [*((p, SGVB_B()) for p in LEARNED), (LEARNED[1], IWAE(num_samples=2))], ids=lambda p: p.tag
)
def test_its_parameters_learn(prior, objective):
    vae = make_vae(prior)
    variables = vae.prior.trainable_variables
    assert variables and {v.ref() for v in variables} <= {v.ref() for v in vae.trainable_variables}
    before = [v.numpy() for v in variables]
    vae.compile(tf_keras.optimizers.Adam(0.01), objective=objective, steps_per_execution=5)
    history = vae.fit(X, batch_size=8, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    # Of a coupling flow with zero-initialised kernels all move; of an autoregressive one the masked numbers cannot.
    assert all(np.any(v.numpy() != b) for v, b in zip(variables, before, strict=True) if v.shape[0] > 1)
    assert vae.kl_estimator == "monte_carlo"


@each
def test_checkpoints_and_exports_have_its_parameters(prior, tmp_path):
    vae = shaken(make_vae(prior))
    vae.compile("adam")
    Checkpoints(str(tmp_path / "checkpoints"), vae).save()
    again = make_vae(prior, examples=None)
    Checkpoints(str(tmp_path / "checkpoints"), again).restore_for_use("last")
    np.testing.assert_array_equal(again.prior.log_prob(points()), vae.prior.log_prob(points()))
    path = export_saved_model(vae, str(tmp_path / "export"), item_shape=ITEM, num_samples=4)
    seed = tf.constant([5, 9], tf.int64)
    found = tf.saved_model.load(path).signatures["generate"](seed=seed)["z"]
    keys = random.row_keys(seed, random.PRIOR, rows=tf.zeros_like(seed))
    np.testing.assert_allclose(found, draw_prior(vae.prior, keys), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("prior", LEARNED[1:2], ids=lambda p: p.tag)
def test_two_replicas_are_one_device(prior, two_replicas):
    losses = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            vae = make_vae(prior)
            vae.compile(tf_keras.optimizers.SGD(0.01))
        losses.append(vae.fit(X, batch_size=7, epochs=2, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


# What does not fit together --------------------------------------------------------


def unfit(**parts):
    made = digits_config().model
    for name, part in parts.items():
        setattr(made, name, part)
    with pytest.raises(InputError) as error:
        build_vae(made, (8, 8, 1))
    return str(error.value)


@pytest.mark.parametrize(
    ("posterior", "prior", "says"),
    [
        (posteriors.Dirichlet(), priors.StandardNormal(),
         "model.prior: received standard_normal, whose z is any number, expected one whose z is on the simplex, as "
         "that of the dirichlet posterior: symmetric_dirichlet, vamp_prior"),
        (posteriors.Normal(), priors.Gamma(), "model.prior: received gamma, whose z is positive, expected one w"),
        (posteriors.LogNormal(), priors.CouplingFlow(), "model.prior: received coupling_flow, whose z is any number"),
        (posteriors.Kumaraswamy(), priors.SymmetricDirichlet(),
         "model.prior: received symmetric_dirichlet, whose z is on the simplex, expected one whose z is in (0, 1), as"),
    ],
)  # fmt: skip
def test_supports_that_differ_are_refused_by_name(posterior, prior, says):
    assert unfit(posterior=posterior, prior=prior).startswith(says)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"posterior": posteriors.Dirichlet(), "prior": priors.SymmetricDirichlet()}, "for a dirichlet posterior"),
        ({"posterior": posteriors.CouplingFlow()}, "for a coupling_flow posterior"),
        ({"prior": priors.CouplingFlow()}, "for a coupling_flow prior"),
    ],
)
def test_a_size_that_is_too_small_is_refused(parts, says):
    assert unfit(latent_size=1, **parts) == f"model.latent_size: received 1, expected at least 2 {says}"


def test_a_vamp_prior_needs_an_encoder():
    with pytest.raises(TypeError, match="vamp_prior is made of an encoder"):
        priors.VampPrior().build(2)


@pytest.mark.parametrize("posterior", [posteriors.FullNormal(), posteriors.InverseAutoregressiveFlow()])
def test_a_vamp_prior_of_any_normal_lies_anywhere(posterior):
    vae = make_vae(priors.VampPrior(num_pseudo_inputs=5), posterior=posterior)
    assert latent_support(vae.prior) == "real"


def test_a_vamp_prior_needs_a_density_beside_the_own_rows():
    with pytest.raises(InputError, match=r"^model\.prior: received vamp_prior for a posterior whose density at a z is"):
        make_vae(priors.VampPrior(num_pseudo_inputs=5), posterior=posteriors.CouplingFlow())
