"""Studies of one part each: the size of z, q(z|x), p(z), and what keeps a strong decoder from leaving z unused."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfvae import likelihoods, networks, objectives, posteriors, priors, schedules
from tfvae.config import Config
from tfvae.studies.base import Row
from tfvae.studies.variants import _Variants

_QUICK = {"data": "digits", "hidden": (128,), "num_epochs": 60, "num_samples": 200, "seeds": (0,)}


def _best(means: Mapping[str, Row]) -> str:
    return max(means, key=lambda name: means[name]["log_likelihood"])


@dataclasses.dataclass(kw_only=True, slots=True)
class LatentSize(_Variants):
    """The same model with 2 to 100 latents: latents that are not needed are not used."""

    title: ClassVar[str] = "How many latents"
    source: ClassVar[str] = "Kingma & Welling 2013, section 5: superfluous latents do not overfit"
    heading: ClassVar[str] = "latents"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": _QUICK | {"sizes": (2, 4, 8, 16)}, "full": {}}

    sizes: tuple[int, ...] = (2, 5, 10, 20, 50, 100)

    @property
    def variants(self) -> Sequence[str]:
        return [str(size) for size in self.sizes]

    @property
    def setting(self) -> str:
        return f"{'-'.join(map(str, self.hidden))} hidden units, tanh"

    def config(self, variant: str) -> Config:
        return self.base(model__latent_size=int(variant))

    def finding(self, means: Mapping[str, Row]) -> str:
        best, last = _best(means), list(means)[-1]
        return (
            f"log p(x) is best with {best} latents ({means[best]['log_likelihood']:.2f} nats); of {last} "
            f"{means[last]['active_units']:.0f} are active and log p(x) is {means[last]['log_likelihood']:.2f}."
        )

    def paragraph(self, means: Mapping[str, Row]) -> str:
        last, best = list(means)[-1], _best(means)
        lost = means[best]["log_likelihood"] - means[last]["log_likelihood"]
        return (
            f"A latent that the decoder does not use costs nothing: its posterior is the prior. Of {last} latents "
            f"{means[last]['active_units']:.0f} are active (variance of the posterior mean above 0.01), and the model "
            f"is {lost:.2f} nats below the best of the table."
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class PosteriorFamilies(_Variants):
    """q(z|x) diagonal, with a full covariance, and with flows."""

    title: ClassVar[str] = "Families of the posterior"
    source: ClassVar[str] = (
        "Kingma & Welling 2013, section 2.4; Kingma et al. 2016, Improved variational inference with inverse "
        "autoregressive flow; Dinh et al. 2017"
    )
    heading: ClassVar[str] = "posterior"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": _QUICK | {"latent_size": 4}, "full": {}}

    @property
    def variants(self) -> Sequence[str]:
        return ["diagonal", "full covariance", "inverse autoregressive flow", "coupling flow"]

    def config(self, variant: str) -> Config:
        family = {
            "diagonal": posteriors.Normal(),
            "full covariance": posteriors.FullNormal(),
            "inverse autoregressive flow": posteriors.InverseAutoregressiveFlow(),
            "coupling flow": posteriors.CouplingFlow(),
        }
        return self.base(model__posterior=family[variant])

    def finding(self, means: Mapping[str, Row]) -> str:
        elbo = max(means, key=lambda name: means[name]["elbo"])
        return (
            f"The highest ELBO is that of the {elbo} posterior ({means[elbo]['elbo']:.2f} nats; diagonal "
            f"{means['diagonal']['elbo']:.2f}); the highest log p(x) that of the {_best(means)} one "
            f"({means[_best(means)]['log_likelihood']:.2f})."
        )

    def paragraph(self, means: Mapping[str, Row]) -> str:
        gaps = ", ".join(f"{name} {row['log_likelihood'] - row['elbo']:.2f}" for name, row in means.items())
        return (
            f"The gap between log p(x) and the ELBO is what the posterior costs: {gaps} nats. A decoder that is "
            "trained with a poor posterior learns to make do with it, so that log p(x) differs less than the ELBO."
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class Priors(_Variants):
    """p(z) fixed, and learned: a mixture, pseudo-inputs, a flow."""

    title: ClassVar[str] = "Priors"
    source: ClassVar[str] = (
        "Tomczak & Welling 2018, VAE with a VampPrior; Chen et al. 2017, Variational lossy autoencoder"
    )
    heading: ClassVar[str] = "prior"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": _QUICK | {"latent_size": 4}, "full": {}}

    @property
    def variants(self) -> Sequence[str]:
        return ["standard normal", "mixture of 50", "VampPrior of 100", "autoregressive flow"]

    def config(self, variant: str) -> Config:
        prior = {
            "standard normal": priors.StandardNormal(),
            "mixture of 50": priors.MixtureOfNormals(num_components=50),
            "VampPrior of 100": priors.VampPrior(num_pseudo_inputs=100),
            "autoregressive flow": priors.AutoregressiveFlow(),
        }
        return self.base(model__prior=prior[variant])

    def finding(self, means: Mapping[str, Row]) -> str:
        best = _best(means)
        return (
            f"The best prior is the {best}: log p(x) {means[best]['log_likelihood']:.2f} nats, against "
            f"{means['standard normal']['log_likelihood']:.2f} with N(0, I)."
        )

    def paragraph(self, means: Mapping[str, Row]) -> str:
        kl = ", ".join(f"{name} {row['marginal_kl']:.2f}" for name, row in means.items())
        return (
            "A prior that learns comes nearer to the aggregate posterior q(z), the only place where it can be better "
            f"than N(0, I). What is left of KL(q(z) to p(z)): {kl} nats."
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class KlSchedules(_Variants):
    """Posterior collapse with a decoder that does not need z, and what is done against it."""

    title: ClassVar[str] = "Posterior collapse, and its cures"
    source: ClassVar[str] = (
        "Bowman et al. 2016, Generating sentences from a continuous space; Fu et al. 2019, Cyclical annealing "
        "schedule; Kingma et al. 2016 (free bits); Gulrajani et al. 2017, PixelVAE"
    )
    heading: ClassVar[str] = "objective"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"num_epochs": 30, "num_samples": 100}, "full": {}}

    data: str = "digits"
    latent_size: int = 8
    hidden: tuple[int, ...] = (128,)
    num_epochs: int = 200

    @property
    def setting(self) -> str:
        return (
            f"{'-'.join(map(str, self.hidden))}-{self.latent_size}, tanh; autoregressive decoder, but for the first row"
        )

    @property
    def variants(self) -> Sequence[str]:
        return ["independent pixels", "constant weight", "linear warm-up", "cyclic", "free bits", "weight 0.5"]

    def config(self, variant: str) -> Config:
        steps = self.num_epochs * 15  # about: of 1,437 images, 100 at a time
        objective = {
            "linear warm-up": objectives.SGVB_B(kl_schedule=schedules.Linear(num_steps=steps // 2)),
            "cyclic": objectives.SGVB_B(kl_schedule=schedules.Cyclic(num_steps=steps)),
            "free bits": objectives.FreeBits(free_nats=0.5),
            "weight 0.5": objectives.SGVB_B(kl_weight=0.5),
        }.get(variant, objectives.SGVB_B())
        strong = likelihoods.AutoregressiveBernoulli(filters=32, num_layers=3)
        return self.base(
            objective=objective,
            model__network=networks.MLP(hidden=self.hidden),
            model__likelihood=likelihoods.Bernoulli() if variant == "independent pixels" else strong,
        )

    def finding(self, means: Mapping[str, Row]) -> str:
        best, plain = _best(means), means["constant weight"]
        used = max(means, key=lambda name: means[name]["mutual_information"] if name != "independent pixels" else -1.0)
        return (
            f"With an autoregressive decoder the plain ELBO leaves {plain['mutual_information']:.2f} nats of mutual "
            f"information in z (log p(x) {plain['log_likelihood']:.2f}); {used} keeps "
            f"{means[used]['mutual_information']:.2f} (log p(x) {means[used]['log_likelihood']:.2f}). The highest "
            f"log p(x) is that of {best}: {means[best]['log_likelihood']:.2f}."
        )

    def paragraph(self, means: Mapping[str, Row]) -> str:
        rates = ", ".join(f"{name} {row['rate']:.2f}" for name, row in means.items())
        return (
            "A decoder that sees the pixels before each pixel explains the image without z, and each nat of rate has "
            "to be earned: early in training it is not, and the posterior falls onto the prior. The cures keep the "
            "price of z low until the decoder has learned to use it, or for good. They buy a used code; whether they "
            f"buy log p(x) the table tells. Rates: {rates} nats."
        )
