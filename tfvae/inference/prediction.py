"""What `tools/predict.py` does: a signature over an input into a file, maps of codes, and rankings by oddness."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tfvae.errors import InputError
from tfvae.files import check_folder
from tfvae.inference import anomaly, codes, columns, maps, projector
from tfvae.inference.inputs import Examples
from tfvae.inference.model import Model
from tfvae.inference.sheet import can_draw


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for; the fields are flags of `tools/predict.py`.

    Attributes:
      output: a file; None: `<signature>.npz`, of a map `map.png`, where the current folder is.
      max_examples: of a map and of the projector; other outputs hold all.
      others: as the flags say.
    """

    signature: str = "encode"
    output: str | None = None
    label: int | None = None
    seed: int = 0
    map: str | None = None
    projector: str | None = None
    max_examples: int = 2_000
    score: str | None = None

    @property
    def drawn(self) -> bool:
        """Whether codes are asked for as a map or for the projector, and not as such."""
        return self.map is not None or self.projector is not None

    @property
    def path(self) -> str:
        """The file that is written."""
        return self.output or (f"{self.signature}.npz" if self.map is None else "map.png")

    def check(self) -> None:
        """Raises `InputError` for what does not fit together, before anything is opened."""
        codes.check_signature(self.signature)
        if self.signature != "score" and self.score is not None:
            raise InputError(f"--score: received {self.score!r} with --signature={self.signature}, expected score")
        if self.score is not None and self.score not in anomaly.SCORES:
            raise InputError(f"--score: received {self.score!r}, expected one of: {', '.join(anomaly.SCORES)}")
        if self.signature != "encode" and self.drawn:
            flag = "map" if self.map is not None else "projector"
            raise InputError(
                f"--{flag}: received {getattr(self, flag)!r} with --signature={self.signature}, expected encode"
            )
        if self.map is not None:
            maps.check_map(self.map, self.path)
        elif self.projector is None or self.output is not None:
            columns.check_output(self.path)
        if self.projector is not None:
            check_folder(self.projector, flag="--projector")


def predict(
    model: Model,
    examples: Examples,
    request: Request,
    *,
    background: Model | None = None,
    reference: Callable[[], Examples] | None = None,
) -> tuple[list[str], dict[str, Any] | None]:
    """Does what is asked for, after `Request.check`.

    Args:
      model: the model.
      examples: the input.
      request: what is asked for.
      background, reference: see `anomaly.rank`.

    Returns:
      what was written, the main file first, and figures or None.
    """
    if request.signature == "score":
        return _score(model, examples, request, background, reference)
    if background is not None:
        raise InputError(f"--signature: received {request.signature!r} and a background model, expected score")
    written = []
    if request.drawn:
        chosen = codes.codes(model, examples, count=request.max_examples, label=request.label, progress=True)
        if request.map is not None:
            maps.write(chosen, request.map, request.path, what=_describe(examples), seed=request.seed)
            written.append(request.path)
        if request.projector is not None:
            files = projector.write(request.projector, chosen, model, name=_describe(examples))
            written += [os.path.join(request.projector, file) for file in files]
    if not request.drawn or (request.map is None and request.output is not None):
        codes.write(
            model, examples, request.path, name=request.signature, label=request.label, seed=request.seed, progress=True
        )
        written.insert(0, request.path)
    return written, None


def _score(
    model: Model,
    examples: Examples,
    request: Request,
    background: Model | None,
    reference: Callable[[], Examples] | None,
) -> tuple[list[str], dict[str, Any]]:
    """The table of the ranking; where items are images, beside it the picture of the oddest and the most typical."""
    score = request.score or "log_likelihood"
    ranking = anomaly.rank(
        model, examples, score=score, background=background, reference=reference, label=request.label,
        seed=request.seed, progress=True,
    )  # fmt: skip
    ranking.write(request.path)
    written = [request.path]
    if can_draw(model.item_shape):
        written.append(os.path.splitext(request.path)[0] + ".png")
        ranking.sheet(examples).write(model, written[-1])
    valid = ranking.columns["valid"]
    figures: dict[str, Any] = {
        "score": score,
        "units": "nats, the higher the odder",
        "num_examples": len(valid),
        "num_invalid": int((~valid).sum()),
        "log_likelihood_mean": float(np.mean(ranking.columns["log_likelihood"][valid], dtype=np.float64)),
        "score_mean": float(np.mean(ranking.columns["score"][valid], dtype=np.float64)),
    }
    if ranking.reference is not None:
        figures["reference_log_likelihood_mean"] = ranking.reference
    if "background" in ranking.columns:
        figures["background"] = "compressed size" if background is None else background.origin
    return written, figures


def _describe(examples: Examples) -> str:
    """The input by its source, and its split where that is one of several."""
    source = examples.split.source
    return source if examples.dataset is None else f"{source}, {examples.split.name}"
