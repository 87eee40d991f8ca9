"""z as a controller: directions that add or remove an attribute, and how well they do."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfvae.errors import InputError
from tfvae.inference.model import Model
from tfvae.inference.sheet import Sheet

METHODS = ("means", "classifier")


@dataclasses.dataclass(frozen=True)
class Attribute:
    """A direction over the coordinates of z (`Model.space`).

    Attributes:
      name: of the attribute, for messages.
      direction: `[size of y]`: a step of 1 along it goes as far as from the mean of the codes without the attribute to
        that of those with it.
    """

    name: str
    direction: np.ndarray


def codes(model: Model, x: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """The means of q(z|x) in coordinates without limits, float32 `[n, size of y]`."""
    return model.space.y(model.rows("encode", item=x, labels=labels, progress="encoding")["mean"]).numpy()


def find_attribute(
    with_it: np.ndarray, without: np.ndarray, *, name: str = "attribute", method: str = "means"
) -> Attribute:
    """The direction of an attribute.

    Args:
      with_it, without: `codes` of examples that have it and of others, `[n, size]` and `[m, size]`.
      name: of the attribute.
      method: `means`, from the one mean to the other (Larsen et al. 2016, section 4.2), or `classifier`, the normal of
        a logistic regression's plane, which leaves alone what only goes along with the attribute.

    Raises:
      InputError: for a method that there is none of, or no examples on a side.
    """
    if method not in METHODS:
        raise InputError(f"--direction: received {method!r}, expected one of: {', '.join(METHODS)}")
    if not len(with_it) or not len(without):
        which = "with" if not len(with_it) else "without"
        raise InputError(
            f"--attribute: received {name} for which no examples {which} it are known, expected both kinds"
        )
    gap = with_it.mean(axis=0) - without.mean(axis=0)
    if method == "means":
        return Attribute(name, gap)
    from sklearn.linear_model import LogisticRegression  # slow to import

    y = np.concatenate([with_it, without]).astype(np.float64)
    scale = np.maximum(y.std(axis=0), 1e-6)
    has = np.arange(len(y)) < len(with_it)
    normal = LogisticRegression(max_iter=1000, class_weight="balanced").fit(y / scale, has).coef_[0] / scale
    # As long as the part of the gap that lies along it.
    return Attribute(name, normal * (gap @ normal) / max(float(normal @ normal), 1e-12))


def steer(
    model: Model,
    x: np.ndarray,
    attribute: Attribute,
    labels: np.ndarray | None = None,
    *,
    strengths: np.ndarray | tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5),
) -> Sheet:
    """Means of p(x|z) at the examples' codes, moved along an attribute.

    Args:
      model: the model.
      x: examples `[n, *item_shape]`.
      attribute: the direction.
      labels: of a conditional model.
      strengths: how far, in units of the direction.

    Returns:
      a sheet with a row for each example: the example itself, then one item for each strength.
    """
    strengths = np.asarray(strengths, np.float32)
    y = codes(model, x, labels)[:, None] + strengths[None, :, None] * attribute.direction
    z = model.space.z(tf.constant(y.reshape(-1, y.shape[-1]), tf.float32)).numpy()
    given = None if labels is None or not model.num_labels else np.repeat(labels, len(strengths))
    made = model.decode(z, given).reshape(len(x), len(strengths), *model.item_shape)
    items = np.concatenate([x[:, None], made], axis=1).reshape(-1, *model.item_shape)
    return Sheet(items, len(strengths) + 1, {"z": z, "strengths": strengths})


def judge(
    model: Model,
    sheet: Sheet,
    learned: tuple[np.ndarray, dict[str, np.ndarray]],
    attribute: str,
    value: int,
    *,
    unseen: tuple[np.ndarray, dict[str, np.ndarray]] | None = None,
) -> dict[str, float | str]:
    """How often a classifier that knows nothing of the model sees the attribute change while the rest stays.

    Args:
      model: the model.
      sheet: of `steer`, for examples without the attribute; the last strength of each row is judged.
      learned: training examples x `[n, *item_shape]`, and of each attribute its values, integers `[n]`.
      attribute: the name of the one that was steered.
      value: the value that it should have now.
      unseen: examples that were held out of `learned`, in its form; None: none were.

    Returns:
      `attribute_before` and `attribute_after`: the shares of reconstructions and of steered items that are seen to have
      it; `rest_kept`: the share of steered items in which each other attribute is seen as in the reconstruction, where
      there are others; `classifier_accuracy`: the share of `unseen` examples in which the attribute is seen as it is,
      where there are some; and `method`.
    """
    from sklearn.neural_network import MLPClassifier  # slow to import

    x, values = learned
    rows = sheet.items.reshape(-1, sheet.columns, model.dimensions)
    nearest = int(np.argmin(np.abs(sheet.arrays["strengths"])))
    before, after = rows[:, 1 + nearest], rows[:, -1]
    changed: dict[str, np.ndarray] = {}
    right: dict[str, float] = {}
    seen: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, truth in values.items():
        network = MLPClassifier((64,), random_state=0, early_stopping=_can_stop_early(truth), max_iter=100)
        network.fit(x.reshape(len(x), -1), truth)
        seen[name] = network.predict(before), network.predict(after)
        changed[name] = seen[name][0] != seen[name][1]
        if unseen is not None:
            right[name] = float(np.mean(network.predict(unseen[0].reshape(len(unseen[0]), -1)) == unseen[1][name]))
    others = [name for name in values if name != attribute]
    strength = float(sheet.arrays["strengths"][-1])
    found: dict[str, float | str] = {
        "attribute": attribute,
        "strength": strength,
        "attribute_before": float(np.mean(seen[attribute][0] == value)),
        "attribute_after": float(np.mean(seen[attribute][1] == value)),
    }
    if others:
        found["rest_kept"] = float(np.mean([~changed[name] for name in others]))
    if unseen is not None:
        found["classifier_accuracy"] = right[attribute]
    found["method"] = (
        f"{len(rows)} examples without the attribute, moved by {strength:g} of the way between the means. A network "
        f"with one hidden layer that learned {', '.join(values)} from {len(x)} training examples judges the means of "
        f"p(x|z) before and after. " + (
            "rest_kept: the mean over the other attributes of the share that is seen unchanged."
            if others else "The data know no other attribute, so that nothing is said of the rest."
        ) + (
            f" classifier_accuracy: of this network, on {len(unseen[0])} examples that were held out of the direction "
            "and of the network; without --input the moved ones are among them." if unseen is not None else ""
        )
    )  # fmt: skip
    return found


def _can_stop_early(truth: np.ndarray) -> bool:
    """Whether there are enough examples to set a tenth aside, for which scikit-learn wants two of each class."""
    return bool(len(truth) >= 1000 and np.unique(truth, return_counts=True)[1].min() >= 2)
