"""What an import costs: TensorFlow comes with the first model, not before."""

import subprocess
import sys

import pytest

import tfvae
from tfvae import build, regularizers, vae

HEAVY = ("tensorflow", "tf_keras", "tensorflow_probability", "sklearn", "PIL")


def run(program):
    """What a fresh interpreter prints."""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "names", ["tfvae", "tfvae.config, tfvae.cli", "tfvae.schedules, tfvae.component, tfvae.errors, tfvae.files"]
)
def test_importing_is_light_and_quiet(names):
    found = run(f"import {names}, sys; print([m for m in {HEAVY} if m in sys.modules])")
    assert found == "[]\n"


def test_a_config_file_that_chooses_no_parts_is_light():
    found = run("from tfvae import config, schedules; import sys; config.validate(config.DataConfig());"
                "config.validate(config.TrainingConfig()); print('tensorflow' in sys.modules)")  # fmt: skip
    assert found == "False\n"


def test_main_names_are_loaded_on_first_use():
    assert tfvae.VAE is vae.VAE
    assert tfvae.KLRegularizer is regularizers.KLRegularizer
    assert tfvae.build_vae is build.build_vae
    assert all(hasattr(tfvae, name) for name in tfvae.__all__)


@pytest.mark.parametrize("name", sorted(tfvae._MODULES))
def test_modules_are_attributes(name):
    assert tfvae.__getattr__(name) is sys.modules[f"tfvae.{name}"]
    assert name in dir(tfvae)


@pytest.mark.parametrize("name", ["VEA", "vaes", "_hidden"])
def test_unknown_names_are_refused(name):
    with pytest.raises(AttributeError, match=f"^module 'tfvae' has no attribute '{name}'$"):
        getattr(tfvae, name)
    assert not hasattr(tfvae, name)
    with pytest.raises(ImportError, match=name):
        exec(f"from tfvae import {name}")


def test_dir_lists_what_there_is():
    assert {"VAE", "KLRegularizer", "build_vae", "config", "posteriors", "__version__"} <= set(dir(tfvae))
    assert dir(tfvae) == sorted(set(dir(tfvae)))
