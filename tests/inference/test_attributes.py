import numpy as np
import pytest

from tests.inference.stubs import stub_model
from tfvae.errors import InputError
from tfvae.inference.attributes import Attribute, codes, find_attribute, judge, steer

RNG = np.random.default_rng(0)
# Two attributes that go together: the second latent follows the first.
HAS = np.arange(400) < 200
CODES = RNG.normal(size=(400, 3)) + HAS[:, None] * [4.0, 0.0, 0.0]
CODES[:, 1] += 0.9 * CODES[:, 0]


def identity_model():
    """Encodes an image of three pixels to itself and back."""

    def run(name, given):
        if name == "encode":
            return {"mean": given["image"].reshape(-1, 3)}
        return {"mean": given["z"].reshape(-1, 1, 3, 1)}

    return stub_model(run, item_shape=(1, 3, 1), latent_size=3)


def images(values):
    return values.reshape(-1, 1, 3, 1).astype(np.float32)


def test_means_differ_by_the_direction():
    found = find_attribute(CODES[HAS], CODES[~HAS])
    np.testing.assert_allclose(found.direction, CODES[HAS].mean(axis=0) - CODES[~HAS].mean(axis=0))


def test_a_classifiers_normal_leaves_alone_what_only_goes_along():
    means, normal = (find_attribute(CODES[HAS], CODES[~HAS], method=m).direction for m in ("means", "classifier"))
    assert means[1] > 3.0 and abs(normal[1]) < 0.5 * abs(means[1]) and normal[0] > 1.0
    # A step of 1 goes as far along the normal as the means lie apart.
    np.testing.assert_allclose(normal @ (means - normal), 0.0, atol=1e-5)


def test_examples_are_moved_by_the_strengths():
    x = images(CODES[~HAS][:2])
    made = steer(identity_model(), x, Attribute("a", np.array([1.0, -2.0, 0.0])), strengths=(-1.0, 0.0, 2.0))
    assert made.columns == 4
    rows = made.items.reshape(2, 4, 3)
    np.testing.assert_array_equal(rows[:, 0], x.reshape(2, 3))
    for column, strength in enumerate((-1.0, 0.0, 2.0), 1):
        np.testing.assert_allclose(rows[:, column], x.reshape(2, 3) + strength * np.array([1.0, -2.0, 0.0]), rtol=1e-5)
    np.testing.assert_allclose(codes(identity_model(), x), x.reshape(2, 3), rtol=1e-6)


def test_a_judge_sees_what_changed_and_what_stayed():
    model = identity_model()
    values = RNG.normal(size=(1_000, 3))
    known = {"first": (values[:, 0] > 0).astype(int), "third": (values[:, 2] > 0).astype(int)}
    without = images(values[(known["first"] == 0) & (abs(values[:, 2]) > 0.3)][:100])
    alone = steer(model, without, Attribute("first", np.array([4.0, 0.0, 0.0])), strengths=(0.0, 1.0))
    found = judge(model, alone, (images(values), known), "first", 1)
    assert found["attribute_before"] < 0.1 and found["attribute_after"] > 0.9 and found["rest_kept"] > 0.9
    both = steer(model, without, Attribute("first", np.array([4.0, 0.0, 6.0])), strengths=(0.0, 1.0))
    spoiled = judge(model, both, (images(values), known), "first", 1)
    assert spoiled["attribute_after"] > 0.9 and spoiled["rest_kept"] < 0.7
    backwards = steer(model, without, Attribute("first", np.array([-4.0, 0.0, 0.0])), strengths=(0.0, 1.0))
    assert judge(model, backwards, (images(values), known), "first", 1)["attribute_after"] < 0.1
    only = judge(model, alone, (images(values), {"first": known["first"]}), "first", 1)
    assert "rest_kept" not in only and "nothing is said of the rest" in only["method"]


def test_a_judge_of_a_class_with_one_member():
    model, values = identity_model(), RNG.normal(size=(1_000, 3))
    sheet = steer(model, images(values[:5]), Attribute("a", np.array([1.0, 0.0, 0.0])), strengths=(0.0, 1.0))
    rare = (np.arange(1_000) == 3).astype(int)
    assert 0 <= judge(model, sheet, (images(values), {"a": rare}), "a", 1)["attribute_after"] <= 1


def test_how_well_a_judge_sees_what_it_did_not_learn_from():
    model, values = identity_model(), RNG.normal(size=(400, 3))
    truth = (values[:, 0] > 0).astype(int)
    sheet = steer(model, images(values[:5]), Attribute("a", np.array([1.0, 0.0, 0.0])), strengths=(0.0, 1.0))
    learned = images(values), {"a": truth}
    assert "classifier_accuracy" not in judge(model, sheet, learned, "a", 1)
    for seen, low, high in ((truth[:100], 0.9, 1.0), (1 - truth[:100], 0.0, 0.1)):
        found = judge(model, sheet, learned, "a", 1, unseen=(images(values[:100]), {"a": seen}))
        assert low <= found["classifier_accuracy"] <= high and "100 examples that were held out" in found["method"]


def test_directions_that_cannot_be():
    with pytest.raises(InputError, match="--direction: received 'best', expected one of: means, classifier"):
        find_attribute(CODES[HAS], CODES[~HAS], method="best")
    with pytest.raises(InputError, match="--attribute: received smile for which no examples with it are known"):
        find_attribute(CODES[:0], CODES, name="smile")
