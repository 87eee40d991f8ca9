"""The config of a run: its typed schema, its validation, its JSON form, its files.

`get_config()` in a config file returns a `Config`. The parts of the model are
components that the config file chooses; every field can be set on the command line
as `--config.model.latent_size=32`. Nothing here imports TensorFlow.
"""

from tfvae.config.files import from_file, split_argument, variant
from tfvae.config.json_form import differences, field_names, from_dict, to_dict
from tfvae.config.schema import Config, DataConfig, EvaluationConfig, ModelConfig, TrainingConfig
from tfvae.config.validation import validate

__all__ = [
    "Config", "DataConfig", "EvaluationConfig", "ModelConfig", "TrainingConfig", "differences", "field_names",
    "from_dict", "from_file", "split_argument", "to_dict", "validate", "variant",
]  # fmt: skip
