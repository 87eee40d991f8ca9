"""Studies of one part each: the size of z, q(z|x), p(z), and what keeps a strong decoder from leaving z unused."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tfvae import likelihoods, networks, objectives, posteriors, priors, schedules
from tfvae.config import Config
from tfvae.studies.base import Row
from tfvae.studies.variants import _Variants

_STEPS_PER_EPOCH = {"digits": 14, "mnist": 590}  # of batches of 100
_SMALL = {"hidden": (200,), "num_epochs": 20, "num_samples": 200}
_QUICK = {"data": "digits", "hidden": (128,), "num_epochs": 60, "num_samples": 200, "seeds": (0,)}


def _range(means: Mapping[str, Row], name: str) -> float:
    values = [row[name] for row in means.values()]
    return max(values) - min(values)


def _best(means: Mapping[str, Row]) -> str:
    return max(means, key=lambda name: means[name]["log_likelihood"])


_INDEPENDENT, _WARM = "independent pixels", "independent pixels, warm-up"
_TIE = 0.1  # nats: less is the seed's


@dataclasses.dataclass(kw_only=True, slots=True)
class LatentSize(_Variants):
    """The same model with 2 to 50 latents: latents that are not needed are not used."""

    title: ClassVar[str] = "How many latents"
    source: ClassVar[str] = "Kingma & Welling 2013, section 5: superfluous latents do not overfit"
    heading: ClassVar[str] = "latents"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": _QUICK | {"sizes": (2, 4, 8, 16)}, "full": {}}

    sizes: tuple[int, ...] = (2, 5, 10, 20, 50)

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
        found = f"log p(x) is best with {best} latents ({means[best]['log_likelihood']:.2f} nats)"
        if best == last:
            return f"{found}, of which {means[last]['active_units']:.0f} are active."
        return (
            f"{found}; of {last} {means[last]['active_units']:.0f} are active and log p(x) is "
            f"{means[last]['log_likelihood']:.2f}."
        )

    def paragraph(self, means: Mapping[str, Row]) -> str:
        last, best = list(means)[-1], _best(means)
        lost = means[best]["log_likelihood"] - means[last]["log_likelihood"]
        place = "is the best of the table" if best == last else f"is {lost:.2f} nats below the best of the table"
        return (
            f"A latent that the decoder does not use costs nothing: its posterior is the prior. Of {last} latents "
            f"{means[last]['active_units']:.0f} are active (variance of the posterior mean above 0.01), and the model "
            f"{place}."
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
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": _QUICK | {"latent_size": 4}, "full": _SMALL}

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
            f"The gap between log p(x), itself a lower bound, and the ELBO is what the posterior costs at least: "
            f"{gaps} nats. Over the families the "
            f"ELBO has a range of {_range(means, 'elbo'):.2f} nats and log p(x) one of "
            f"{_range(means, 'log_likelihood'):.2f}: the decoder learns with its posterior, and makes do with it."
        )


@dataclasses.dataclass(kw_only=True, slots=True)
class Priors(_Variants):
    """p(z) fixed, and learned: a mixture, pseudo-inputs, a flow."""

    title: ClassVar[str] = "Priors"
    source: ClassVar[str] = (
        "Tomczak & Welling 2018, VAE with a VampPrior; Chen et al. 2017, Variational lossy autoencoder"
    )
    heading: ClassVar[str] = "prior"
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": _QUICK | {"latent_size": 4}, "full": _SMALL}

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
            f"The highest log p(x) is that with the {best} prior: {means[best]['log_likelihood']:.2f} nats, against "
            f"{means['standard normal']['log_likelihood']:.2f} with N(0, I)."
        )

    def paragraph(self, means: Mapping[str, Row]) -> str:
        pairs = [f"{name} {row['rate']:.2f} and {row['distortion']:.2f}" for name, row in means.items()]
        return (
            "The best prior of an encoder is its aggregate posterior q(z); one that learns can come nearer to it than "
            f"N(0, I), and what it saves of the rate the model may spend on distortion. Rate and distortion: "
            f"{'; '.join(pairs)} nats."
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
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"num_epochs": 20, "num_samples": 100}, "full": {}}

    data: str = "digits"
    latent_size: int = 8
    num_epochs: int = 60

    @property
    def setting(self) -> str:
        return f"convolutional networks, {self.latent_size} latents; autoregressive decoder, but for the first row"

    @property
    def variants(self) -> Sequence[str]:
        return [_INDEPENDENT, _WARM, "constant weight", "linear warm-up", "cyclic", "free bits", "weight 0.5"]

    def config(self, variant: str) -> Config:
        half = self.num_epochs * _STEPS_PER_EPOCH[self.data] // 2
        warm_up = objectives.SGVB_B(kl_schedule=schedules.Linear(num_steps=half))
        objective = {
            _WARM: warm_up,
            "linear warm-up": warm_up,
            "cyclic": objectives.SGVB_B(kl_schedule=schedules.Cyclic(num_steps=0)),
            "free bits": objectives.FreeBits(free_nats=0.5),
            "weight 0.5": objectives.SGVB_B(kl_weight=0.5),
        }.get(variant, objectives.SGVB_B())
        strong = likelihoods.AutoregressiveBernoulli(filters=32, num_layers=3)
        return self.base(
            objective=objective,
            model__network=networks.Convolutional(),
            model__likelihood=likelihoods.Bernoulli() if variant.startswith(_INDEPENDENT) else strong,
        )

    def finding(self, means: Mapping[str, Row]) -> str:
        strong = self._strong(means)
        used = max(strong, key=lambda name: strong[name]["rate"])
        best, plain = _best(strong), means["constant weight"]
        highest = f"{strong[best]['log_likelihood']:.2f} nats"
        by = "the plain ELBO's" if best == "constant weight" else f"that of {best}"
        beside = "" if best == "constant weight" else f", of the plain ELBO {plain['log_likelihood']:.2f}"
        return (
            f"With an autoregressive decoder the plain ELBO pays {plain['rate']:.2f} nats of rate (independent pixels "
            f"{means[_INDEPENDENT]['rate']:.2f}); {used} pays {strong[used]['rate']:.2f}. The highest log p(x) "
            f"with that decoder is {by}: {highest}{beside}."
        )

    def _strong(self, means: Mapping[str, Row]) -> dict[str, Row]:
        """Those with an autoregressive decoder."""
        return {name: row for name, row in means.items() if not name.startswith(_INDEPENDENT)}

    def paragraph(self, means: Mapping[str, Row]) -> str:
        plain, strong = means["constant weight"], self._strong(means)
        rates = ", ".join(f"{name} {row['rate']:.2f}" for name, row in means.items())
        gains = {name: row["log_likelihood"] - plain["log_likelihood"] for name, row in strong.items()}
        higher = [f"{name} by {gain:.2f}" for name, gain in gains.items() if gain > _TIE]
        active = f"{plain['active_units']:.0f} of {self.latent_size} latents"
        if plain["active_units"] < 0.25 * self.latent_size:
            collapsed = "Here it did: hardly a latent is active."
            if means[_INDEPENDENT]["rate"] < 0.1 < means[_WARM]["rate"]:
                collapsed += (
                    " So it did with independent pixels, which need z: with these networks the KL wins before they "
                    "have learned to use it."
                )
        elif plain["active_units"] < self.latent_size:
            collapsed = f"Here it did so in part: {active} stay active."
        else:
            collapsed = f"Here {active} stay active."
        return (
            "A decoder that sees the pixels before each pixel can explain the image without z, and each nat of rate "
            f"has to be earned: where it is not, the posterior falls onto the prior. {collapsed} The cures keep the "
            "price of z low until the decoder has learned to use it, or for good. Rates: "
            f"{rates} nats. Of the cures {len(higher)} of {len(strong) - 1} end with a log p(x) that is above the "
            f"plain ELBO's by more than {_TIE} nats{': ' + ', '.join(higher) if higher else ''}."
        )
