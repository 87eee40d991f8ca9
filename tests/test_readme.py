"""The README's words do what they say."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("number", range(2))
def test_python_blocks_run(number, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    block = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)[number]
    exec(compile(block, f"README block {number}", "exec"), {})
    assert "tf.Tensor" in capsys.readouterr().out


def test_the_saved_model_cli_line_runs():
    line = next(line for line in TEXT.splitlines() if line.startswith("saved_model_cli"))
    program = pathlib.Path(sys.executable).parent / "saved_model_cli"
    result = subprocess.run([program, *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Result for output key mean" in result.stdout and "Result for output key logits" in result.stdout


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "GLOSSARY.md", "docs/architecture.md"])
def test_what_documents_name_exists(document):
    path = ROOT / document
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)  # blocks show what a user would make
    named = re.findall(r"(?<![\w/.-])((?:tools|configs|tests|docs|benchmarks|tfvae)/[\w/.-]*\w)", text)
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    missing = [n for n in named if not (ROOT / n).exists()] + [n for n in linked if not (path.parent / n).exists()]
    assert not missing


def test_the_table_of_configs_is_whole():
    for path in (ROOT / "configs").glob("*.py"):
        assert f"| `{path.stem}` |" in TEXT, path.stem
