"""The table of configs: a config that does not run any more has no row."""

import importlib.util
import json
import pathlib
import types

import pytest
from absl import flags

from tfvae.errors import InputError

FILE = pathlib.Path(__file__).parents[2] / "benchmarks" / "config_table.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script as a module, over a README and rows of its own: of `digits` and of `gamma`."""
    spec = importlib.util.spec_from_file_location("config_table", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("configs", "measure"):
        delattr(flags.FLAGS, name)
    monkeypatch.setattr(module, "README", str(tmp_path / "README.md"))
    monkeypatch.setattr(module, "RESULT", str(tmp_path / "result.json"))
    (tmp_path / "README.md").write_text(f"above\n{module.BEGIN}\nold\n{module.END}\nbelow\n")
    (tmp_path / "result.json").write_text(json.dumps({"rows": [row("digits", -22.0), row("gamma", -30.0)]}))
    return module


def row(name, elbo):
    return {"config": name, "seconds": 3.0, "elbo": elbo, "log_likelihood": elbo + 1, "num_samples": 5}


def measure(script, monkeypatch, *names):
    """Runs the script for these configs, of which `gamma` fails."""

    def run(name):
        if name == "gamma":
            raise InputError("gamma: the loss is not finite")
        return row(name, -11.0)

    monkeypatch.setattr(script, "measure", run)
    monkeypatch.setattr(
        script, "flags", types.SimpleNamespace(FLAGS=types.SimpleNamespace(configs=names, measure=True))
    )
    script.main(None)


def test_a_failed_run_loses_its_row(script, monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        measure(script, monkeypatch, "gamma", "digits")
    assert end.value.code == 1
    assert "error: gamma: the loss is not finite; it has no row" in capsys.readouterr().err
    assert json.loads((tmp_path / "result.json").read_text()) == {"rows": [row("digits", -11.0)]}
    text = (tmp_path / "README.md").read_text()
    assert "-11.00" in text and "`gamma`" not in text and text.startswith("above\n") and text.endswith("\nbelow\n")


def test_a_run_that_ends_replaces_its_row(script, monkeypatch, tmp_path):
    measure(script, monkeypatch, "digits")
    assert json.loads((tmp_path / "result.json").read_text()) == {"rows": [row("digits", -11.0), row("gamma", -30.0)]}
    assert "`gamma`" in (tmp_path / "README.md").read_text()
