"""What `compare.py` makes of its rounds: ratios, and the README of its results."""

from collections.abc import Sequence
from typing import Any

from compare_sides import SIDES, pace
from workers import spread

PARTS = ("w1", "w2", "w3", "w4", "w5", "memory", "scaling")

# The part, and the sides of which the fastest counts; None: all peers.
RATIOS: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "w1_fastest_peer": ("w1", None),
    "w1_pythae": ("w1", ("pythae",)),
    "w1_keras3": ("w1", ("keras3", "keras3_no_jit")),
    "w1_tf_keras_fit": ("w1", ("tf_keras_fit",)),
    "w1_floor": ("w1", ("floor",)),
    "w2_fastest_peer": ("w2", None),
    "w2_keras3": ("w2", ("keras3", "keras3_no_jit")),
    "w2_pythae": ("w2", ("pythae",)),
    "w3_pythae": ("w3", ("pythae",)),
    "w3_floor": ("w3", ("floor",)),
}

# What the project set out to reach: see docs/results/performance/notes.md.
GOALS = {
    "w1_fastest_peer": 1.15, "w1_pythae": 2.5, "w1_keras3": 2.5, "w1_tf_keras_fit": 2.5, "w1_floor": 0.75,
    "w2_fastest_peer": 1.15, "w2_keras3": 1.15, "w2_pythae": 2.0, "w3_pythae": 4.5, "w3_floor": 0.6,
}  # fmt: skip


def sides_of(rounds: Sequence[dict[str, Any]], *, ours: str = "tfvae") -> dict[str, dict[str, Any]]:
    """Of each side its pace and, but for ours, how many times as fast ours is, round by round.

    A stretch in which the machine is slow for all of a round leaves the ratio as it is. A shorter one does not, and
    shows in the lowest and the highest.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in rounds[0] if rounds else ():
        found[name] = {"items_per_second": spread([pace(row[name]) for row in rounds])}
        if name != ours and ours in rounds[0]:
            found[name]["ratio"] = spread([pace(row[ours]) / pace(row[name]) for row in rounds])
        if "loss" in rounds[-1][name]:
            found[name]["loss"] = rounds[-1][name]["loss"]
    return found


def ratios(result: dict[str, Any]) -> dict[str, Any]:
    """`ratios`: ours over theirs in items a second, above 1 where ours is faster; None where it was not measured.

    Beside them `ratio_spreads`, with the lowest and the highest of the rounds, and `compared_with`: which side it is.
    """
    found: dict[str, Any] = {"ratios": {}, "ratio_spreads": {}, "compared_with": {}}
    for key, (part, names) in RATIOS.items():
        sides = result.get(part, {}).get("sides", {})
        if names is None:
            names = tuple(name for name, side in SIDES[part].items() if side.peer)
        measured = {name: sides[name]["ratio"] for name in names if "ratio" in sides.get(name, {})}
        fastest = min(measured, key=lambda name: measured[name]["median"], default=None)
        chosen = measured[fastest] if fastest else None
        found["ratios"][key] = chosen and chosen["median"]
        found["ratio_spreads"][key], found["compared_with"][key] = chosen, fastest
    return found


def readme(result: dict[str, Any]) -> str:
    """The parts that were measured, as Markdown."""
    sections = {
        "w1": _w1, "w2": _w2, "w3": _w3, "w4": _w4, "w5": _w5, "memory": _memory, "scaling": _scaling,
    }  # fmt: skip
    found = [
        "# Speed and memory beside other libraries",
        "`python benchmarks/compare.py` wrote this file and `result.json`.",
        "Each ratio is that of items a second, tfvae's over the other's: above 1 tfvae is faster. It is taken in each\n"
        "round, in which the sides take turns, and given as the median of the rounds (lowest to highest). Ratios are\n"
        "the result. Paces hang on the machine and on what else it does, and stand beside them. What was tried, and\n"
        "what came of it, is in the [notes](notes.md).",
        _summary(result),
    ]
    for part in PARTS:
        if part in result:
            found += [sections[part](result[part]), _measured(result[part])]
    return "\n\n".join(found) + "\n"


def _summary(result: dict[str, Any]) -> str:
    lines = ["| ratio | beside | median (lowest to highest) | goal | |", "|---|---|---|---|---|"]
    for key, values in result["ratio_spreads"].items():
        beside, (part, names) = result["compared_with"][key] or "not measured", RATIOS[key]
        absent = [name for name in result.get(part, {}).get("missing", {}) if names is None and SIDES[part][name].peer]
        beside += f" (without {', '.join(absent)})" if absent else ""
        reached = "" if values is None else "reached" if values["median"] >= GOALS[key] else "not reached"
        lines.append(f"| `{key}` | {beside} | {_spread(values, '.2f')} | {GOALS[key]} | {reached} |")
    return "\n".join(lines)


def _measured(part: dict[str, Any]) -> str:
    machine = part["machine"]
    versions: dict[str, dict[str, list[str]]] = {}
    for side, given in part.get("versions", {}).items():
        for name, value in given.items():
            if isinstance(value, str):
                versions.setdefault(name, {}).setdefault(value, []).append(side)
    listed = "".join(
        f", {name} {value}" + (f" ({', '.join(sides)})" if len(values) > 1 else "")
        for name, values in sorted(versions.items())
        for value, sides in values.items()
    )
    return (
        f"Measured {part['date']} on {machine['cores']} cores ({machine['processor']}), {machine['memory_gb']} GB; "
        f"Python {machine['python']}{listed}."
    )


def _training(part: dict[str, Any], work: str) -> str:
    lines = [
        "| | tfvae is so many times as fast | images/s | images in an epoch | last loss, nats |",
        "|---|---|---|---|---|",
    ]
    for name, side in SIDES[work].items():
        if name in part["missing"]:
            lines.append(f"| {side.title} | {part['missing'][name]} | | | |")
        elif name in part["sides"]:
            row, last = part["sides"][name], part["rounds"][-1][name]
            loss = f"{row['loss']:.2f}" if "loss" in row else ""
            lines.append(
                f"| {side.title} | {_spread(row.get('ratio'), '.2f')} | {_spread(row['items_per_second'], ',.0f')} | "
                f"{last['images']:,} | {loss} |"
            )
    return "\n".join(lines)


_OURS = """tfvae trains by `vae.fit` as `tools/train.py` does: progress bar, TensorBoard, validation and checkpoints
are on. Its pace is that of the second epoch of a `fit`, with what progress bar and TensorBoard do in it; so it is for
Keras and tf_keras. Validation and checkpoints, which no other side has, are not in it: checkpoints take
{checkpoints:.2f} s an epoch in the median. The whole call, with these and with what `fit` does before an epoch, makes
{whole:,.0f} images/s. {count} rounds, an epoch each, after one that compiles; the order of the sides changes. All sides
have as many threads as there are cores, but PyTorch and pythae one where that is faster. Images: {data}."""


def _whole(part: dict[str, Any]) -> str:
    if "tfvae" not in part["sides"]:
        return f"{len(part['rounds'])} rounds. Images: {part['data']}."
    paces = [row["tfvae"]["all_images"] / row["tfvae"]["seconds"] for row in part["rounds"]]
    checkpoints = spread([row["tfvae"]["checkpoint_seconds"] for row in part["rounds"]])["median"]
    return _OURS.format(whole=spread(paces)["median"], checkpoints=checkpoints, count=len(paces), data=part["data"])


def _w1(part: dict[str, Any]) -> str:
    return f"""## W1: the paper's network

784-500-20-500-784, tanh, Bernoulli, batches of 100, Adam at 1e-3, float32, on one array of images that were binarized
once.

{_whole(part)}

{_training(part, "w1")}

Keras 3 and tf_keras make a step a call, as their documentation has it, and tfvae 100 in one program, as it does by
itself; what their `steps_per_execution` brings is in the [notes](notes.md). All train the same objective from different
weights: after as many epochs their losses are {_apart(part)}. The floor is a step's
matrix products, forward and backward, in one compiled program."""


def _apart(part: dict[str, Any]) -> str:
    """How far the losses of the other sides are from ours."""
    losses = {name: row["loss"] for name, row in part["sides"].items() if "loss" in row}
    ours = losses.pop("tfvae", None)
    if ours is None or not losses:
        return "in the table"
    apart = [100 * (loss / ours - 1) for loss in losses.values()]
    return f"{min(apart):+.1f} to {max(apart):+.1f} % of tfvae's"


def _w2(part: dict[str, Any]) -> str:
    return f"""## W2: a convolutional network

That of https://keras.io/examples/generative/vae: convolutions of 32 and 64 channels with stride 2, a dense layer of 16,
two latents, and its mirror; cross-entropy of grey levels, batches of 128, Adam at 1e-3, float32. tfvae has the last
layer, a transposed convolution of stride 1, as the convolution that it is, by `networks.ThinConv2D`.

{_whole(part)}

{_training(part, "w2")}

Sides with fewer images in an epoch, which are slow, have made fewer steps, and their loss is higher. What that layer
brings is in the [notes](notes.md)."""


def _w3(part: dict[str, Any]) -> str:
    titles = {"tfvae": "tfvae", "pythae": "pythae, `get_nll`", "floor": "the decoder's matrix products alone"}
    lines = ["| | tfvae is so many times as fast | decodes/s |", "|---|---|---|"]
    for name, title in titles.items():
        if name in part["missing"]:
            lines.append(f"| {title} | {part['missing'][name]} | |")
        elif name in part["sides"]:
            row = part["sides"][name]
            lines.append(
                f"| {title} | {_spread(row.get('ratio'), '.2f')} | {_spread(row['items_per_second'], ',.0f')} |"
            )
    whole, settings = part["whole"], part.get("settings")
    chosen = (
        f" pythae runs with the fastest of the settings tried (batches: {settings['batch_size']:,}; threads: "
        f"{settings['threads']})." if settings else ""
    )  # fmt: skip
    table = "\n".join(lines)
    return f"""## W3: importance-weighted log p(x)

The network of W1 after a few epochs, K = {part["num_samples"]:,}. {whole["num_examples"]:,} test images in one call,
which compiles: {pace(whole):,.0f} decodes/s, log p(x) {whole["log_likelihood"]:.2f} nats, peak memory
{whole["peak_memory_mb"]:,.0f} MB. Rounds take {part["num_examples"]:,} images.{chosen}

{table}"""


def _w4(part: dict[str, Any]) -> str:
    lines = ["| | export over Python | export, items/s | Python, items/s |", "|---|---|---|---|"]
    for name, row in part["calls"].items():
        cells = (_spread(row["ratio"], ".2f"), _spread(row["export"], ",.0f"), _spread(row["python"], ",.0f"))
        lines.append(f"| {name} {row['items']:,} images | {' | '.join(cells)} |")
    table = "\n".join(lines)
    return f"""## W4: the exported SavedModel

Its signatures, and the same networks called in a `tf.function`, in one process; {len(part["rounds"])} rounds of
batches of 1,000, with the way from and to NumPy. `generate` of an export draws noise for each row from its own seed.

{table}"""


def _w5(part: dict[str, Any]) -> str:
    row = part["summary"]
    lines = [
        "| | seconds |", "|---|---|",
        f"| `python -c pass` | {_spread(row['python'], '.2f')} |",
        f"| `import tensorflow` | {_spread(row['tensorflow'], '.2f')} |",
        f"| `tools/train.py --help` | {_spread(row['help'], '.2f')} |",
        f"| `tools/train.py --config=configs/digits.py` to the end of its first compiled steps | "
        f"{_spread(row['first_step'], '.2f')} |",
        f"| of this, compiling and running these | {_spread(row['first_program'], '.2f')} |",
    ]  # fmt: skip
    table = "\n".join(lines)
    imports = "imports" if part["help_imports_tensorflow"] else "does not import"
    first, from_python = _spread(row["first_step_ratio"], ".2f"), _spread(row["help_ratio"], ".1f")
    return f"""## W5: start

To the first steps it takes {first} times as long as `import tensorflow` and that first program together. `--help` takes
{from_python} times as long as Python alone, and {_spread(row["help_to_tensorflow"], ".3f")} of the time of an
`import tensorflow`; it {imports} TensorFlow.

{table}"""


def _memory(part: dict[str, Any]) -> str:
    records = [f"| {row['num_images']:,} | {row['peak_memory_mb']:,.0f} |" for row in part["records"]]
    samples = [f"| {row['num_samples']:,} | {row['peak_memory_mb']:,.0f} |" for row in part["samples"]]
    return "\n".join([
        "## Peak memory\n\nOf a process of its own each.\n\n| training on TFRecords of so many images | peak, MB |",
        "|---|---|", *records, f"\nThe largest is {part['records_ratio']:.3f} times the smallest.\n",
        f"| K of log p(x), {part['num_examples']:,} images | peak, MB |", "|---|---|", *samples,
        f"\nThe largest is {part['samples_ratio']:.3f} times the smallest.",
    ])  # fmt: skip


def _scaling(part: dict[str, Any]) -> str:
    lines = ["| images in memory | images/s |", "|---|---|"]
    lines += [f"| {int(name):,} | {_spread(row['items_per_second'], ',.0f')} |" for name, row in part["sides"].items()]
    table = "\n".join(lines)
    return f"""## Cost of an image

The network of W1 on random binary images, {len(part["rounds"])} rounds that alternate; the clock is that of W1.

{table}

In a round, the lowest pace is {_spread(part["lowest_over_highest"], ".3f")} of the highest."""


def _spread(values: dict[str, float] | None, form: str) -> str:
    if values is None:
        return ""
    return f"{values['median']:{form}} ({values['lowest']:{form}} to {values['highest']:{form}})"
