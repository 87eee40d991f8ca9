"""How odd each example is under a model: scores that grow with oddness, and the examples in their order.

log p(x) alone misleads. Of data that it never saw a deep generative model often finds simple ones, such as smooth or
empty images, more likely than its own training data: models of CIFAR-10 give SVHN a higher log p(x) than CIFAR-10
(Nalisnick et al. 2019, Do deep generative models know what they don't know?). A density in many dimensions is highest
where hardly a draw falls. So the log-likelihood stands here beside scores that answer this: `typicality` and
`likelihood_ratio`.

To add a score, write a function of `Evidence` below the others and decorate it.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfvae.errors import InputError
from tfvae.export.module import SENTINEL
from tfvae.inference.codes import batches, outputs
from tfvae.inference.columns import Columns, writing
from tfvae.inference.complexity import code_lengths
from tfvae.inference.inputs import Examples
from tfvae.inference.model import Model
from tfvae.inference.sheet import Sheet

BACKGROUND, REFERENCE = "background", "reference"  # what a score may need


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of N examples; all in nats.

    Attributes:
      log_likelihood: estimates of log p(x), float64 `[N]`: of `score`, see `tfvae.export`.
      elbo, distortion: `[N]`, from the same posterior samples.
      background: log p_0(x), `[N]`, of a background model or -L(x), of a compressor; None where no score needs it.
      reference: the mean of log p(x) over reference data, such as the validation split; None where none needs it.
    """

    log_likelihood: np.ndarray
    elbo: np.ndarray
    distortion: np.ndarray
    background: np.ndarray | None = None
    reference: float | None = None


@dataclasses.dataclass(frozen=True)
class _Score:
    function: Callable[[Evidence], np.ndarray]
    needs: tuple[str, ...]


SCORES: dict[str, _Score] = {}


def _score(*needs: str) -> Callable[[Callable[[Evidence], np.ndarray]], Callable[[Evidence], np.ndarray]]:
    """Registers a function of `Evidence` that gives nats `[N]`, the higher the odder, and what it needs beside it."""

    def register(function: Callable[[Evidence], np.ndarray]) -> Callable[[Evidence], np.ndarray]:
        SCORES[function.__name__] = _Score(function, needs)
        return function

    return register


@_score()
def log_likelihood(evidence: Evidence) -> np.ndarray:
    """-log p(x). Simple examples can be lowest though nothing like the training data: see above."""
    return -evidence.log_likelihood


@_score()
def elbo(evidence: Evidence) -> np.ndarray:
    """-ELBO: -log p(x) and how far q(z|x) is from the true posterior, which grows far from the training data."""
    return -evidence.elbo


@_score()
def distortion(evidence: Evidence) -> np.ndarray:
    """E_q[-log p(x|z)]: the error of reconstruction alone."""
    return evidence.distortion


@_score(REFERENCE)
def typicality(evidence: Evidence) -> np.ndarray:
    """|log p(x) - its mean over reference data|: too likely is as odd as too unlikely.

    The test of Nalisnick et al. 2019, Detecting out-of-distribution inputs to deep generative models using
    typicality, equation 4, for one example.
    """
    assert evidence.reference is not None
    # epsilon(x) = |-log p(x) - H|, H = -1/N sum_n log p(x_n)
    return np.abs(evidence.log_likelihood - evidence.reference)


@_score(BACKGROUND)
def likelihood_ratio(evidence: Evidence) -> np.ndarray:
    """log p_0(x) - log p(x): what only the model's own training explains is left.

    With a background model p_0, trained on perturbed or on more general data, the likelihood ratio of Ren et al. 2019,
    equation 5, its sign turned. With the code length of a compressor, log p_0(x) = -L(x), the input complexity score
    of Serra et al. 2020, equation 2.
    """
    assert evidence.background is not None
    return evidence.background - evidence.log_likelihood


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Examples in the order of their scores, the oddest first.

    Attributes:
      columns: arrays `[N]`: `index`, the place in the input; `name` and `label` where there are some; `score`;
        `log_likelihood`, `elbo`, `rate`, `distortion`, in nats; `valid`, see `tfvae.export.served.Served.clean`; and
        `background` where the score needs it. Rows that are not valid come first.
      reference: mean of log p(x) over the reference data, where the score needs it.
    """

    columns: Columns
    reference: float | None = None

    def write(self, path: str) -> None:
        """Writes the columns: see `tfvae.inference.columns.writing`."""
        with writing(path) as add:
            add(self.columns)

    def sheet(self, examples: Examples, *, columns: int = 10, rows: int = 3) -> Sheet:
        """The oddest examples, and below a row that is left grey the most typical ones, the last of them at the end.

        Args:
          examples: that were ranked.
          columns: examples in a row.
          rows: of either kind, at most; fewer examples are shared by halves.
        """
        size = len(self.columns["index"])
        columns = min(columns, max(1, size // 2))
        count = columns * min(rows, max(1, size // 2 // columns))
        chosen = np.concatenate([self.columns["index"][:count], self.columns["index"][size - count :]])
        x = _at(examples, chosen)
        gap = np.full((columns, *x.shape[1:]), np.nan, np.float32)
        return Sheet(np.concatenate([x[:count], gap, x[count:]]), columns, {"index": chosen})


def _at(examples: Examples, places: np.ndarray) -> np.ndarray:
    """The examples at these places, `[n, *item_shape]`: one pass over the input, which keeps them alone."""
    found = {
        place: item
        for batch in batches(examples, places=np.unique(places))
        for place, item in zip(batch.index, batch.x, strict=True)
    }
    return np.stack([found[place] for place in places])


def rank(
    model: Model,
    examples: Examples,
    *,
    score: str = "log_likelihood",
    background: Model | None = None,
    reference: Callable[[], Examples] | None = None,
    label: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Ranking:
    """Ranks examples by how odd they are.

    Args:
      model: the model.
      examples: the input; it is read some examples at a time.
      score: one of `SCORES`.
      background: p_0 of `likelihood_ratio`; None: a compressor, see `complexity.code_lengths`.
      reference: gives the data that `typicality` compares with; called where they are needed.
      label: that a conditional model is given with every example, in place of the example's own.
      seed: of the posterior samples: a row's result depends on it and on the row's place alone.
      progress: whether to show it on a terminal.

    Raises:
      InputError: for a score that there is none of, one that lacks what it needs, or a background model of other items.
    """
    if score not in SCORES:
        raise InputError(f"--score: received {score!r}, expected one of: {', '.join(SCORES)}")
    needs = SCORES[score].needs
    _check_background(model, background, used=BACKGROUND in needs, score=score)
    mean = None
    if REFERENCE in needs:
        if reference is None:
            raise InputError(f"--reference: received none, expected data that {score} compares with")
        scored = _columns(model, reference(), label=label, seed=seed, progress="reference" if progress else "")
        mean = float(np.mean(scored["log_likelihood"][scored["valid"]]))
    found = _columns(
        model, examples, label=label, seed=seed, progress="score" if progress else "", background=background,
        with_background=BACKGROUND in needs,
    )  # fmt: skip
    evidence = Evidence(
        log_likelihood=found["log_likelihood"], elbo=found["elbo"], distortion=found["distortion"],
        background=found.get("background"), reference=mean,
    )  # fmt: skip
    scores = np.where(found["valid"], SCORES[score].function(evidence), SENTINEL)
    order = np.argsort(-scores, kind="stable")
    first = {name: found.pop(name) for name in ("index", "name", "label") if name in found}
    ranked = {name: values[order] for name, values in (first | {"score": scores} | found).items()}
    # The digits of the model's own arithmetic.
    return Ranking({name: v.astype(np.float32) if v.dtype.kind == "f" else v for name, v in ranked.items()}, mean)


def _check_background(model: Model, background: Model | None, *, used: bool, score: str) -> None:
    if background is None:
        return
    if not used:
        others = ", ".join(name for name, one in SCORES.items() if BACKGROUND in one.needs)
        raise InputError(f"--score: received {score!r} and a background model, expected one for {others}")
    for what in ("item_shape", "low", "high", "step"):
        theirs, ours = getattr(background, what), getattr(model, what)
        if theirs != ours:
            raise InputError(
                f"--background_workdir: received {background.origin}, whose items have {what} {theirs}, expected "
                f"{ours}, as those of {model.origin}"
            )


def _columns(
    model: Model,
    examples: Examples,
    *,
    label: int | None,
    seed: int,
    progress: str,
    background: Model | None = None,
    with_background: bool = False,
) -> Columns:
    """`Ranking.columns` in the input's order, without `score`."""
    parts: list[Columns] = []
    for batch in batches(examples, progress=progress):
        part = batch.columns() | outputs(model, "score", batch, examples, label=label, seed=seed)
        if with_background and background is not None:
            given = label if background.num_labels else None
            part["background"] = outputs(background, "score", batch, examples, label=given, seed=seed)["log_likelihood"]
        elif with_background:
            part["background"] = -code_lengths(model, batch.x)
        parts.append(part)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    # Small differences of large numbers, such as ratios of densities, keep their digits.
    return {name: v.astype(np.float64) if v.dtype.kind == "f" else v for name, v in joined.items()}
