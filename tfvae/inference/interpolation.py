"""From one example to another through the latents: straight, on a sphere, or along the decoder's own geodesic."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras
from tqdm import trange

from tfvae.errors import InputError
from tfvae.inference.model import Model
from tfvae.inference.sheet import Sheet

_GEODESIC_STEPS = 200
_GEODESIC_RATE = 0.05  # of Adam, in units of the coordinates of z


def interpolation(
    model: Model,
    start: np.ndarray,
    end: np.ndarray,
    start_labels: np.ndarray | None = None,
    end_labels: np.ndarray | None = None,
    *,
    path: str = "linear",
    columns: int = 11,
) -> Sheet:
    """Means of p(x|z) on the ways between pairs of examples.

    Args:
      model: the model.
      start, end: examples `[n, *item_shape]`, of which the means of q(z|x) are the ends.
      start_labels, end_labels: of a conditional model; the first half of each way has the label of its start.
      path: a name in `PATHS`.
      columns: items of a way, its ends among them.

    Raises:
      InputError: for a path that there is none of.

    Returns:
      a sheet with a row for each pair.
    """
    if path not in PATHS:
        raise InputError(f"--path: received {path!r}, expected one of: {', '.join(PATHS)}")
    ends = [
        model.space.y(model.rows("encode", item=items, labels=labels)["mean"]).numpy()
        for items, labels in ((start, start_labels), (end, end_labels))
    ]
    labels = None
    if model.num_labels and start_labels is not None and end_labels is not None:
        late = np.arange(columns) >= columns / 2
        labels = np.where(late, end_labels[:, None], start_labels[:, None])
    y = PATHS[path](model, ends[0], ends[1], columns, labels)
    z = model.space.z(tf.constant(y.reshape(-1, y.shape[-1]), tf.float32)).numpy()
    return Sheet(model.decode(z, None if labels is None else labels.ravel()), columns, {"z": z})


def linear(start: np.ndarray, end: np.ndarray, columns: int) -> np.ndarray:
    """Straight ways, `[n, columns, size]`, between `[n, size]` each."""
    share = np.linspace(0.0, 1.0, columns)[None, :, None]
    return (1.0 - share) * start[:, None] + share * end[:, None]


def spherical(start: np.ndarray, end: np.ndarray, columns: int) -> np.ndarray:
    """Ways around the origin (White 2016, section 2.1): lengths stay between those of the ends, as draws from N(0, I).

    Between vectors on one line through the origin the way is straight.
    """
    share = np.linspace(0.0, 1.0, columns)[None, :, None]
    lengths = [np.linalg.norm(one, axis=-1, keepdims=True) for one in (start, end)]
    cosine = np.sum(start * end, axis=-1, keepdims=True) / np.maximum(lengths[0] * lengths[1], 1e-12)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))[:, None]
    flat = np.sin(angle) < 1e-4
    sine = np.where(flat, 1.0, np.sin(angle))
    # sin((1 - t) a) / sin(a) z_0 + sin(t a) / sin(a) z_1
    around = (np.sin((1.0 - share) * angle) * start[:, None] + np.sin(share * angle) * end[:, None]) / sine
    return np.where(flat, linear(start, end, columns), around)


def geodesic(
    model: Model, start: np.ndarray, end: np.ndarray, columns: int, labels: np.ndarray | None = None
) -> np.ndarray:
    """Ways of least energy sum_t |g(z_{t+1}) - g(z_t)|^2 over the means g of p(x|z) (Shao et al. 2018, algorithm 1).

    They go where examples change evenly, and so around regions that the decoder knows nothing of. Found by Adam from
    the straight way; the best one met is kept.

    Args:
      model: the model.
      start, end: coordinates of z, `[n, size]`.
      columns: points of a way.
      labels: `[n, columns]`, of a conditional model.
    """
    first = linear(start, end, columns).astype(np.float32)
    if columns < 3:
        return first
    inner = tf.Variable(first[:, 1:-1])
    optimizer = tf_keras.optimizers.legacy.Adam(_GEODESIC_RATE)
    given = None if labels is None else tf.reshape(labels, [-1])

    @tf.function(autograph=False)
    def energies(inner: tf.Tensor) -> tf.Tensor:
        y = tf.concat([first[:, :1], inner, first[:, -1:]], axis=1)
        z = model.space.z(tf.reshape(y, [-1, first.shape[-1]]))
        means = tf.reshape(model.tensors("decode", z=z, labels=given)["mean"], [*first.shape[:2], -1])
        return tf.reduce_sum((means[:, 1:] - means[:, :-1]) ** 2, axis=[1, 2])

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            energy = energies(inner)
        gradient = tape.gradient(energy, inner)
        if gradient is None:  # the mean of codes without order is one of them
            raise InputError("--path: received geodesic, expected linear or spherical: the means of p(x|z) do not move")
        optimizer.apply_gradients([(gradient, inner)])
        return energy

    best, least = inner.numpy(), np.full(len(first), np.inf)
    for number in trange(_GEODESIC_STEPS + 1, desc="geodesic", unit=" steps", disable=None):
        before = inner.numpy()
        energy = (step() if number < _GEODESIC_STEPS else energies(inner)).numpy()
        better = energy < least
        best[better], least[better] = before[better], energy[better]
    return np.concatenate([first[:, :1], best, first[:, -1:]], axis=1)


_Path = Callable[[Model, np.ndarray, np.ndarray, int, np.ndarray | None], np.ndarray]
PATHS: dict[str, _Path] = {
    "linear": lambda model, start, end, columns, labels: linear(start, end, columns),
    "spherical": lambda model, start, end, columns, labels: spherical(start, end, columns),
    "geodesic": geodesic,
}
