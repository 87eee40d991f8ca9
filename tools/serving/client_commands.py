"""What the two clients do: flags, commands and one-line errors; how a server is asked is theirs."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from client_checks import Signatures, check_flags, check_inputs, check_output, find, only, seeds
from client_files import Array, ClientError, is_picture, npz, png, read_image, read_npz, write_atomically

_SCORES = ("anomaly_score", "elbo", "valid")


class Server(Protocol):
    """A model server, of which one model is asked."""

    def status(self) -> dict[str, Any]:
        """A `GetModelStatusResponse` as JSON."""
        ...

    def signatures(self) -> Signatures:
        """See `client_checks.described`."""
        ...

    def predict(self, signature: str, inputs: dict[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """The outputs of a signature, which are named `outputs`."""
        ...

    def regress(self, signature: str, inputs: dict[str, Array]) -> Array:
        """What the Regress API gives for examples, of which each row of `inputs` is one: `[rows]`."""
        ...


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ClientError(message)


def run(description: str, *, port: int, connect: Callable[[argparse.Namespace], Server], rest: bool = False) -> None:
    """Parses the flags, does the command and leaves: 0, or 1 with one line for what went wrong.

    Args:
      description: of the client.
      port: where its server usually listens.
      connect: makes a server of the flags.
      rest: whether there is the choice of a format.
    """
    try:
        flags = _parser(description, port=port, rest=rest).parse_args()
        check_flags(flags)
        flags.command(flags, connect)
    except ClientError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser(description: str, *, port: int, rest: bool) -> argparse.ArgumentParser:
    shared = _Parser(add_help=False)
    shared.add_argument("--host", default="127.0.0.1", help="of the server (default: this machine)")
    shared.add_argument("--port", type=int, default=port, help=f"of the server (default: {port})")
    shared.add_argument("--model", default="digits", help="its name in models.config (default: digits)")
    one = shared.add_mutually_exclusive_group()
    one.add_argument("--version", type=int, help="of the model (default: the highest one that is loaded)")
    one.add_argument("--version_label", help="in place of a version: stable or canary")
    shared.add_argument("--timeout", type=float, default=10.0, help="seconds that a request may take (default: 10)")
    shared.add_argument("--label", type=int, help="of a conditional model: the label of each row")
    shared.add_argument("--batch_size", type=int, default=64, help="rows of a request (default: 64, an export's most)")
    if rest:
        shared.add_argument("--format", choices=("row", "columnar"), default="columnar", help="of requests")

    parser = _Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(command: Callable[..., None]) -> argparse.ArgumentParser:
        name, words = command.__name__, command.__doc__ or ""
        made = commands.add_parser(name, parents=[shared], help=words, description=words, allow_abbrev=False)
        made.set_defaults(command=command)
        return made

    add(status)
    add(metadata)
    add(score).add_argument("files", nargs="+", metavar="FILE", help="PNG or JPEG, as large as the model's images")
    made = add(generate)
    made.add_argument("--seeds", required=True, help="whole numbers, such as 1,2,3 or 0-63")
    drawn = add(sample)
    drawn.add_argument("--count", type=int, required=True, help="of items")
    drawn.add_argument("--seed", type=int, required=True, help="of all items: the first are the same for any count")
    for each in (made, drawn):
        each.add_argument("--output", required=True, help="a picture, .png, or all outputs, .npz")
        each.add_argument("--white", type=float, default=1.0, help="number that a .png shows as white (default: 1)")
    made, scored = add(encode), add(regress)
    for each in (made, scored):
        each.add_argument("--input", required=True, help=".npz with an array for each input, by its name")
    made.add_argument("--output", required=True, help=".npz")
    made.add_argument("--signature", default="encode", help="another whose inputs the file holds (default: encode)")
    return parser


Connect = Callable[[argparse.Namespace], Server]


def status(flags: argparse.Namespace, connect: Connect) -> None:
    """Prints the state of each version as JSON; fails where none is AVAILABLE."""
    found = connect(flags).status()
    print(json.dumps(found, indent=2))
    if not any(version.get("state") == "AVAILABLE" for version in found.get("model_version_status", [])):
        raise ClientError(f"no version of {flags.model!r} is AVAILABLE")


def metadata(flags: argparse.Namespace, connect: Connect) -> None:
    """Prints the inputs and outputs of each signature as JSON."""
    found: dict[str, Any] = {}
    for name, signature in sorted(connect(flags).signatures().items()):
        found[name] = {
            side: {key: f"{dtype} {shape}" for key, (dtype, shape) in signature[side].items()}
            for side in ("inputs", "outputs")
        } | {"method": signature["method"]}
    print(json.dumps(found, indent=2))


def score(flags: argparse.Namespace, connect: Connect) -> None:
    """Prints a line for each image file: anomaly_score and elbo in nats, and whether the model can read it."""
    files = [read_image(path) for path in flags.files]
    server = connect(flags)
    signature = find(server.signatures(), "score_bytes", "--model")
    name = only(signature["inputs"].keys() - {"label"}, "inputs of score_bytes")
    if missing := set(_SCORES) - signature["outputs"].keys():
        raise ClientError(f"--model: received a model whose score_bytes lacks {sorted(missing)}")
    outputs = _ask(flags, server, "score_bytes", signature, {name: Array("bytes", (len(files),), files)})
    columns = [outputs[name].nested() for name in _SCORES]
    print("\t".join(["file", *_SCORES]))
    for path, *numbers in zip(flags.files, *columns, strict=True):
        print("\t".join([path, *(f"{one:.6g}" if isinstance(one, float) else str(one).lower() for one in numbers)]))


def generate(flags: argparse.Namespace, connect: Connect) -> None:
    """Writes what the model makes of seeds, the mean of p(x|z) at z ~ p(z), as a picture or as arrays."""
    numbers = seeds(flags.seeds)
    check_output(flags.output, ".png", ".npz")
    server, given = connect(flags), {"seed": Array("int64", (len(numbers),), numbers)}
    signature = find(server.signatures(), "generate", "--model")
    _write_items(flags, given, _ask(flags, server, "generate", signature, given))


def sample(flags: argparse.Namespace, connect: Connect) -> None:
    """Writes items as `generate` makes them, from one seed, by the model, or else by <model>_sample."""
    check_output(flags.output, ".png", ".npz")
    server = connect(flags)
    signatures = server.signatures()
    if "sample" not in signatures:  # as of an export for a server that merges requests
        flags.model += "_sample"
        server = connect(flags)
        signatures = server.signatures()
    given = {"n": Array("int64", (), [flags.count]), "seed": Array("int64", (), [flags.seed])}
    _write_items(flags, {}, _ask(flags, server, "sample", find(signatures, "sample", "--model"), given))


def _write_items(flags: argparse.Namespace, given: dict[str, Array], outputs: dict[str, Array]) -> None:
    if flags.output.endswith(".npz"):
        write_atomically(flags.output, npz(given | outputs))
    else:
        items = outputs[only(outputs.keys() - {"z"}, "outputs")]
        if not is_picture(items):
            shape = list(items.shape[1:])
            raise ClientError(
                f"--output: received {flags.output!r}, expected .npz: items of shape {shape} are no pictures"
            )
        write_atomically(flags.output, png(items, white=flags.white))
    print(flags.output)


def encode(flags: argparse.Namespace, connect: Connect) -> None:
    """Writes the codes, mean and stddev, of the arrays of a file; or what another signature makes of them."""
    check_output(flags.output, ".npz")
    given = read_npz(flags.input)
    server = connect(flags)
    signature = find(server.signatures(), flags.signature, "--signature")
    for name, (_, shape) in signature["inputs"].items():
        if not shape:
            raise ClientError(
                f"--signature: received {flags.signature!r}, whose {name!r} is one number, expected a signature of rows"
            )
    write_atomically(flags.output, npz(_ask(flags, server, flags.signature, signature, given)))
    print(flags.output)


def regress(flags: argparse.Namespace, connect: Connect) -> None:
    """Prints a line for each item of a file: its anomaly_score in nats, by TensorFlow Serving's Regress API."""
    given, server = read_npz(flags.input), connect(flags)
    signatures = server.signatures()
    find(signatures, "regress", "--model")
    # Examples have no shapes of their own: the items are those of the model's other signatures.
    expected = find(signatures, "serving_default", "--model")["inputs"]
    found: list[float] = []
    for some in _requests(flags, given, expected):
        scores = server.regress("regress", some)
        _check_rows({"regress": scores}, some)
        found += scores.values
    print("row\tanomaly_score")
    for row, one in enumerate(found):
        print(f"{row}\t{one:.6g}")


def _ask(
    flags: argparse.Namespace, server: Server, name: str, signature: dict[str, Any], inputs: dict[str, Array]
) -> dict[str, Array]:
    """The outputs for all rows."""
    parts = []
    for some in _requests(flags, inputs, signature["inputs"]):
        parts.append(server.predict(name, some, list(signature["outputs"])))
        _check_rows(parts[-1], some)
    return {key: Array.joined([part[key] for part in parts]) for key in parts[0]}


def _requests(flags: argparse.Namespace, inputs: dict[str, Array], expected: Any) -> list[dict[str, Array]]:
    """Checked inputs, of which a request carries no more rows than a server merges into a batch."""
    counts = [array.shape[0] for array in inputs.values() if array.shape]
    if flags.label is not None:
        shape = (counts[0],) if counts else ()
        inputs = inputs | {"label": Array("int64", shape, [flags.label] * (counts[0] if counts else 1))}
    check_inputs(inputs, expected, "--input" if "input" in flags else "--model")
    if not counts:
        return [inputs]
    starts = range(0, counts[0], flags.batch_size)
    return [{name: array.rows(at, at + flags.batch_size) for name, array in inputs.items()} for at in starts]


def _check_rows(outputs: dict[str, Array], inputs: dict[str, Array]) -> None:
    """Checks an answer: as many rows as were sent, or as many as were asked for."""
    count = next((array.shape[0] for array in inputs.values() if array.shape), None)
    count = inputs["n"].values[0] if count is None else count
    for name, array in outputs.items():
        if array.shape[:1] != (count,):
            raise ClientError(f"the server's {name!r} has the shape {list(array.shape)}, expected {count} rows")
