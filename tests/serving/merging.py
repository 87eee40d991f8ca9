"""How TensorFlow Serving merges requests: the rule of its batching session, without the waiting."""

import dataclasses
import threading

import grpc
import numpy as np

from tests.serving.refusals import INVALID, RefusedError

FAILED, INTERNAL = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INTERNAL
DIFFERENT = (
    "Tensors with name '{}' from different tasks have different shapes and padding is turned off. Set "
    "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions starting "
    "with the first dim."
)


@dataclasses.dataclass
class Batch:
    """Requests that become one."""

    requests: list = dataclasses.field(default_factory=list)
    answers: list = dataclasses.field(default_factory=list)
    done: threading.Event = dataclasses.field(default_factory=threading.Event)


class Merger:
    """Merges requests for the same signature.

    Args:
      parameters: the `BatchingParameters` of a model.

    Attributes:
      together: how many requests make a batch. A server takes what comes within `batch_timeout_micros`; here it is a
        number, so that a test knows what is merged.
    """

    def __init__(self, parameters):
        self.most, self.sizes = parameters.max_batch_size.value, list(parameters.allowed_batch_sizes)
        self.padded = parameters.pad_variable_length_inputs
        self.together, self.waiting, self.lock = 1, {}, threading.Lock()

    def run(self, key, feeds, run):
        """The answer to `feeds`, arrays by name, which `run` takes together with those of others of the same key."""
        rows = {len(value) if value.ndim else None for value in feeds.values()}
        if None in rows:
            raise RefusedError(INVALID, "Batching Run() input tensors must have at least one dimension.")
        if len(rows) > 1:
            raise RefusedError(INVALID, "Batching Run() input tensors must have equal 0th-dimension size.")
        if not 0 < rows.pop() <= self.most:
            raise RefusedError(INVALID, f"Task size is 0, or larger than maximum input batch size {self.most}")
        with self.lock:
            batch = self.waiting.setdefault(key, Batch())
            place = len(batch.requests)
            batch.requests.append(feeds)
            full = len(batch.requests) == self.together
            if full:
                del self.waiting[key]
        if full:
            try:
                batch.answers = self._answers(batch.requests, run)
            except Exception as error:
                batch.answers = [error] * self.together
            batch.done.set()
        assert batch.done.wait(60), "the other requests of a batch are missing"
        if isinstance(batch.answers[place], Exception):
            raise batch.answers[place]
        return batch.answers[place]

    def _answers(self, requests, run):
        assert not self.padded  # which no export asks for
        counts = [len(next(iter(feeds.values()))) for feeds in requests]
        size = min(size for size in self.sizes if size >= sum(counts))
        merged = {}
        for name in requests[0]:
            values = [feeds[name] for feeds in requests]
            if len({value.shape[1:] for value in values}) > 1:
                raise RefusedError(FAILED, DIFFERENT.format(name))
            if len({value.dtype for value in values}) > 1:
                raise RefusedError(INTERNAL, "Tensor concat operation failed: different data types")
            filling = [values[-1][:1]] * (size - sum(counts))  # the first row of the last request
            merged[name] = np.concatenate(values + filling)
        outputs = run(merged)
        if any(not value.ndim or len(value) != size for value in outputs.values()):
            raise RefusedError(FAILED, "Batched output tensor's 0th dimension does not equal the sum of the inputs'")
        stops = np.cumsum(counts)
        return [
            {name: value[stop - count : stop] for name, value in outputs.items()}
            for count, stop in zip(counts, stops, strict=True)
        ]
