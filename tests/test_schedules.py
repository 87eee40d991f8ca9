import numpy as np
import pytest
import tensorflow as tf

from tfvae.config import validate
from tfvae.errors import InputError
from tfvae.schedules import Constant, Cosine, Cyclic, Linear, Schedule

KNOWN = {
    "constant": (Constant(), {0: 1.0, 1_000_000: 1.0}),
    "linear up": (Linear(start=0.2, num_steps=10), {0: 0.2, 1: 0.28, 5: 0.6, 10: 1.0, 11: 1.0, 999: 1.0}),
    "linear down": (Linear(start=1.0, end=0.5, num_steps=4), {0: 1.0, 1: 0.875, 4: 0.5, 9: 0.5}),
    "cosine": (Cosine(num_steps=100), {0: 1.0, 25: 0.5 + 0.5 / np.sqrt(2), 50: 0.5, 75: 0.5 - 0.5 / np.sqrt(2),
                                       100: 0.0, 1000: 0.0}),
    "cosine to an end": (Cosine(end=0.1, num_steps=60), {0: 1.0, 20: 0.1 + 0.9 * 0.75, 30: 0.55, 60: 0.1, 99: 0.1}),
    "cosine with warm-up": (Cosine(warmup_steps=10, num_steps=110), {0: 0.1, 4: 0.5, 9: 1.0, 10: 1.0, 60: 0.5,
                                                                     110: 0.0, 500: 0.0}),
    "cyclic": (Cyclic(num_cycles=4, rise=0.5, num_steps=80), {0: 0.0, 5: 0.5, 10: 1.0, 19: 1.0, 20: 0.0, 25: 0.5,
                                                              30: 1.0, 60: 0.0, 62: 0.2, 79: 1.0, 80: 1.0, 85: 1.0}),
    "cyclic without a plateau": (Cyclic(num_cycles=2, rise=1.0, num_steps=8), {0: 0.0, 1: 0.25, 3: 0.75, 4: 0.0,
                                                                               7: 0.75, 8: 1.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_values(name):
    schedule, values = KNOWN[name]
    for step, expected in values.items():
        factor = schedule.factor(step)
        assert factor.dtype == tf.float32 and factor.shape == []
        np.testing.assert_allclose(factor, expected, atol=1e-6, err_msg=f"step {step}")


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", KNOWN)
def test_compiled_factors_are_the_same(name, jit):
    schedule, values = KNOWN[name]

    @tf.function(jit_compile=jit, autograph=False)
    def factors(steps):
        return tf.stack([schedule.factor(steps[i]) for i in range(len(values))])

    eager = [float(schedule.factor(tf.constant(step, tf.int64))) for step in values]
    np.testing.assert_allclose(factors(tf.constant(list(values), tf.int64)), eager, atol=1e-6)
    np.testing.assert_allclose(eager, list(values.values()), atol=1e-6)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Cyclic()], ids=lambda s: s.tag)
def test_for_run_fills_in_the_whole_run(schedule):
    filled = schedule.for_run(80)
    assert (schedule.num_steps, filled.num_steps) == (0, 80) and type(filled) is type(schedule)
    given = filled.for_run(1000)
    assert given == filled


def test_for_run_keeps_other_fields_and_what_has_no_steps():
    assert Cosine(end=0.25, warmup_steps=3).for_run(9) == Cosine(end=0.25, warmup_steps=3, num_steps=9)
    assert Constant().for_run(9) == Constant()


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        (Linear(start=-0.1), "s.start: received -0.1, expected a number at least 0"),
        (Linear(num_steps=-1), "s.num_steps: received -1, expected a number at least 0"),
        (Linear(num_steps=1.5), "s.num_steps: received 1.5, expected int"),
        (Linear(end=float("nan")), "s.end: received nan"),
        (Cosine(end=-1.0), "s.end: received -1.0, expected a number at least 0"),
        (Cosine(warmup_steps=-1), "s.warmup_steps: received -1"),
        (Cyclic(num_cycles=0), "s.num_cycles: received 0, expected a number at least 1"),
        (Cyclic(rise=0.0), "s.rise: received 0.0, expected a number above 0 and at most 1"),
        (Cyclic(rise=1.5), "s.rise: received 1.5, expected a number above 0 and at most 1"),
    ],
)
def test_bad_fields_are_refused(schedule, says):
    with pytest.raises(InputError) as error:
        validate(schedule, "s.")
    assert str(error.value).startswith(says)


def test_a_schedule_without_a_factor_says_so():
    with pytest.raises(NotImplementedError):
        Schedule().factor(0)


def test_unknown_arguments_are_refused():
    with pytest.raises(TypeError, match="steps"):
        Linear(steps=3)
