import glob
import itertools
import os

import pytest
import tensorflow as tf

from tfvae.report import curves, training_curves
from tfvae.report.curves import read_scalars, thinned


def write(folder, scalars, *, picture=False):
    """An event file: tag -> (step, value) each."""
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        tf.summary.text("config", "some text", step=0)
        for tag, points in scalars.items():
            for step, value in points:
                tf.summary.scalar(tag, value, step=step)
        if picture:
            tf.summary.image("samples", tf.zeros([1, 4, 4, 1]), step=1)
    writer.close()


def test_scalars_are_read_by_tag_and_nothing_else(tmp_path):
    write(tmp_path, {"elbo": [(10, -2.5), (20, -1.5)], "loss": [(10, 3.0)]}, picture=True)
    assert read_scalars(str(tmp_path), ["elbo", "rate"]) == {"elbo": [(10, -2.5), (20, -1.5)]}


def test_what_a_resumed_run_made_again_counts(tmp_path, monkeypatch):
    # The names of event files begin with the second of their making.
    for number, points in enumerate([[(10, 1.0), (20, 2.0), (30, 3.0)], [(20, 5.0), (40, 6.0)]]):
        write(tmp_path / str(number), {"elbo": points})
        [path] = glob.glob(str(tmp_path / str(number) / "*"))
        os.rename(path, tmp_path / f"events.out.tfevents.{1000 + number}.host.v2")
    assert read_scalars(str(tmp_path), ["elbo"]) == {"elbo": [(10, 1.0), (20, 5.0), (30, 3.0), (40, 6.0)]}


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path):
    write(tmp_path, {"elbo": [(step, 1.0) for step in range(50)]})
    [path] = tmp_path.glob("*")
    path.write_bytes(path.read_bytes()[:-20])
    assert len(read_scalars(str(tmp_path), ["elbo"])["elbo"]) == 49
    path.write_bytes(b"no event file at all")
    assert read_scalars(str(tmp_path), ["elbo"]) == {}


@pytest.mark.parametrize("first", ["elbo", "loss"])
def test_the_elbo_is_drawn_or_else_the_loss(tmp_path, first):
    logged = {first: [(1, -3.0), (2, -2.0)], "rate": [(1, 1.0)]}
    write(tmp_path / "train", logged | {"loss": [(1, -3.0), (2, -2.0)]})
    write(tmp_path / "validation", {"rate": [(1, 4.0)]})
    assert training_curves(str(tmp_path)) == [
        curves.Curve(first, {"train": [(1, -3.0), (2, -2.0)]}),
        curves.Curve("rate", {"train": [(1, 1.0)], "validation": [(1, 4.0)]}),
    ]


def test_without_logs_there_are_no_curves(tmp_path):
    assert training_curves(str(tmp_path / "none")) == []


def test_long_lines_are_thinned_and_keep_their_ends():
    line = [(step, float(step)) for step in range(10_000)]
    short = thinned(line)
    assert len(short) == 400 and short[0] == line[0] and short[-1] == line[-1]
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(short)]
    assert max(gaps) - min(gaps) <= 1
    assert thinned(line[:400]) == line[:400]
