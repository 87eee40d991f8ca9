"""What `log_likelihood.py` makes of its measurements: ratios, differences, and the README of its results."""

import math
from collections.abc import Sequence
from typing import Any

from workers import spread

GOAL = 4.5  # times pythae's decodes per second


def pace(answer: dict[str, Any]) -> float:
    """Decodes per second of the whole call."""
    return answer["decodes"] / answer["seconds"]


def compare(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Paces, their ratios round by round, and the difference of the two estimates in standard errors."""
    sides = ("tfvae", "pythae", "products")
    mine = [row["tfvae"]["log_likelihood"] for row in rounds]
    theirs = [row["pythae"]["value"] for row in rounds]  # log p(x), whatever its name says
    return {
        "decodes_per_second": {side: spread([pace(row[side]) for row in rounds]) for side in sides},
        "ratio": spread([pace(row["tfvae"]) / pace(row["pythae"]) for row in rounds]),
        "cpu_microseconds_per_decode": {side: spread([1e6 * cpu_time(row[side]) for row in rounds]) for side in sides},
        "ratio_of_cpu_time": spread([cpu_time(row["pythae"]) / cpu_time(row["tfvae"]) for row in rounds]),
        "log_likelihood": {"tfvae": mean_and_error(mine), "pythae": mean_and_error(theirs)},
        "standard_errors_apart": apart(mean_and_error(mine), mean_and_error(theirs)),
    }


def cpu_time(answer: dict[str, Any]) -> float:
    """Seconds of all threads for each decode."""
    return answer["cpu_seconds"] / answer["decodes"]


def mean_and_error(values: Sequence[float]) -> dict[str, float | None]:
    """The mean over rounds, which differ in their seeds, and its standard error; None for one round."""
    count, mean = len(values), math.fsum(values) / len(values)
    if count < 2:
        return {"mean": mean, "standard_error": None}
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return {"mean": mean, "standard_error": math.sqrt(variance / count)}


def apart(one: dict[str, Any], other: dict[str, Any]) -> float | None:
    """The difference of two means in units of its standard error."""
    errors = one["standard_error"], other["standard_error"]
    return None if None in errors else (one["mean"] - other["mean"]) / math.hypot(*errors)


def readme(result: dict[str, Any]) -> str:
    """The parts that were measured, as Markdown."""
    sections = {"mnist": _mnist, "peer": _peer, "memory": _memory}
    found = [
        "# Importance-weighted log p(x)",
        "`python benchmarks/log_likelihood.py` wrote this file and `result.json`.",
    ]
    for part, section in sections.items():
        if part in result:
            found += [section(result[part]), _measured(result[part])]
    return "\n\n".join(found) + "\n"


def _measured(part: dict[str, Any]) -> str:
    machine = part["machine"]
    return f"Measured {part['date']} on {machine['cores']} cores ({machine['processor']}), shared with other work."


def _mnist(part: dict[str, Any]) -> str:
    errors = "standard error over images {log_likelihood_standard_error:.3f}, Monte Carlo error "
    errors = (errors + "{log_likelihood_monte_carlo_error:.3f}").format(**part)
    warnings = "".join(f"\n\nIts warning: {text}." for text in part["warnings"])
    return f"""## MNIST

The `mnist` config (784-500-20), by `tfvae.evaluation.evaluate` on {part["num_examples"]:,} test images with
K = {part["num_samples"]:,}:

| | |
|---|---|
| log p(x) bound | {part["log_likelihood"]:.3f} nats, {errors} |
| ELBO from the same samples | {part["elbo"]:.3f} nats |
| time of the call, with compilation | {part["seconds"]:.0f} s, {pace(part):,.0f} decodes/s |
| peak memory of the process | {part["peak_memory_mb"]:,.0f} MB |{warnings}"""


def _peer(part: dict[str, Any]) -> str:
    rounds, chosen = part["rounds"], part["settings_tried"][0]
    asked, rate, ratio = rounds[0]["tfvae"], part["decodes_per_second"], part["ratio"]
    cpu, first = part["cpu_microseconds_per_decode"], part["first_call"]
    rows = [
        ("tfvae", rate["tfvae"], ratio, cpu["tfvae"]),
        ("pythae", rate["pythae"], None, cpu["pythae"]),
        ("the decoder's matrix products alone", rate["products"], None, cpu["products"]),
    ]
    table = [
        f"| {name} | {_spread(paces, ',.0f')} | {_spread(times, '.2f')} | {_spread(microseconds, '.1f')} |"
        for name, paces, times, microseconds in rows
    ]
    drawn = [f"| {row['num_samples']:,} | {row['batch_size']:,} | {row['drawn']:,} |" for row in part["drawn"]]
    tried = ", ".join(
        f"{row['batch_size']:,} x {row['threads']}: {row['decodes_per_second']:,.0f}" for row in part["settings_tried"]
    )
    loads = ", ".join(f"{row['load']:.1f}" for row in rounds)
    threads = ", ".join(str(row["pythae"]["threads"]) for row in rounds)
    mine, theirs = part["log_likelihood"]["tfvae"], part["log_likelihood"]["pythae"]
    reached = "reached" if ratio["median"] >= GOAL else "not reached"
    return "\n".join([
        f"""## Beside pythae {part["versions"]["pythae"]}

784-200-200-50, tanh, Bernoulli: trained on MNIST by tfvae, and its weights copied to pythae. TensorFlow
{part["versions"]["tensorflow"]}, torch {part["versions"]["torch"]}. {asked["num_examples"]:,} test images,
K = {asked["num_samples"]:,}, {len(rounds)} rounds in one run: tfvae, pythae and the matrix products in turn, in
processes that stay warm. A decode is one z of one image through the decoder.

tfvae runs `evaluate` as it is: the first call of a process compiles, later ones with the same settings do not. pythae
runs as in its own script for this network (evaluation mode, `torch.no_grad()`), with the fastest of the settings below,
batches of {chosen["batch_size"]:,}, and the faster number of threads, tried anew before each round ({threads}).

| | decodes/s: median (lowest to highest) | times pythae, round by round | CPU time of a decode, microseconds |
|---|---|---|---|""",
        *table,
        f"""
Goal: {GOAL} times pythae; {reached}. The first call, compilation counted, made {pace(first):,.0f} decodes/s, which is
{pace(first) / rate["pythae"]["median"]:.2f} times the median of pythae. In CPU time a decode of pythae costs
{_spread(part["ratio_of_cpu_time"], ".2f")} times one of tfvae. Other work takes cores from both
sides and not evenly: the load average at the end of the rounds was {loads}, of which the benchmark itself makes up to
{part["machine"]["cores"]}.

Batch size x threads of pythae, decodes/s: {tried}.

### What `get_nll` of pythae does

- It returns the mean of log p(x), though its name and its docstring say negative log-likelihood: here
  {theirs["mean"]:.3f}.
- It decodes batches of `batch_size`, whole ones only, and averages over all it drew. So it draws `batch_size` samples
  where fewer are asked for, and drops what is left over where `batch_size` does not divide `n_samples`:

| n_samples | batch_size | drawn for each image, counted at the decoder |
|---|---|---|""",
        *drawn,
        f"""
- It takes one image at a time, and encodes a copy of it for each sample.

### The same number

Over the rounds, each with a seed of its own, K as drawn and pythae's number taken as what it is, the mean of log p(x):

| | nats per image | standard error over the rounds |
|---|---|---|
| tfvae | {mine["mean"]:.4f} | {_number(mine["standard_error"], ".4f")} |
| pythae | {theirs["mean"]:.4f} | {_number(theirs["standard_error"], ".4f")} |

They are {_number(part["standard_errors_apart"], ".1f")} standard errors of their difference apart.""",
    ])  # fmt: skip


def _memory(part: dict[str, Any]) -> str:
    rows = [
        f"| {row['num_samples']:,} | {row['before_mb']:,.0f} | {row['peak_memory_mb']:,.0f} | {row['seconds']:.0f} |"
        for row in part["rows"]
    ]
    return "\n".join([
        f"""## Memory

A process of its own for each K, on {part["rows"][0]["num_examples"]:,} test images with the `mnist` config:

| K | peak before: model and data, MB | peak, MB | time, s |
|---|---|---|---|""",
        *rows,
        f"\nThe largest peak is {part['largest_over_smallest']:.3f} times the smallest.",
    ])  # fmt: skip


def _spread(values: dict[str, float] | None, form: str) -> str:
    if values is None:
        return ""
    return f"{values['median']:{form}} ({values['lowest']:{form}} to {values['highest']:{form}})"


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
