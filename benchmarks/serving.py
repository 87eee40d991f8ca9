"""Latency of an export's signatures in one process, and the same model in other runtimes, in one run.

  python benchmarks/serving.py
  python benchmarks/serving.py --saved_model=saved_models/digits/1 --requests=200 --rounds=5

Requests are those that the export warms up with (`pip install tfvae[serving]`), for each batch size that a server
may make. Beside TensorFlow, `encode`, `decode` and `score_noise` run in ONNX Runtime, OpenVINO and LiteRT, each with as
many threads as there are cores; rounds alternate. Writes result.json and README.md into docs/results/serving.
"""

import datetime
import glob
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import flags

from tfvae import cli
from tfvae.errors import InputError
from tfvae.files import make_folder, write_atomically, write_json

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, "docs", "results", "serving")
WARMUP = os.path.join("assets.extra", "tf_serving_warmup_requests")
CONVERTED = ("encode", "decode", "score_noise")
RUNTIMES = ("TensorFlow", "ONNX Runtime", "OpenVINO", "LiteRT")

flags.DEFINE_string("saved_model", os.path.join("saved_models", "digits", "1"), "one version of an export")
flags.DEFINE_integer("requests", 200, "of each signature and size in a round", 10)
flags.DEFINE_integer("rounds", 5, "of the comparison with other runtimes", 1)
flags.DEFINE_string("results_dir", FOLDER, "where the report goes")

_LOAD = """
import sys, time
import tensorflow as tf
start = time.perf_counter()
model = tf.saved_model.load(sys.argv[1])
print(time.perf_counter() - start)
"""

Inputs = dict[str, np.ndarray]
Call = Callable[[Inputs], Any]


def requests(folder: str) -> dict[tuple[str, int], Inputs]:
    """The export's own requests: inputs by (signature, rows)."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    found: dict[tuple[str, int], Inputs] = {}
    path = os.path.join(folder, WARMUP)
    if not os.path.exists(path):
        raise InputError(f"--saved_model: {folder} has no {WARMUP}, expected an export made with tfvae[serving]")
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.HasField("regress_log"):
            examples = log.regress_log.request.input.example_list.examples
            inputs = {"inputs": np.array([one.SerializeToString() for one in examples], object)}
            name = log.regress_log.request.model_spec.signature_name
        else:
            request = log.predict_log.request
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            name = request.model_spec.signature_name
        found[name, len(next(iter(inputs.values())))] = inputs
    return found


def milliseconds(call: Callable[[], Any], count: int) -> list[float]:
    """The time of each of `count` calls, after some that count for nothing."""
    for _ in range(5):
        call()
    found = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        found.append(1_000 * (time.perf_counter() - start))
    return found


def latencies(folder: str, given: dict[tuple[str, int], Inputs], count: int) -> list[dict[str, Any]]:
    """Median and 99th percentile of each signature and number of rows."""
    import tensorflow as tf

    # What a server cannot batch is a model of its own.
    loaded = [tf.saved_model.load(place) for place in (folder, *glob.glob(os.path.join(folder, "sample", "*")))]
    signatures = {name: run for model in reversed(loaded) for name, run in model.signatures.items()}
    if len(loaded) > 1:
        sizes = sorted({size for _, size in given})
        given = given | {("sample", n): {"n": np.array(n), "seed": np.array(0)} for n in sizes}
    rows = []
    for (name, size), inputs in sorted(given.items()):
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        run = signatures[name]
        # Chains take long: fewer requests tell their median.
        each = milliseconds(
            lambda run=run, tensors=tensors: run(**tensors), count // 2 if name == "complete" else count
        )
        rows.append(
            {"signature": name, "rows": size, "median_ms": statistics.median(each),
             "p99_ms": float(np.percentile(each, 99)), "requests": len(each)}
        )  # fmt: skip
        print(f"{name}, {size} rows: {rows[-1]['median_ms']:.2f} ms", file=sys.stderr)
    return rows


def _tensorflow(folder: str, name: str, files: dict[str, str]) -> Call:
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)

    def call(inputs: Inputs) -> Any:
        # By the loaded object each time: a signature alone does not keep its variables.
        outputs = loaded.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    return call


def _onnxruntime(folder: str, name: str, files: dict[str, str]) -> Call:
    import onnxruntime

    session = onnxruntime.InferenceSession(files["onnx"], providers=["CPUExecutionProvider"])
    outputs = [one.name for one in session.get_outputs()]
    return lambda inputs: dict(zip(outputs, session.run(outputs, inputs), strict=True))


def _openvino(folder: str, name: str, files: dict[str, str]) -> Call:
    import openvino

    # As the others compute: by itself it takes bfloat16 where the processor can.
    compiled = openvino.Core().compile_model(files["onnx"], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    return lambda inputs: {port.any_name: value for port, value in request.infer(inputs).items()}


def _litert(folder: str, name: str, files: dict[str, str]) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(files["litert"], num_threads=os.cpu_count())
    runner = model.get_signature_runner()
    return lambda inputs: runner(**inputs)


_OPEN = dict(zip(RUNTIMES, (_tensorflow, _onnxruntime, _openvino, _litert), strict=True))


def side_by_side(folder: str, given: dict[tuple[str, int], Inputs], *, count: int, rounds: int) -> list[dict[str, Any]]:
    """The same requests in each runtime, in rounds that alternate: medians of the rounds' medians, and ratios."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for kind in ("onnx", "litert"):
            command = [sys.executable, os.path.join(ROOT, "tools", "convert.py"), f"--saved_model={folder}",
                       f"--to={kind}", f"--signatures={','.join(CONVERTED)}", f"--output={place}/{kind}"]  # fmt: skip
            subprocess.run(command, check=True, stdout=sys.stderr)
        for name in CONVERTED:
            files = {"onnx": f"{place}/onnx/{name}.onnx", "litert": f"{place}/litert/{name}.tflite"}
            calls = {runtime: _OPEN[runtime](folder, name, files) for runtime in RUNTIMES}
            for size in sorted(rows_ for signature, rows_ in given if signature == name):
                inputs = given[name, size]
                expected = calls["TensorFlow"](inputs)
                found: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
                apart = {runtime: _furthest(call(inputs), expected) for runtime, call in calls.items()}
                for _ in range(rounds):
                    for runtime, call in calls.items():
                        each = milliseconds(lambda call=call, inputs=inputs: call(inputs), count)
                        found[runtime].append(statistics.median(each))
                ours = statistics.median(found["TensorFlow"])
                for runtime, medians in found.items():
                    middle = statistics.median(medians)
                    rows.append(
                        {"signature": name, "rows": size, "runtime": runtime, "median_ms": middle,
                         "least_ms": min(medians), "most_ms": max(medians), "times_tensorflow": ours / middle,
                         "largest_difference": apart[runtime]}
                    )  # fmt: skip
                print(f"{name}, {size} rows: compared", file=sys.stderr)
    return rows


def _furthest(found: dict[str, Any], expected: dict[str, Any]) -> float:
    """The largest difference of the numbers that both have."""
    pairs = [(np.asarray(found[key], np.float64), np.asarray(expected[key], np.float64)) for key in expected]
    return max(float(np.max(np.abs(one - other))) for one, other in pairs)


def readme(result: dict[str, Any]) -> str:
    """The report."""
    lines = ["| signature | rows | median, ms | p99, ms | rows/s |", "|---|---|---|---|---|"]
    for row in result["latency"]:
        pace = 1_000 * row["rows"] / row["median_ms"]
        lines.append(
            f"| `{row['signature']}` | {row['rows']} | {row['median_ms']:.2f} | {row['p99_ms']:.2f} | {pace:,.0f} |"
        )
    beside = ["| signature | rows | " + " | ".join(RUNTIMES) + " |", "|---|---|" + "---|" * len(RUNTIMES)]
    cells = {(row["signature"], row["rows"], row["runtime"]): row for row in result["runtimes"]}
    for name, size in sorted({key[:2] for key in cells}):
        values = [cells[name, size, runtime] for runtime in RUNTIMES]
        shown = [f"{row['median_ms']:.3f} ms ({row['times_tensorflow']:.1f})" for row in values]
        beside.append(f"| `{name}` | {size} | " + " | ".join(shown) + " |")
    apart = max(row["largest_difference"] for row in result["runtimes"])
    return "\n\n".join([
        "# Latency of an export",
        "`python benchmarks/serving.py` wrote this file and `result.json`.",
        f"`{result['saved_model']}` in one process on {result['machine']}, {result['date']}: TensorFlow "
        f"{result['versions']['tensorflow']}, no server and no network. Loading takes {result['load_seconds']:.2f} s "
        f"(median of three processes, TensorFlow's import not counted); `saved_model.pb` has "
        f"{result['saved_model_pb_kb']:,.0f} kB. K = {result['num_samples']} posterior samples of each row in `score` "
        "and its kin.",
        "\n".join(lines),
        "## Other runtimes",
        f"The same requests, {result['rounds']} rounds that alternate, medians of the rounds; in brackets how many "
        f"times as fast as TensorFlow. The largest difference from TensorFlow's numbers is {apart:.1e}. Times count "
        "the way of the numbers in and out.",
        "\n".join(beside),
        "OpenVINO reads the ONNX files. Times are of a shared machine; ratios are of one run.",
    ]) + "\n"  # fmt: skip


def main() -> None:
    """Measures, and writes the report."""
    import tensorflow as tf

    options = cli.FLAGS
    folder = options.saved_model
    given = requests(folder)
    make_folder(options.results_dir, flag="--results_dir")
    command = [sys.executable, "-c", _LOAD, folder]
    loads = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) for _ in range(3)
    ]
    from tfvae.files import read_json
    from tfvae.studies.run import machine

    where = machine()
    result = {
        "saved_model": folder,
        "date": datetime.date.today().isoformat(),
        "machine": f"{where['cores']} cores ({where['processor']})",
        "versions": {"tensorflow": tf.__version__},
        "num_samples": read_json(os.path.join(folder, "model_card.json"))["num_samples"],
        "load_seconds": statistics.median(loads),
        "saved_model_pb_kb": os.path.getsize(os.path.join(folder, "saved_model.pb")) / 1_000,
        "rounds": options.rounds,
        "latency": latencies(folder, given, options.requests),
        "runtimes": side_by_side(folder, given, count=options.requests, rounds=options.rounds),
    }
    write_json(os.path.join(options.results_dir, "result.json"), result)
    write_atomically(os.path.join(options.results_dir, "README.md"), readme(result))
    print(os.path.join(options.results_dir, "README.md"))


if __name__ == "__main__":
    cli.run(main)
