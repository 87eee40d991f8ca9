import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfvae import posteriors, priors, random  # noqa: F401, posteriors register how priors are drawn
from tfvae.reparameterization import draw_prior

# Each prior, and the distribution of one of its dimensions.
NATURAL = [
    (priors.StandardNormal(), scipy.stats.norm()),
    (priors.StandardLaplace(), scipy.stats.laplace()),
    (priors.StandardLogistic(), scipy.stats.logistic()),
    (priors.StandardStudentT(degrees_of_freedom=3.0), scipy.stats.t(3)),
    (priors.StandardGumbel(), scipy.stats.gumbel_r()),
    (priors.StandardLogNormal(), scipy.stats.lognorm(1.0)),
    (priors.Exponential(rate=2.5), scipy.stats.expon(scale=0.4)),
    (priors.Gamma(concentration=0.4, rate=2.0), scipy.stats.gamma(0.4, scale=0.5)),
    (priors.Weibull(concentration=0.7, scale=3.0), scipy.stats.weibull_min(0.7, scale=3.0)),
    (priors.StandardUniform(), scipy.stats.uniform()),
    (priors.Beta(concentration1=2.0, concentration0=0.6), scipy.stats.beta(2.0, 0.6)),
    (priors.SymmetricDirichlet(concentration=0.5), scipy.stats.beta(0.5, 1.0)),
]
natural = pytest.mark.parametrize(("prior", "reference"), NATURAL, ids=lambda v: getattr(v, "tag", ""))
WITHIN = {"real": (-np.inf, np.inf), "positive": (0, np.inf), "unit": (0, 1), "simplex": (0, 1)}


@natural
def test_draws_follow_the_prior(prior, reference):
    p = prior.build(3)
    assert p.batch_shape == [] and p.event_shape == [3]
    z = draw_prior(p, random.row_keys(0, random.PRIOR, rows=tf.range(4000)))
    assert z.shape == (4000, 3) and z.dtype == tf.float32
    low, high = WITHIN[prior.support]
    assert np.all(z > low) and np.all(z < high)
    assert np.all(np.isfinite(p.log_prob(z)))
    for j in range(3):
        assert scipy.stats.kstest(z[:, j].numpy().astype(np.float64), reference.cdf).pvalue > 0.01


@natural
def test_the_density_is_the_one_documented(prior, reference):
    if prior.support == "simplex":
        z = np.array([[0.2, 0.5, 0.3], [0.01, 0.01, 0.98]])
        expected = scipy.stats.dirichlet.logpdf(z.T, [0.5] * 3)
    else:
        z = reference.ppf(np.random.default_rng(0).random((5, 3)))
        expected = reference.logpdf(z).sum(axis=1)
    np.testing.assert_allclose(prior.build(3).log_prob(z.astype(np.float32)), expected, rtol=1e-4, atol=1e-5)


@natural
def test_a_draw_belongs_to_its_row(prior, reference):
    p, keys = prior.build(2), random.row_keys(0, random.PRIOR, rows=tf.range(5))
    np.testing.assert_allclose(draw_prior(p, keys[3:4]), draw_prior(p, keys)[3:4], rtol=1e-5)
