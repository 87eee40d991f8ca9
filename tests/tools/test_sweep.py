"""`tools/sweep.py`: its flags; the work is tested in `tests/training/test_sweep.py`."""

import contextlib
import io
import pathlib
import runpy
import signal
import subprocess
import sys

import pytest
from absl.testing import flagsaver

import tfvae.training  # noqa: F401, what `sys.modules` is looked up in

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = str(ROOT / "tools" / "sweep.py")


def call(monkeypatch, path, *flags):
    """The script in this process, whose flags and signals are put back: exit code, output, errors."""
    out, err, before = io.StringIO(), io.StringIO(), signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(path)
    monkeypatch.setattr(sys, "argv", [SCRIPT, *flags])
    code = 0
    with flagsaver.flagsaver(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(SCRIPT, run_name="__main__")
        except SystemExit as end:
            code = end.code
    signal.signal(signal.SIGTERM, before)
    return code, out.getvalue(), err.getvalue()


@pytest.mark.filterwarnings("ignore:the load_module")  # of ml_collections
@pytest.mark.parametrize(
    ("flags", "workdir", "field", "values"),
    [
        ((), "runs/digits_sweep", "objective.kl_weight", ["0.1", "0.3", "1", "3", "10"]),
        (("--field=model.latent_size", "--values=2,8", "--workdir=here"), "here", "model.latent_size", ["2", "8"]),
    ],
)
def test_a_sweep_prints_its_table_and_where_to_look(flags, workdir, field, values, tmp_path, monkeypatch):
    called = []
    figures = {"elbo": -3.5, "rate": 1.0, "distortion": 2.5, "log_likelihood": -3.0}
    rows = [{"value": 2, **figures, "log_likelihood_standard_error": 0.25, "step": 7, "workdir": "x"}]
    module = sys.modules["tfvae.training.sweep"]
    monkeypatch.setattr(module, "sweep", lambda *args, **kwargs: called.append((args, kwargs)) or rows)
    code, out, err = call(monkeypatch, tmp_path, "--config.training.num_epochs=3", *flags)
    assert code == 0, err
    [((config, where), given)] = called
    assert (config.name, config.training.num_epochs, where) == ("digits", 3, workdir)
    assert given == {"field": field, "values": values}
    head, line, *_ = out.splitlines()
    assert head.split()[0] == field and line.split() == ["2", "-3.50", "1.00", "2.50", "-3.00", "0.25"]
    assert f"  {workdir}/rate_distortion.png\n  {workdir}/sweep.json\n" in out


@pytest.mark.filterwarnings("ignore:the load_module")
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--field=objective.kl_wieght",), "--field: received 'objective.kl_wieght'"),
        (("--values=",), "--values: received none"),
        (("--values=1,,3",), "--values: received ''"),
        (("--values=0.1,ten",), "--values: received 'ten'"),
        (("--valuess=1",), "valuess"),
    ],
)
def test_bad_flags_give_one_line_and_leave_nothing(flags, says, tmp_path, monkeypatch):
    code, out, err = call(monkeypatch, tmp_path, *flags)
    assert code == 1 and out == "" and not list(tmp_path.iterdir())
    [line] = err.strip().splitlines()
    assert line.startswith("error: ") and says in line


def test_help_answers_without_tensorflow_and_matplotlib():
    program = "import sys, runpy; sys.argv = ['sweep.py', '--help']; sys.modules['tensorflow'] = None\n"
    program += f"sys.modules['matplotlib'] = None; runpy.run_path({SCRIPT!r}, run_name='__main__')"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert all(flag in result.stdout for flag in ("--workdir", "--field", "--values", "--config"))
