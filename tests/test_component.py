import dataclasses

import pytest

from tfvae import baselines, kinds, likelihoods, networks, objectives, posteriors, priors, schedules
from tfvae.component import Component, FieldError, bounded, choice
from tfvae.config import validate
from tfvae.errors import InputError


class SpecialThing(Component):
    """A kind of these tests."""

    __slots__ = ()


class _Shared(SpecialThing):
    """What components share is none itself."""

    __slots__ = ()


@dataclasses.dataclass(kw_only=True, slots=True)
class HTTPThing2D(_Shared):
    size: int = bounded(3, low=1, high=5)
    share: float = bounded(0.5, low=0.0, high=1.0, open_low=True)
    kinds: str = choice("one", "two")

    def validate(self):
        if self.kinds == "two" and self.size != 2:
            raise FieldError("size", self.size, "2 for two")


@dataclasses.dataclass(kw_only=True, slots=True)
class PlainThing(SpecialThing):
    inner: SpecialThing = dataclasses.field(default_factory=HTTPThing2D)


def test_kinds_and_tags_are_names_in_snake_case():
    assert SpecialThing.kind == HTTPThing2D.kind == "special_thing"
    assert (SpecialThing.tag, HTTPThing2D.tag, PlainThing.tag) == ("", "http_thing2_d", "plain_thing")
    assert kinds.Posterior.kind == "posterior" and posteriors.FullNormal.tag == "full_normal"
    assert objectives.SGVB_B.tag == "sgvb_b" and networks.MLP.tag == "mlp"


def test_a_component_registers_once_as_the_class_that_stays():
    """`dataclass(slots=True)` makes each class a second time."""
    assert SpecialThing.registry == {"http_thing2_d": HTTPThing2D, "plain_thing": PlainThing}
    for tag, cls in SpecialThing.registry.items():
        assert cls.from_tag(tag, path="x") is cls and type(cls()) is cls and "__slots__" in vars(cls)
    with pytest.raises(AttributeError):
        HTTPThing2D().sise = 3


@pytest.mark.parametrize(
    ("kind", "module"),
    [
        (kinds.Posterior, posteriors),
        (kinds.Prior, priors),
        (kinds.Likelihood, likelihoods),
        (kinds.Network, networks),
        (kinds.Objective, objectives),
        (schedules.Schedule, schedules),
    ],
)
def test_the_packages_components_are_those_of_their_modules(kind, module):
    assert kind.registry
    for tag, cls in kind.registry.items():
        place = baselines if cls.__module__.startswith("tfvae.baselines.") else module
        assert getattr(place, cls.__name__) is cls and cls.tag == tag and issubclass(cls, kind)
        assert cls.registry is kind.registry and dataclasses.is_dataclass(cls)


def test_kinds_have_registries_of_their_own():
    all_kinds = (kinds.Posterior, kinds.Prior, kinds.Likelihood, kinds.Network, kinds.Objective, schedules.Schedule)
    assert len({id(kind.registry) for kind in all_kinds}) == len(all_kinds)
    assert Component.registry == {}


@pytest.mark.parametrize("tag", ["plain", None, "", "_Shared", 3])
def test_an_unknown_tag_lists_the_known(tag):
    says = f"^model.thing: unknown special_thing {tag!r}, expected one of: http_thing2_d, plain_thing$"
    with pytest.raises(InputError, match=says):
        SpecialThing.from_tag(tag, path="model.thing")


def test_bounds_and_choices_are_defaults_and_rules():
    thing = HTTPThing2D()
    assert (thing.size, thing.share, thing.kinds) == (3, 0.5, "one")
    validate(thing)
    for good in ({"size": 1}, {"size": 5}, {"share": 1.0}, {"kinds": "two", "size": 2}):
        validate(HTTPThing2D(**good))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"size": 0}, "inner.size: received 0, expected a number at least 1 and at most 5"),
        ({"size": 6}, "inner.size: received 6, expected a number at least 1 and at most 5"),
        ({"share": 0.0}, "inner.share: received 0.0, expected a number above 0 and at most 1"),
        ({"kinds": "three"}, "inner.kinds: received 'three', expected one of: one, two"),
        ({"kinds": "two"}, "inner.size: received 3, expected 2 for two"),
    ],
)
def test_bad_fields_of_a_part_are_named(fields, says):
    with pytest.raises(InputError) as error:
        validate(PlainThing(inner=HTTPThing2D(**fields)))
    assert str(error.value) == says


def test_a_field_error_keeps_its_parts():
    error = FieldError("size", 3, "2 for two")
    assert (error.field, error.received, error.expected) == ("size", 3, "2 for two")
    assert str(error) == "size: received 3, expected 2 for two" and isinstance(error, ValueError)


def test_input_errors_are_value_errors():
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (posteriors, "unknown posterior 'Norml', expected one of: CouplingFlow, Dirichlet, "),
        (priors, "unknown prior 'Norml', expected one of: AutoregressiveFlow, Beta, "),
        (likelihoods, "unknown likelihood 'Norml', expected one of: AutoregressiveBernoulli, Bernoulli, "),
        (networks, "unknown network 'Norml', expected one of: BayesianMLP, Convolutional, "),
        (objectives, "unknown objective 'Norml', expected one of: BetaTCVAE, Capacity, "),
    ],
)
def test_a_part_misspelled_in_a_config_file_lists_what_exists(module, says):
    with pytest.raises(AttributeError) as error:
        module.Norml  # noqa: B018
    assert str(error.value).startswith(says)


def test_a_part_of_another_package_is_listed_with_it():
    with pytest.raises(AttributeError, match=r", SGVB_B, baselines\.Autoencoder, baselines\.WakeSleep$"):
        objectives.Autoencoder  # noqa: B018
