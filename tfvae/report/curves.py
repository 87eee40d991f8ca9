"""The curves of a training run, from TensorBoard's event files."""

import dataclasses
import glob
import os
from collections.abc import Mapping, Sequence

_SPLITS = ("train", "validation")
_MOST_POINTS = 400  # of one line: more would not be seen

Line = Sequence[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Curve:
    """One chart over optimizer steps.

    Attributes:
      name: what is drawn.
      lines: name of the line -> (step, value in nats).
    """

    name: str
    lines: Mapping[str, Line]


def training_curves(logs: str) -> list[Curve]:
    """ELBO (where it was not logged, the loss), rate and distortion of each split; none where there are no logs.

    Args:
      logs: the folder that holds `train` and `validation`.
    """
    tags = ("elbo", "loss", "rate", "distortion")
    found = {split: read_scalars(os.path.join(logs, split), tags) for split in _SPLITS}
    names = ["elbo" if any("elbo" in scalars for scalars in found.values()) else "loss", "rate", "distortion"]
    curves = [Curve(name, {s: thinned(scalars[name]) for s, scalars in found.items() if name in scalars})
              for name in names]  # fmt: skip
    return [curve for curve in curves if curve.lines]


def read_scalars(folder: str, tags: Sequence[str]) -> dict[str, Line]:
    """Scalars of the event files in a folder, by tag: (step, value) in order of steps.

    A run that was killed makes some steps again: the later file counts. A file that breaks off is read as far as
    it goes.

    Args:
      folder: of one of TensorBoard's runs; it need not exist.
      tags: which to read.
    """
    # TensorBoard's reader brings TensorFlow with it.
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, dict[int, float]] = {}
    # Names of event files begin with the time of their making.
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "events.out.tfevents.*"))):
        for event in EventFileLoader(path).Load():
            for value in event.summary.value:
                if value.tag in tags:
                    array = make_ndarray(value.tensor)
                    if array.size == 1:
                        found.setdefault(value.tag, {})[int(event.step)] = float(array.item())
    return {tag: sorted(points.items()) for tag, points in found.items()}


def thinned(line: Line) -> Line:
    """At most `_MOST_POINTS` points, evenly, the first and the last among them."""
    if len(line) <= _MOST_POINTS:
        return line
    last = len(line) - 1
    return [line[round(i * last / (_MOST_POINTS - 1))] for i in range(_MOST_POINTS)]
