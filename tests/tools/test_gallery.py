"""Every picture of the gallery is one that its script makes: the flags are looked at, nothing is drawn."""

import pathlib
import re
import runpy

import pytest
from absl.testing import flagsaver

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def gallery():
    with flagsaver.flagsaver():
        return runpy.run_path(str(ROOT / "tools" / "gallery.py"))


def test_the_readme_shows_pictures_that_are_made_and_there(gallery):
    shown = re.findall(r"docs/pictures/gallery/([\w.]+)", (ROOT / "README.md").read_text())
    assert shown and set(shown) <= set(gallery["PICTURES"])
    for name in shown:
        assert (ROOT / "docs" / "pictures" / "gallery" / name).is_file(), name


def test_each_command_has_known_flags_and_a_model(gallery):
    for model, command in gallery["PICTURES"].values():
        config = gallery["MODELS"][model].split()[0].partition(":")[0]
        assert (ROOT / "configs" / config).is_file()
        script, *arguments = command.split()
        text = (ROOT / "tools" / f"{script}.py").read_text() + (ROOT / "tfvae" / "cli" / "models.py").read_text()
        for argument in arguments:
            assert f'"{argument.removeprefix("--").partition("=")[0]}"' in text, argument
