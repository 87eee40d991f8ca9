import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfvae import random


def threefry_reference(key, counter):
    """Threefry-2x32-20 with Python integers, from the paper's description."""
    mask, rotations = 0xFFFFFFFF, [(13, 15, 26, 6), (17, 29, 16, 24)]
    keys = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    x0, x1 = (counter[0] + keys[0]) & mask, (counter[1] + keys[1]) & mask
    for group in range(5):
        for r in rotations[group % 2]:
            x0 = (x0 + x1) & mask
            x1 = ((x1 << r) | (x1 >> (32 - r))) & mask ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & mask
        x1 = (x1 + keys[(group + 2) % 3] + group + 1) & mask
    return x0, x1


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [  # known answers published with Random123
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_published_answers(key, counter, expected):
    words = [tf.constant(word, tf.uint32) for word in (*key, *counter)]
    assert tuple(int(w) for w in random._threefry(*words)) == expected == threefry_reference(key, counter)


@pytest.mark.parametrize("jit", [False, True])
def test_rows_do_not_depend_on_their_batch_nor_samples_on_their_number(jit):
    def draw(rows, num_samples, first_sample):
        keys = random.row_keys(3, random.TRAINING, step=11, rows=tf.constant(rows))
        return random.uniforms(keys, 5, num_samples=num_samples, first_sample=first_sample)

    compiled = tf.function(draw, jit_compile=jit, autograph=False)
    whole = draw(list(range(10)), 6, 0).numpy()
    np.testing.assert_array_equal(compiled([4, 2], 6, 0).numpy(), whole[:, [4, 2]])
    np.testing.assert_array_equal(compiled([7], 2, 3).numpy(), whole[3:5, [7]])


def test_each_coordinate_of_a_key_matters():
    def first(seed=0, stream=random.TRAINING, step=0, row=0):
        return float(random.uniforms(random.row_keys(seed, stream, step=step, rows=[row]), 1)[0, 0, 0])

    seen = [first(), first(seed=1), first(seed=2**40), first(seed=-1), first(stream=2), first(step=1), first(row=1)]
    assert len(set(seen)) == len(seen)
    keys = random.row_keys(0, 1, rows=[0])
    assert not np.array_equal(random.fold_in(keys, 1), random.fold_in(keys, 2))


def test_seeds_of_rows_may_differ():
    rows = tf.zeros([2], tf.int64)
    both = random.row_keys(tf.constant([5, 9], tf.int64), random.PRIOR, rows=rows)
    np.testing.assert_array_equal(both[1:], random.row_keys(9, random.PRIOR, rows=rows[:1]))


def test_distributions():
    keys = random.row_keys(1, random.TRAINING, rows=tf.range(400))
    uniform = random.uniforms(keys, 501).numpy()
    assert uniform.shape == (1, 400, 501) and uniform.min() > 0.0 and uniform.max() < 1.0
    assert scipy.stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    normal = random.normals(keys, 501).numpy()[0]
    assert scipy.stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    # Independent between neighbours, in a row and across rows.
    for a, b in ((normal[:, 1:], normal[:, :-1]), (normal[1:], normal[:-1])):
        assert abs(np.mean(a * b)) < 4 / np.sqrt(a.size)


def test_the_largest_uniform_has_a_finite_quantile():
    largest = (tf.constant(2**23 - 1, tf.float32) + 0.5) * (1.0 / 2**23)
    assert largest < 1.0 and np.isfinite(tf.math.ndtri(largest))


def test_split_gives_other_keys_for_each_row():
    keys = random.row_keys(0, random.TRAINING, rows=tf.range(7))
    parts = random.split(keys, 5).numpy()
    assert parts.shape == (5, 7, 2)
    every = np.concatenate([parts.reshape(-1, 2), keys, random.fold_in(keys, 1), random.fold_in(keys, 2)])
    assert len(np.unique(every, axis=0)) == 8 * 7
    np.testing.assert_array_equal(random.split(keys[2:4], 3), parts[:3, 2:4])
