"""Messages of TensorFlow Serving's configs that its Python package leaves out."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

# Fields of session_bundle_config.proto and monitoring_config.proto.
FIELDS = {
    "BatchingParameters": {
        "max_batch_size": "Int64Value", "batch_timeout_micros": "Int64Value", "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value", "thread_pool_name": "StringValue", "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
    },
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
}  # fmt: skip


def _messages():
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="serving_configs.proto", package="configs", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    for message, fields in FIELDS.items():
        made = file.message_type.add(name=message)
        for number, (name, kind) in enumerate(fields.items(), 1):
            label = kinds.LABEL_REPEATED if kind.startswith("repeated ") else kinds.LABEL_OPTIONAL
            field = made.field.add(name=name, number=number, label=label)
            kind = kind.removeprefix("repeated ")
            if kind[0].isupper():
                package = "google.protobuf" if hasattr(wrappers_pb2, kind) else "configs"
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    made = [pool.FindMessageTypeByName(f"configs.{message}") for message in FIELDS]
    return dict(zip(FIELDS, map(message_factory.GetMessageClass, made), strict=True))


MESSAGES = _messages() | {"ModelServerConfig": model_server_config_pb2.ModelServerConfig}


def parse(path, message):
    """A message from a file of its text form; a field that it has not raises `text_format.ParseError`."""
    return text_format.Parse(path.read_text(), MESSAGES[message]())
