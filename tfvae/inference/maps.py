"""Maps of codes: posterior means brought to two dimensions, as a picture coloured by labels.

To add one, write a function (codes `[n, latent_size]`, seed) -> `Plane` below the others and decorate it.
"""

import dataclasses
import importlib
import io
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tfvae.errors import InputError
from tfvae.evaluation.feature_space import one_thread
from tfvae.files import check_file, npz, write_atomically
from tfvae.inference.codes import Codes

_MOST_COLOURS = 20  # labels that have a colour of their own; more share a scale
_PERPLEXITY = 30.0  # of t-SNE: about as many neighbours count; fewer where there are few examples
_FEWEST = 5  # examples that a map needs


@dataclasses.dataclass(frozen=True)
class Plane:
    """Points of a map.

    Attributes:
      points: float64 `[n, 2]`.
      method: the name of the map, for its title.
      axes: what the two directions are; empty where they mean nothing.
    """

    points: np.ndarray
    method: str
    axes: tuple[str, str] = ("", "")


MAPS: dict[str, Callable[[np.ndarray, int], Plane]] = {}


def _map(function: Callable[[np.ndarray, int], Plane]) -> Callable[[np.ndarray, int], Plane]:
    MAPS[function.__name__] = function
    return function


@_map
def pca(codes: np.ndarray, seed: int) -> Plane:
    """The two directions in which the codes vary most."""
    from sklearn.decomposition import PCA  # slow to import, as is all of scikit-learn

    del seed  # nothing is drawn
    fitted = PCA(min(2, codes.shape[1]), svd_solver="full").fit(codes)
    points = np.zeros((len(codes), 2))  # one latent has one direction
    points[:, : fitted.n_components_] = fitted.transform(codes)
    shares = np.zeros(2)
    shares[: fitted.n_components_] = np.nan_to_num(fitted.explained_variance_ratio_)
    first, second = (f"component {i + 1}: {share:.0%} of the variance" for i, share in enumerate(shares))
    return Plane(points, "PCA", (first, second))


@_map
def tsne(codes: np.ndarray, seed: int) -> Plane:
    """Keeps neighbours together (van der Maaten & Hinton 2008); distances between groups say little."""
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(codes) - 1) / 3)
    # Started from the principal components, which keeps the large structure. With less than two there are none.
    start = "pca" if codes.shape[1] > 1 else "random"
    made = TSNE(2, perplexity=perplexity, init=start, random_state=seed % 2**32).fit_transform(codes)
    return Plane(np.asarray(made, np.float64), "t-SNE")


@_map
def umap(codes: np.ndarray, seed: int) -> Plane:
    """Keeps neighbours together, by a graph of them (McInnes et al. 2018)."""
    try:
        package: Any = importlib.import_module("umap")
    except ImportError as error:
        others = " or ".join(name for name in MAPS if name != "umap")
        raise InputError(
            f"--map: received 'umap', which needs the package umap-learn (pip install umap-learn), expected {others} "
            "without it"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a seed costs it its threads
        made = package.UMAP(n_components=2, random_state=seed % 2**32).fit_transform(codes)
    return Plane(np.asarray(made, np.float64), "UMAP")


def check_map(method: str, path: str) -> None:
    """Raises `InputError` for a map that there is none of, or a file that is neither `.png` nor `.npz`."""
    if method not in MAPS:
        raise InputError(f"--map: received {method!r}, expected one of: {', '.join(MAPS)}")
    suffix = os.path.splitext(path)[1]
    if suffix not in (".png", ".npz"):
        raise InputError(f"--output: received {path!r}, expected a file that ends in .png or .npz for a map")
    check_file(path, flag="--output", suffix=suffix)


def write(codes: Codes, method: str, path: str, *, what: str, seed: int = 0) -> Plane:
    """Writes a map of codes.

    Args:
      codes: of the examples; at least five.
      method: one of `MAPS`.
      path: `.png`, a picture, or `.npz`: `points` `[n, 2]`, `index`, and `label` and `name` where there are some.
      what: the examples, for the title.
      seed: of t-SNE and UMAP.

    Raises:
      InputError: for what cannot be had.
    """
    check_map(method, path)
    if len(codes.z) < _FEWEST:
        raise InputError(f"--input: received {len(codes.z)} examples, expected at least {_FEWEST} for a map")
    with one_thread():  # sums in one order, so that a seed gives the same points
        plane = MAPS[method](codes.z.astype(np.float64), seed)
    if path.endswith(".npz"):
        write_atomically(path, npz({"points": plane.points, **codes.examples.columns()}))
        return plane
    shown = f"{len(codes.z):,}" if len(codes.z) == codes.total else f"{len(codes.z):,} of {codes.total:,}"
    title = f"{plane.method} of the posterior means of {shown} examples: {what}"
    write_atomically(path, picture(plane, codes.examples.labels, codes.label_names, title=title))
    return plane


def picture(plane: Plane, labels: np.ndarray | None, label_names: tuple[str, ...] = (), *, title: str) -> bytes:
    """A map as a PNG file, each label in its colour.

    Args:
      plane: the points.
      labels: integers `[n]`, or None.
      label_names: names of the labels 0, 1, ...; empty where none are known.
      title: of the picture.
    """
    stream = io.BytesIO()
    # Without the version of matplotlib the same points give the same bytes.
    draw(plane, labels, label_names, title=title).savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return stream.getvalue()


def draw(plane: Plane, labels: np.ndarray | None, label_names: tuple[str, ...] = (), *, title: str) -> Any:
    """A map as a matplotlib figure: see `picture`."""
    # matplotlib takes half a second to load, which other uses of this package need not pay. A figure made without
    # pyplot needs no display.
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 7.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, parse_math=False, fontsize=10, wrap=True)  # a dollar sign is one
    axes.set_xlabel(plane.axes[0])
    axes.set_ylabel(plane.axes[1])
    axes.set_aspect("equal", adjustable="datalim")  # a distance is as long in either direction
    if not any(plane.axes):
        axes.set(xticks=[], yticks=[])  # no unit, no direction
    style: dict[str, Any] = {"s": float(np.clip(20_000 / len(plane.points), 4, 30)), "linewidths": 0, "alpha": 0.8}
    values = np.zeros(0, int) if labels is None else np.unique(labels)
    if not len(values):
        axes.scatter(*plane.points.T, color="#0b62b0", **style)
    elif len(values) > _MOST_COLOURS:
        figure.colorbar(
            axes.scatter(plane.points[:, 0], plane.points[:, 1], c=labels, cmap="viridis", **style), label="label"
        )
    else:
        colours = matplotlib.colormaps["tab10" if len(values) <= 10 else "tab20"]
        for number, value in enumerate(values):
            name = label_names[value] if value < len(label_names) else str(value)
            axes.scatter(
                *plane.points[labels == value].T, color=colours(number), label=name.replace("$", r"\$"), **style
            )
        figure.legend(loc="outside right upper", frameon=False, markerscale=2, fontsize=9, title="label")
    return figure
