"""The configs in `tools/serving`: a misspelt name in them fails here, and not when a server starts."""

import itertools
import os
import pathlib
import re
import subprocess

import pytest
import yaml  # ml_collections brings it
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.export.golden import EXPORT
from tests.serving.conftest import TOOLS
from tests.serving.messages import MESSAGES, parse
from tfvae.export.batching import BATCH_SIZES, PARAMETERS, write_parameters
from tfvae.export.card_text import SERVING_IMAGE

COMPOSE = yaml.safe_load((TOOLS / "docker-compose.yml").read_text())
SERVING = COMPOSE["services"]["serving"]
FLAGS = dict(flag.removeprefix("--").split("=", 1) for flag in SERVING["command"])


FILES = {
    "models.config": "ModelServerConfig", "batching.config": "BatchingParameters",
    "monitoring.config": "MonitoringConfig",
}  # fmt: skip


def parsed(name):
    return parse(TOOLS / name, FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_misspelt_field_fails(name):
    text = "\n".join(line.split("#")[0] for line in (TOOLS / name).read_text().splitlines())
    for field in sorted(set(re.findall(r"(\w+)(?=\s*[:{])", text))):
        spoilt = re.sub(rf"\b{field}(?=\s*[:{{])", f"{field}x", text)
        with pytest.raises(text_format.ParseError, match=f'no field named "{field}x"'):
            text_format.Parse(spoilt, MESSAGES[FILES[name]]())


def test_batching_is_that_of_each_export(tmp_path):
    write_parameters(str(tmp_path))
    found = parsed("batching.config")
    for folder in (tmp_path, EXPORT):  # what would be written now, and what lies beside the export of this repository
        assert parse(folder / PARAMETERS, "BatchingParameters") == found
    assert not found.pad_variable_length_inputs  # zeros beside an image would be another image
    # The server's own rules.
    sizes = list(found.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) == list(BATCH_SIZES) and sizes[-1] == found.max_batch_size.value
    assert found.num_batch_threads.value >= 1


def test_models(served):
    digits, sample = parsed("models.config").model_config_list.config
    assert (digits.name, sample.name) == ("digits", "digits_sample")
    assert {digits.model_platform, sample.model_platform} == {"tensorflow"}
    assert digits.version_labels.keys() == {"stable", "canary"}
    assert set(digits.version_labels.values()) <= set(digits.model_version_policy.specific.versions)
    # A server finds version folders at both places, in the container as in an export.
    version = str(digits.version_labels["stable"])
    for config in (digits, sample):
        place = served.path.parents[1] / pathlib.PurePosixPath(config.base_path).relative_to("/models")
        assert (place / version / "saved_model.pb").is_file()
        # What the server merges requests for.
        assert (place / version / PARAMETERS).exists() == (config is digits)


def test_a_label_moves_only_to_what_is_loaded():
    text = (TOOLS / "README.md").read_text()
    blocks = re.findall(r"```proto\n(.*?)```", text, flags=re.DOTALL)
    first = parsed("models.config").model_config_list.config[0]
    steps = [first] + [text_format.Parse(block, model_server_config_pb2.ModelConfig()) for block in blocks]
    assert len(steps) == 5
    for before, after in itertools.pairwise(steps):
        loaded = set(before.model_version_policy.specific.versions)
        kept = loaded & set(after.model_version_policy.specific.versions)
        for label, version in after.version_labels.items():
            assert version in kept, f"{label} of {after}"
        assert before != after
    # And each step but the last can be taken back: what the labels meant is still loaded.
    for before, after in itertools.pairwise(steps[:-1]):
        assert set(before.version_labels.values()) <= set(after.model_version_policy.specific.versions)


def test_containers_are_pinned_and_seen_by_this_machine_alone():
    for name, service in COMPOSE["services"].items():
        repository, _, tag = service["image"].rpartition(":")
        assert repository and re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
        for port in service["ports"]:
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), port
        assert all(volume.endswith(":ro") for volume in service["volumes"])
        for volume in service["volumes"]:
            assert (TOOLS / volume.split(":")[0]).is_dir()  # docker makes an empty folder of what is missing
    import tensorflow as tf

    assert SERVING["image"].split(":")[1].split(".")[:2] == tf.__version__.split(".")[:2]
    assert SERVING["image"] == SERVING_IMAGE  # which model cards name


def test_the_servers_flags_and_files_agree():
    assert (FLAGS["port"], FLAGS["rest_api_port"]) == ("8500", "8501")
    assert [port.split(":")[-1] for port in SERVING["ports"]] == ["8500", "8501"]
    mounted = {volume.split(":")[1]: TOOLS / volume.split(":")[0] for volume in SERVING["volumes"]}
    files = {flag: value for flag, value in FLAGS.items() if flag.endswith("_file")}
    assert files.keys() == {"model_config_file", "batching_parameters_file", "monitoring_config_file"}
    for value in files.values():
        folder, name = os.path.split(value)
        assert (mounted[folder] / name).samefile(TOOLS / name) and name in FILES
    for config in parsed("models.config").model_config_list.config:
        assert config.base_path.startswith("/models/") and mounted["/models"].name == "saved_models"
    # What each model's own file needs, and labels at the start.
    for flag in (
        "enable_batching",
        "enable_per_model_batching_parameters",
        "allow_version_labels_for_unavailable_models",
    ):
        assert FLAGS[flag] == "true"
    assert int(FLAGS["model_config_file_poll_wait_seconds"]) > 0


def test_prometheus_reads_what_the_server_offers():
    [job] = yaml.safe_load((TOOLS / "prometheus.yml").read_text())["scrape_configs"]
    monitoring = parsed("monitoring.config").prometheus_config
    assert monitoring.enable and job["metrics_path"] == monitoring.path
    [target] = job["static_configs"][0]["targets"]
    assert target == f"serving:{FLAGS['rest_api_port']}" and "serving" in COMPOSE["services"]
    [flag] = COMPOSE["services"]["prometheus"]["command"]
    assert flag == "--config.file=/config/prometheus.yml"


def test_the_health_check(served, monkeypatch):
    how, shell, option, command = SERVING["healthcheck"]["test"]
    assert how == "CMD" and "$" not in command  # which compose would take for a variable
    name = command.split("/v1/models/")[1].split("/")[0]
    assert name in {config.name for config in parsed("models.config").model_config_list.config}

    def healthy(port):
        local = command.replace("/127.0.0.1/8501", f"/127.0.0.1/{port}")
        assert local != command
        return subprocess.run([shell, option, local], capture_output=True, timeout=60, check=False).returncode == 0

    assert healthy(served.rest)
    monkeypatch.setitem(served.models.labels, "digits", {"canary": 2})
    assert not healthy(served.rest)
    monkeypatch.undo()
    assert healthy(served.rest) and not healthy(1)
