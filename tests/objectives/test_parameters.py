import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.helpers import binary_data, small_vae
from tests.objectives.common import assert_same, losses, spread, terms_of, value_and_gradient
from tfvae import config, networks, posteriors, priors, schedules
from tfvae.errors import InputError
from tfvae.kinds import Objective
from tfvae.objectives import IWAE, MAP, SGVB_B, BetaTCVAE, FreeBits, FullVB

N = 50


def vae_for(size=N, **kwargs):
    vae = spread(small_vae(**kwargs))
    vae.num_examples = size
    return vae


def theta_of(vae):
    return np.concatenate([v.numpy().ravel() for v in vae.decoder.trainable_variables])


@pytest.mark.parametrize("scale", [0.3, 2.0])
@pytest.mark.parametrize(("family", "density"), [("normal", scipy.stats.norm), ("laplace", scipy.stats.laplace)])
def test_the_loss_has_the_density_of_the_decoders_parameters(family, density, scale):
    vae, x = vae_for(), binary_data(6)
    inner, outer = (losses(vae, x, o) for o in (SGVB_B(), MAP(family=family, scale=scale)))
    # -1/N log p(theta)
    expected = -density.logpdf(theta_of(vae).astype(np.float64), scale=scale).sum() / N
    np.testing.assert_allclose(outer - inner, np.full(6, expected), rtol=1e-4)
    gradients = [value_and_gradient(vae, x, o)[1] for o in (SGVB_B(), MAP(family=family, scale=scale))]
    own = {v.ref() for v in vae.decoder.trainable_variables}
    for variable, plain, posterior in zip(vae.trainable_variables, *gradients, strict=True):
        slope = variable / scale**2 if family == "normal" else tf.sign(variable) / scale
        np.testing.assert_allclose(posterior - plain, slope / N if variable.ref() in own else 0 * slope, atol=1e-5)


@pytest.mark.parametrize("family", ["normal", "laplace"])
@pytest.mark.parametrize("inner", [SGVB_B(num_samples=2), IWAE(num_samples=3)])
def test_a_very_wide_prior_is_the_other_objective(inner, family):
    vae, x = vae_for(), binary_data(6)
    outer = MAP(objective=inner, family=family, scale=1e6)
    constant = -len(theta_of(vae)) * getattr(scipy.stats, {"normal": "norm"}.get(family, family)).logpdf(0, scale=1e6)
    np.testing.assert_allclose(losses(vae, x, outer), losses(vae, x, inner) + constant / N, rtol=1e-5)
    vae.num_examples = 10**9
    assert_same(vae, x, outer, inner)


def test_it_regularizes_and_draws_as_the_other_objective():
    schedule = schedules.Linear(num_steps=10)
    outer = MAP(objective=SGVB_B(num_samples=3, kl_weight=4.0, kl_schedule=schedule))
    assert outer.regularizes and outer.num_samples == 3
    np.testing.assert_allclose([outer.weight_at(step) for step in (0, 5, 20)], [0.0, 2.0, 4.0])
    other = MAP(objective=IWAE(num_samples=7))
    assert not other.regularizes and other.num_samples == 7 and other.weight_at(3) == 1.0
    x = binary_data(4)
    for objective in (outer, other):
        terms, inner = terms_of(vae_for(), x, objective), terms_of(vae_for(), x, objective.objective)
        np.testing.assert_array_equal(terms.distortion, inner.distortion)
        np.testing.assert_array_equal(terms.rate, inner.rate)


def test_the_other_objective_is_part_of_the_config():
    outer = MAP(objective=FullVB(objective=IWAE(num_samples=7)), family="laplace")
    values = config.to_dict(outer)
    assert (values["type"], values["objective"]["objective"]["type"]) == ("map", "iwae")
    assert config.from_dict(values, Objective, "objective") == outer
    outer.objective.objective.num_samples = 0
    with pytest.raises(InputError, match=r"^objective\.objective\.objective\.num_samples: received 0"):
        config.validate(outer, "objective.")


def test_map_needs_the_size_of_the_data_set():
    with pytest.raises(InputError, match="^objective: received map with num_examples=None, expected the size"):
        losses(vae_for(None), binary_data(3), MAP())


BAYESIAN = networks.BayesianMLP(hidden=(8,), initial_scale=0.3, prior_scale=0.7)


@pytest.mark.parametrize("inner", [SGVB_B(num_samples=2), IWAE(num_samples=2, gradient="dreg")])
def test_full_vb_adds_the_divergence_of_the_decoders_weights(inner):
    vae, x = vae_for(network=BAYESIAN), binary_data(6)
    layers = [layer for layer in vae.decoder._flatten_layers() if isinstance(layer, networks.VariationalDense)]
    cost = 0.0
    for layer in layers:
        for mean, scale in ((layer.kernel, layer.kernel_scale), (layer.bias, layer.bias_scale)):
            m, s = mean.numpy().astype(np.float64), scale.numpy().astype(np.float64)
            # KL(N(m, s^2) || N(0, p^2)) = log(p / s) + (s^2 + m^2) / (2 p^2) - 1/2
            cost += np.sum(np.log(0.7 / s) + (s**2 + m**2) / (2 * 0.7**2) - 0.5)
    outer = FullVB(objective=inner)
    assert outer.regularizes == inner.regularizes and outer.num_samples == 2
    np.testing.assert_allclose(losses(vae, x, outer) - losses(vae, x, inner), np.full(6, cost / N), rtol=1e-4)
    # Its gradient draws the means to zero: m / (N p^2).
    kernels = [layer.kernel for layer in layers]
    pulls = [value_and_gradient(vae, x, o, variables=kernels)[1] for o in (outer, inner)]
    for kernel, with_cost, without in zip(kernels, *pulls, strict=True):
        np.testing.assert_allclose(with_cost - without, kernel / (N * 0.7**2), atol=1e-4)


def refused(network, objective, **kwargs):
    with pytest.raises(InputError) as error:
        vae_for(network=network).compile(objective=objective, **{"num_examples": N} | kwargs)
    return str(error.value)


def test_what_does_not_fit_the_decoder_is_refused_when_it_is_compiled():
    plain = networks.MLP(hidden=(8,))
    says = "objective: received full_vb for a decoder of plain weights, expected variational layers, such as those of"
    assert refused(plain, FullVB()).startswith(says)
    for objective in (SGVB_B(), IWAE(), MAP()):
        says = f"objective: received {objective.tag} for networks with a posterior over their weights, expected full_vb"
        assert refused(BAYESIAN, objective).startswith(says)
    says = "objective.objective: received iwae with num_samples = 5 inside full_vb, expected num_samples = 1"
    assert refused(BAYESIAN, FullVB(objective=IWAE())).startswith(says)
    vae_for(network=BAYESIAN).compile(objective=FullVB(objective=IWAE(num_samples=1)), num_examples=N)
    for network, objective in ((plain, MAP()), (BAYESIAN, FullVB()), (plain, BetaTCVAE())):
        assert "with num_examples=None, expected the size" in refused(network, objective, num_examples=None)


@pytest.mark.parametrize("objective", [FreeBits(), BetaTCVAE(), MAP(objective=FreeBits())], ids=lambda o: o.tag)
def test_what_needs_factors_is_refused_when_it_is_compiled(objective):
    tag = "free_bits" if objective.tag == "map" else objective.tag
    for parts in ({"posterior": posteriors.FullNormal()}, {"prior": priors.MixtureOfNormals()}):
        with pytest.raises(InputError, match=f"^objective: received {tag} for the posterior .* factorise over the dim"):
            small_vae(**parts).compile(objective=objective, num_examples=N)
