"""How well single latents stand for single factors: metrics on codes and known factors, in NumPy and scikit-learn.

All take codes `[n, num_latents]`, real numbers such as posterior means, and factors `[n, num_factors]`, integers that
are taken as categories: their order is not used. All give a number in [0, 1], 1 is best, and what a code without any
information gets is said with each; over finitely many examples it comes near that only.

What holds for all of them: a factor that has one value in these examples is left out, and without any other the
number is 0. A constant latent tells nothing. Latents may be permuted, shifted, scaled or turned round without
effect, up to ties and the rounding of thresholds. What is drawn at random follows from `seed`.

Locatello et al. 2019 compare these metrics; where a paper leaves a choice open, theirs is followed or the other said.
"""

import math

import numpy as np

_NUM_BINS = 20  # of a latent, as in Locatello et al. 2019, appendix C

_NUM_TREES = 30  # of a forest; each is grown on half as many draws as there are examples, and so leaves out 61 %
_LEAF = 5  # examples in a leaf at least: a smaller one learns the noise, which spreads the importances


def mutual_information(codes: np.ndarray, factors: np.ndarray, *, num_bins: int = _NUM_BINS) -> np.ndarray:
    """I(z_j; v_k) of each latent, cut into bins of one width from its least to its largest value, and each factor.

    From counts, with Miller's correction (1955), and 0 where it is no more than chance would give:
    see `_information`.

    Returns:
      float64 `[num_latents, num_factors]`, nats; 0 for constant latents and factors.
    """
    factors = np.stack([_numbered(values) for values in np.asarray(factors).T], axis=1)
    binned = [_numbered(_bins(latent, num_bins)) for latent in _standardized(codes).T]
    return np.array([[_information(bins, values) for values in factors.T] for bins in binned])


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray, *, num_bins: int = _NUM_BINS) -> float:
    """MIG (Chen et al. 2018, equation 6): is a factor in one latent, and not in a second one too?

    The mean over factors of the gap between the two latents that tell most of it, as a share of
    its entropy. A code without information gets 0, and so does one that holds everything twice.
    With one latent the second is 0. Differs from the paper in how `mutual_information` is estimated.
    """
    factors = _varying(factors)
    if not factors.shape[1]:
        return 0.0
    entropies = [_entropy(np.bincount(values)) for values in factors.T]
    return _unit(np.mean(_gaps(mutual_information(codes, factors, num_bins=num_bins)) / entropies))


def modularity(codes: np.ndarray, factors: np.ndarray, *, num_bins: int = _NUM_BINS) -> float:
    """Modularity (Ridgeway & Mozer 2018, section 3): does a latent tell of one factor only?

    With m_jk = I(z_j; v_k) and its largest over k, theta_j, the mean over latents of
    1 - sum over the other k of m_jk^2 / (theta_j^2 (num_factors - 1)). Latents that tell of no
    factor are not counted, and without any other the number is 0. It does not ask whether all
    factors are in the code, nor how often. With one factor any informative latent gets 1.
    """
    factors = _varying(factors)
    if not factors.shape[1]:
        return 0.0
    information = mutual_information(codes, factors, num_bins=num_bins)
    information = information[information.any(axis=1)]
    if not information.size:
        return 0.0
    # Relative to the largest, which adds 1 to the sum.
    shares = (information / information.max(axis=1, keepdims=True)) ** 2
    return _unit(1.0 - np.mean((shares.sum(axis=1) - 1.0) / max(information.shape[1] - 1, 1)))


def separated_attribute_predictability(codes: np.ndarray, factors: np.ndarray, *, seed: int = 0) -> float:
    """SAP (Kumar et al. 2018, section 3): can a factor be read off one latent, and not off a second one too?

    The mean over factors of the gap between the two latents that predict it best alone. A latent
    predicts by thresholds, one less than the factor has values, that are learned on a random half
    of the examples with balanced classes; its score on the other half is the balanced accuracy
    (the mean over values of the share that is right), scaled so that guessing is 0 and the
    best is 1. A code without information gets 0, and so does one that holds everything twice.
    With one latent the second is 0. Differs from the paper in the scale.
    """
    from sklearn.tree import DecisionTreeClassifier

    codes, factors = _standardized(codes), _varying(factors)
    train, test = _halves(len(codes), np.random.default_rng(seed))
    if not factors.shape[1] or not len(train):
        return 0.0

    def score(latent: np.ndarray, values: np.ndarray) -> float:
        tree = DecisionTreeClassifier(max_leaf_nodes=int(values.max()) + 1, class_weight="balanced", random_state=seed)
        tree.fit(latent[train, None], values[train])
        return _accuracy(tree.predict(latent[test, None]), values[test])

    return _unit(np.mean(_gaps(np.array([[score(latent, values) for values in factors.T] for latent in codes.T]))))


def dci(codes: np.ndarray, factors: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """DCI (Eastwood & Williams 2018, section 2): disentanglement, completeness, informativeness.

    A random forest predicts each factor from all latents: 30 trees that may split by any latent,
    each grown on a bootstrap of half the size, with leaves of at least five examples. R_jk is the
    importance of latent j for factor k: its share of the impurity that the splits take away. A factor
    that is not in the code is split by noise, in equal shares, which lowers the first two.

    Returns:
      `disentanglement`: 1 - the entropy of R_j. / sum of R_j., in units of log num_factors, averaged over latents with
        the weights sum_k R_jk: does a latent serve one factor only?
      `completeness`: 1 - the entropy of R_.k / sum of R_.k, in units of log num_latents, averaged over factors: is a
        factor in one latent only?
      `informativeness`: the balanced accuracy on examples that a tree was not grown on (out of bag), scaled so that
        guessing is 0, averaged over factors: is a factor in the code at all? In the paper it is the error instead.

      A code without information gets 0 in all three. One factor has disentanglement 1 and one
      latent completeness 1 wherever it is not constant, as nothing else is there.
    """
    from sklearn.ensemble import RandomForestClassifier

    codes, factors = _standardized(codes), _varying(factors)
    nothing = {"disentanglement": 0.0, "completeness": 0.0, "informativeness": 0.0}
    if not factors.shape[1] or not codes.any():
        return nothing
    columns, scores = [], []
    for values in factors.T:
        forest = RandomForestClassifier(
            _NUM_TREES,
            max_samples=max(len(codes) // 2, 1),
            max_features=None,  # a choice among a few latents would have useless ones serve where no other is at hand
            min_samples_leaf=_LEAF,
            class_weight="balanced",
            oob_score=lambda *_: 0.0,  # the votes are kept; which score is made of them is said below
            random_state=seed,
        )
        votes = forest.fit(codes, values).oob_decision_function_
        scores.append(_accuracy(votes.argmax(axis=1), values))
        columns.append(forest.feature_importances_)
    importance = np.stack(columns, axis=1)
    if not importance.any():
        return nothing
    return {
        "disentanglement": _unit(np.average(_concentration(importance), weights=importance.sum(axis=1))),
        "completeness": _unit(np.mean(_concentration(importance.T))),
        "informativeness": _unit(np.mean(scores)),
    }


def factor_vae_score(
    codes: np.ndarray, factors: np.ndarray, *, seed: int = 0, num_votes: int = 5_000, num_rows: int = 64
) -> float:
    """The FactorVAE score (Kim & Mnih 2018, section 4): which latent stays still while a factor is held?

    A vote takes a factor k at random, `num_rows` examples that share one of its values, and the
    latent j whose variance among them, divided by that over all examples, is least. The classifier
    says for each j the k that it met most. It learns from `num_votes` votes on a random half of the
    examples, and the number is the share that it has right of `num_votes` votes on the other half:
    Kim & Mnih's and Locatello et al.'s votes share their examples, which for few of them rewards chance.

    It is not scaled: a code without information gets 1 / num_factors, the chance of guessing, and so
    do constant codes. With one factor it is 1. With fewer latents than factors it is at most their ratio.
    """
    codes, factors = _standardized(codes), _varying(factors)
    num_factors = factors.shape[1]
    if not num_factors:
        return 0.0
    codes = codes[:, codes.any(axis=0)]
    if not codes.size:
        return 1.0 / num_factors
    rng = np.random.default_rng(seed)
    halves = _halves(len(codes), rng)
    learned, tried = (_votes(codes[half], factors[half], rng, num_votes, num_rows) for half in halves)
    return _unit(tried[np.arange(len(tried)), learned.argmax(axis=1)].sum() / max(tried.sum(), 1))


def _votes(
    codes: np.ndarray, factors: np.ndarray, rng: np.random.Generator, num_votes: int, num_rows: int
) -> np.ndarray:
    """How often latent j was stillest while factor k was held, `[num_latents, num_factors]`."""
    counts = np.zeros((codes.shape[1], factors.shape[1]), np.int64)
    for k, share in enumerate(rng.multinomial(num_votes, np.full(factors.shape[1], 1 / factors.shape[1]))):
        values, sizes = np.unique(factors[:, k], return_counts=True)
        values, sizes = values[sizes > 1], sizes[sizes > 1]  # one example alone is still in all latents
        if not len(values):
            continue
        for value, times in zip(values, rng.multinomial(share, sizes / sizes.sum()), strict=True):
            rows = np.flatnonzero(factors[:, k] == value)
            chosen = rng.choice(rows, size=(times, num_rows))
            counts[:, k] += np.bincount(codes[chosen].var(axis=1).argmin(axis=1), minlength=len(counts))
    return counts


def _standardized(codes: np.ndarray) -> np.ndarray:
    """Each latent with mean 0 and variance 1, float64; 0 where it is constant up to the rounding of float32."""
    codes = np.asarray(codes, np.float64)
    centred, spread = codes - codes.mean(axis=0), codes.std(axis=0)
    constant = spread <= 1e-6 * np.abs(codes).max(axis=0)
    return np.where(constant, 0.0, centred / np.where(constant, 1.0, spread))


def _varying(factors: np.ndarray) -> np.ndarray:
    """The factors that have several values, which become 0, 1, ...: int64 `[n, <= num_factors]`."""
    columns = [_numbered(values) for values in np.asarray(factors).T]
    kept = [values for values in columns if values.max() > 0]
    return np.stack(kept, axis=1) if kept else np.empty((len(factors), 0), np.int64)


def _numbered(values: np.ndarray) -> np.ndarray:
    """The values that occur, in their order, as 0, 1, ...: `[n]`."""
    return np.unique(values, return_inverse=True)[1]


def _bins(latent: np.ndarray, num_bins: int) -> np.ndarray:
    """The bin of each value `[n]`, 0 ... num_bins - 1, of one width between the ends."""
    low, high = latent.min(), latent.max()
    return np.minimum(num_bins * (latent - low) / max(high - low, 1e-300), num_bins - 1).astype(np.int64)


def _information(first: np.ndarray, second: np.ndarray) -> float:
    """I of two columns `[n]` of numbers 0, 1, ... without gaps, nats.

    Of independent columns 2 n I, without correction, is distributed as chi-squared with (values -
    1) (other values - 1) degrees of freedom; what is not four standard deviations above its
    mean is 0.
    """
    counts = np.bincount(first), np.bincount(second), np.bincount(first * (second.max() + 1) + second)
    freedom = (len(counts[0]) - 1) * (len(counts[1]) - 1)
    # I(u; v) = H(u) + H(v) - H(u, v)
    plain, corrected = (
        _entropy(counts[0], correct=correct)
        + _entropy(counts[1], correct=correct)
        - _entropy(counts[2], correct=correct)
        for correct in (False, True)
    )
    above_chance = freedom > 0 and 2 * len(first) * plain > freedom + 4.0 * math.sqrt(2.0 * freedom)
    return max(corrected, 0.0) if above_chance else 0.0


def _entropy(counts: np.ndarray, *, correct: bool = True) -> float:
    """-sum p log p, nats, which is too low by about (values that occur - 1) / (2 n) (Miller 1955)."""
    counts = counts[counts > 0]
    shares = counts / counts.sum()
    return float(-np.sum(shares * np.log(shares)) + correct * (len(counts) - 1) / (2 * counts.sum()))


def _gaps(scores: np.ndarray) -> np.ndarray:
    """The best less the second best of the latents for each factor: `[num_latents, num_factors]` to `[num_factors]`."""
    best = np.sort(np.concatenate([np.zeros_like(scores[:1]), scores]), axis=0)
    return best[-1] - best[-2]


def _concentration(weights: np.ndarray) -> np.ndarray:
    """1 - the entropy of each row in units of its maximum: `[m, k]` to `[m]`; 0 for an empty row, 1 where k = 1."""
    totals = weights.sum(axis=1, keepdims=True)
    shares = weights / np.where(totals > 0, totals, 1.0)
    entropy = -np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)), axis=1)
    return np.where(totals[:, 0] > 0, 1.0 - entropy / max(math.log(weights.shape[1]), 1e-300), 0.0)


def _halves(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(n)
    return order[: n // 2], order[n // 2 :]


def _accuracy(predicted: np.ndarray, values: np.ndarray) -> float:
    """The share that is right, averaged over the values that occur, scaled from guessing, 0, to 1; not below 0."""
    shares = [np.mean(predicted[values == value] == value) for value in np.unique(values)]
    chance = 1.0 / len(shares)
    return max((float(np.mean(shares)) - chance) / (1.0 - chance), 0.0) if len(shares) > 1 else 0.0


def _unit(value: float | np.floating) -> float:
    """As a number in [0, 1], which rounding may leave."""
    return float(min(max(value, 0.0), 1.0))
