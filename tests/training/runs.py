"""What runs leave behind, to be compared."""

import numpy as np
import tensorflow as tf


def weights(path):
    """Every tensor of the newest checkpoint but the metrics' sums."""
    reader = tf.train.load_checkpoint(str(path / "run" / "checkpoints"))
    names = [name for name in reader.get_variable_to_shape_map() if "_mean/" not in name and "OBJECT_GRAPH" not in name]
    return {name: reader.get_tensor(name) for name in names if name != "save_counter/.ATTRIBUTES/VARIABLE_VALUE"}


def history(path):
    """The scalars of each epoch, of training and validation."""
    found = {}
    for events in sorted((path / "run" / "logs").glob("*/events*")):
        for record in tf.data.TFRecordDataset(str(events)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tensor.dtype == tf.float32 and value.tag != "images_per_second":
                    found[events.parent.name, value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def assert_close(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], err_msg=str(name), **tolerance)
