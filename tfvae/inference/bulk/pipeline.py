"""The part of Apache Beam: units go to workers, each of which loads the model once."""

import contextlib
import io
import logging
import re
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from tfvae.data.paths import first_line
from tfvae.errors import InputError
from tfvae.inference.bulk.failures import OF_ONE_FILE, READABLE, reason
from tfvae.inference.bulk.job import Job
from tfvae.inference.bulk.units import Unit
from tfvae.inference.bulk.work import STOPPING, worker

_STEP = " [while running "  # how Beam goes on behind the message of what a worker raised
# What a worker raised that comes as text from another thread or process: of bad input, and of a file.
_BAD_INPUT = re.compile(r"tfvae\.errors\.InputError: (.*)")
_BAD_FILE = re.compile(r"(?:\w+Error: (?=\[Errno)|errors_impl\.(?:NotFound|PermissionDenied)Error: |Unicode\w+: )(.*)")


class _Do(beam.DoFn):
    """Does units. It is sent to workers without a model, which they load from its folder."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def setup(self) -> None:
        self._worker = worker(self._job)

    def process(self, unit: Unit) -> Iterator[int]:
        self._worker.run(unit)
        yield unit.number


def parse(flags: Sequence[str]) -> tuple[PipelineRunner, PipelineOptions]:
    """The runner and the options of `--pipeline_options`.

    Raises:
      InputError: for a runner that there is none of, or, where this process is the runner, an option that is none.
    """
    text, said = " ".join(flags), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):  # pages of usage, and what is wrong
            options = PipelineOptions(list(flags))
            known, all_given = options.get_all_options(), options.get_all_options(retain_unknown_options=True)
            name = options.view_as(StandardOptions).runner or "DirectRunner"
            # By that name Beam would first look for its newer runner, a program that it downloads.
            local = name.lower() in ("direct", "directrunner")
            runner = FnApiRunner() if local else create_runner(name)
    except SystemExit as error:
        _, told, line = said.getvalue().strip().rpartition("error: ")
        why = line if told else "none for help"
        raise InputError(f"--pipeline_options: received {text!r}, expected options of Apache Beam ({why})") from error
    except (ValueError, ImportError, AttributeError) as error:
        raise InputError(
            f"--pipeline_options: received {text!r}, expected options of Apache Beam ({first_line(error)})"
        ) from error
    unknown = sorted(set(all_given) - set(known))
    if local and unknown:  # other runners have options that only they know
        raise InputError(f"--pipeline_options: received --{unknown[0]}, expected options of Apache Beam")
    options.view_as(SetupOptions).save_main_session = False  # workers import what they need
    return runner, options


def run(job: Job, units: Sequence[Unit], runner: PipelineRunner, options: PipelineOptions) -> None:
    """Does units on a runner, and returns when it has ended.

    Raises:
      InputError: of a worker, for files that it cannot read or write, and where the runner does not start.
    """
    STOPPING.clear()
    logger = logging.getLogger("apache_beam")
    level = logger.level
    if isinstance(runner, FnApiRunner):
        logger.setLevel(logging.CRITICAL)  # what a worker raises is said once, below
    try:
        pipeline = beam.Pipeline(runner=runner, options=options)
        # Without a shuffle a runner may take all units as one piece of work.
        _ = pipeline | beam.Create(list(units)) | beam.Reshuffle() | beam.ParDo(_Do(job))
        pipeline.run().wait_until_finish()
    except BaseException as error:
        STOPPING.set()  # threads of this process would go on
        _raise_first(error, runner)
        raise
    finally:
        logger.setLevel(level)


def _raise_first(error: BaseException, runner: PipelineRunner) -> None:
    """Raises what ended a pipeline, but for defects of ours: Beam makes other exceptions of it.

    Raises:
      KeyboardInterrupt, SystemExit: where it was interrupted.
      InputError: of a worker, for files that it cannot read or write, and where the runner does not start.
    """
    chain: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in chain:
        chain.append(found)
        found = found.__cause__ or found.__context__
    for one in chain:
        if isinstance(one, KeyboardInterrupt | SystemExit):
            raise one
        if isinstance(one, InputError):
            raise InputError(str(one).partition(_STEP)[0]) from error
    text = "\n".join(map(str, chain))
    bad_input, bad_file = _BAD_INPUT.search(text), _BAD_FILE.search(text)
    if bad_input:
        raise InputError(bad_input[1].partition(_STEP)[0]) from error
    if isinstance(error, Exception) and _STEP not in text and "Traceback" not in text:
        raise InputError(
            f"--pipeline_options: received {type(runner).__name__}, which does not start ({first_line(error)}), "
            "expected a runner that does"
        ) from error
    said = [reason(one) for one in chain if isinstance(one, (OSError, *OF_ONE_FILE)) and _STEP not in str(one)]
    if bad_file or said:
        why = said[0] if said else bad_file[1]  # type: ignore[index]
        raise InputError(
            f"--shards: received {why.partition(_STEP)[0]!r} of a worker, expected {READABLE} or written: the same "
            "command goes on"
        ) from error
