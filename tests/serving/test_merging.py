"""Requests that a server merges: those of other clients change nothing, but for one of a wrong shape."""

from concurrent import futures

import grpc
import numpy as np
import pytest

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture
def together(served):
    """Runs calls at once, whose requests the server merges; their results, or exceptions."""

    def run(*calls):
        with pytest.MonkeyPatch.context() as patch, futures.ThreadPoolExecutor(len(calls)) as pool:
            patch.setattr(served.models.bundles["digits"][2].merger, "together", len(calls))
            sent = [pool.submit(call) for call in calls]
            return [one.exception() or one.result() for one in sent]

    return run


@pytest.fixture
def sizes(served, monkeypatch):
    """The rows of each batch that the model takes."""
    bundle, seen = served.models.bundles["digits"][2], []

    def run(signature, feeds, run=bundle._run):
        seen.append(len(next(iter(feeds.values()))))
        return run(signature, feeds)

    monkeypatch.setattr(bundle, "_run", run)
    return seen


def test_each_client_gets_its_own_rows_as_alone(predict, post, images, sizes, together):
    """Of two clients, each with a row that is not valid."""
    mine, theirs = images[:3].copy(), images[3:8].copy()
    mine[1, 3, 3], theirs[4, 0, 0] = np.nan, 7.0
    seeds = np.arange(3), np.arange(10, 15)
    calls = [
        lambda: predict("score", image=mine, seed=seeds[0]),
        lambda: post({"signature_name": "score", "inputs": {"image": theirs.tolist(), "seed": seeds[1].tolist()}}),
    ]
    alone = [call() for call in calls]
    sizes.clear()
    merged = together(*calls)
    assert sizes == [8]  # 3 and 5 rows in one batch
    assert merged[1][0] == alone[1][0] == 200
    for found, expected in ((merged[0], alone[0]), (merged[1][1]["outputs"], alone[1][1]["outputs"])):
        assert found.keys() == expected.keys() and len(found) == 5
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, **CLOSE, err_msg=key)
    assert merged[0]["valid"].tolist() == [True, False, True]
    assert merged[1][1]["outputs"]["valid"] == [True] * 4 + [False]


def test_a_batch_is_filled_up_to_an_allowed_size(served, predict, images, sizes, together):
    expected = served("encode", image=images)["mean"]
    for counts, size in {(1,): 1, (2,): 8, (4, 4): 8, (5, 4): 64, (64,): 64}.items():
        stops = np.cumsum(counts)
        parts = [slice(stop - count, stop) for count, stop in zip(counts, stops, strict=True)]
        found = together(*[lambda part=part: predict("encode", image=images[part]) for part in parts])
        for part, one in zip(parts, found, strict=True):
            np.testing.assert_allclose(one["mean"], expected[part], **CLOSE)
        assert sizes.pop() == size and not sizes


@pytest.mark.parametrize("wrong", ["shape", "type"])
def test_a_wrong_shape_or_type_fails_what_it_is_merged_with(wrong, predict, post, images, together):
    bad = images[:1].repeat(2, axis=1) if wrong == "shape" else images[:1].astype(np.int64)
    good = lambda: predict("encode", image=images[:2])  # noqa: E731
    before = good()
    found = together(good, lambda: predict("encode", image=bad), good)
    code = grpc.StatusCode.FAILED_PRECONDITION if wrong == "shape" else grpc.StatusCode.INTERNAL
    assert [one.code() for one in found] == [code] * 3
    if wrong == "shape":  # over REST a type is the server's, and not the client's
        found = together(good, lambda: post({"signature_name": "encode", "inputs": bad.tolist()}))
        assert found[0].code() == code and found[1][0] == 412 and "different shapes" in found[1][1]["error"]
    with pytest.raises(grpc.RpcError) as alone:
        predict("encode", image=bad)
    assert alone.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert all((good()[key] == value).all() for key, value in before.items())
