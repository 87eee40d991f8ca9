"""The README of the results of `completion.py`."""

from typing import Any

from completion_baselines import NUM_COMPONENTS, PARTS

TITLES = {
    "half": "Half of the pixels missing, at random",
    "quadrant": "The lower right quadrant missing",
    "lower_half": "The lower half missing",
    "noise": "Gaussian noise of sigma 0.5",
    "super_resolution": "4x super-resolution, 7x7 to 28x28",
}
LARGER_IS_BETTER = {"squared_error": False, "log_likelihood": True}


def readme(result: dict[str, Any]) -> str:
    """Tables of what there is, each column's best in bold, with a word where the VAE is not it."""
    lines = [
        "# Completion of MNIST test images",
        "",
        "By `python benchmarks/completion.py`, with the model of `configs/mnist.py` (784-500-20, 50 epochs), on binary",
        "test images as the model sees them. Squared error is that of a missing number (of any, for noise and",
        "super-resolution) by the mean; log-likelihood is that of the true missing numbers of an image given what was",
        "observed, in nats; in brackets are standard errors over images. `vae` is Hamiltonian Monte Carlo over z; its",
        "log-likelihood, log 1/S sum_s p(truth | observed, z_s), is too low in the mean, the less the more draws.",
        "",
        "Baselines learn from 20,000 training images. Their log-likelihood is that of Bernoullis with these means,",
        "kept from 0 and 1 by a margin tuned on training images. `normal` is the conditional mean of a normal",
        "distribution with the covariance of the training images, which is least squares on what was observed; `pca`",
        f"the same with {NUM_COMPONENTS} principal components and noise. The best of each column is bold.",
        "",
    ]
    for part in PARTS:
        if part in result:
            rows = result[part]["rows"]
            lines += [
                f"## {TITLES[part]}",
                "",
                f"{result[part]['num_examples']} images.",
                "",
                *_table(rows),
                "",
                _verdict(rows),
                "",
            ]
            lines += [
                f"![{TITLES[part]}]({part}.png)",
                "",
                "Rows: truth, observed, the VAE's mean, four draws, and uncertainty (twice the standard deviation).",
                "",
            ]
    if "methods" in result:
        rows = result["methods"]["rows"]
        count = result["methods"]["num_examples"]
        lines += [
            "## Methods, on the lower half",
            "",
            f"{count} images, the defaults of each method.",
            "",
            *_table(rows, True),
            "",
        ]
        lines += [
            "`hmc` and `metropolis` draw from p(z|observed) in the limit; `pseudo_gibbs` only where q(z|x) is exact.",
            "`importance` suffers where its proposals miss, as its effective sample size tells; `optimise` is one z.",
            "Seconds are those of two shared cores, compilation counted.",
            "",
        ]
    return "\n".join(lines)


def _table(rows: dict[str, Any], diagnostics: bool = False) -> list[str]:
    extra = ["acceptance", "effective_sample_size", "potential_scale_reduction", "seconds"] if diagnostics else []
    lines = ["| | squared error | log-likelihood, nats |" + "".join(f" {name.replace('_', ' ')} |" for name in extra)]
    lines.append("|---" * (3 + len(extra)) + "|")
    for name, row in rows.items():
        cells = [f"`{name}`" if diagnostics else name]
        for measure in LARGER_IS_BETTER:
            mean, error = row[measure]["mean"], row[measure]["standard_error"]
            digits = (4, 4) if measure == "squared_error" else (1, 1)
            cell = f"{mean:.{digits[0]}f} ({error:.{digits[1]}f})"
            cells.append(f"**{cell}**" if name == best(rows, measure) else cell)
        cells += [f"{row[name]:.3g}" if name in row else "" for name in extra]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def best(rows: dict[str, Any], measure: str) -> str:
    """The row that is best by a measure."""
    sign = 1 if LARGER_IS_BETTER[measure] else -1
    return max(rows, key=lambda name: sign * rows[name][measure]["mean"])


def _verdict(rows: dict[str, Any]) -> str:
    lost = {measure: best(rows, measure) for measure in LARGER_IS_BETTER if best(rows, measure) != "vae"}
    if not lost:
        return "The VAE is best in both."
    return (
        "**Here the VAE does not win**: "
        + ", ".join(f"in {measure.replace('_', ' ')} {name} is better" for measure, name in lost.items())
        + "."
    )
