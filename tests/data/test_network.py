"""Probes of hosts."""

import socket
import time

import pytest

from tfvae.data.network import unreachable_host


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_host_that_answers(port):
    assert unreachable_host([f"http://127.0.0.1:{port}/a", f"https://127.0.0.1:{port}/b"]) == ""
    assert unreachable_host([]) == ""


def test_a_host_that_does_not_answer(port):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    assert unreachable_host([f"http://127.0.0.1:{port}/", f"http://localhost:{closed}/"]) == "localhost"
    assert unreachable_host(["https://no-such-host.invalid/x"]) == "no-such-host.invalid"


def test_a_look_up_that_hangs(monkeypatch):
    def hang(*args, **kwargs):
        time.sleep(3)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", hang)
    start = time.monotonic()
    assert unreachable_host(["https://slow.example/x"], seconds=0.2) == "slow.example"
    assert time.monotonic() - start < 2


def test_the_proxy_is_asked_where_there_is_one(monkeypatch, port):
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    assert unreachable_host(["https://no-such-host.invalid/x"]) == ""
    monkeypatch.setenv("no_proxy", "no-such-host.invalid")
    assert unreachable_host(["https://no-such-host.invalid/x"]) == "no-such-host.invalid"
