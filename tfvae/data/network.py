"""Whether a host can be reached: asked before a download that would try again for minutes."""

import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterable

_SECONDS = 5.0


def unreachable_host(urls: Iterable[str], *, seconds: float = _SECONDS) -> str:
    """The first host of `urls`, or the proxy before it, that does not answer; empty where all do.

    Hosts are asked at once, and for `seconds` in all.
    """
    hosts = {}
    for url in urls:
        name, port = _way_to(url)
        if name:
            hosts[name, port] = _Probe(name, port, seconds)
    for probe in hosts.values():
        probe.start()
    for (name, _), probe in hosts.items():
        probe.join(seconds)
        if not probe.answered:
            return name
    return ""


def _way_to(url: str) -> tuple[str, int]:
    """Host and port that a connection for `url` goes to."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and parts.hostname and not urllib.request.proxy_bypass(parts.hostname):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or {"http": 80, "ftp": 21}.get(parts.scheme, 443)


class _Probe(threading.Thread):
    """Tries one connection: a thread, as looking up a name knows no time limit, which does not hold up the exit."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self._address, self._seconds = (host, port), seconds
        self.answered = False

    def run(self) -> None:
        try:
            with socket.create_connection(self._address, timeout=self._seconds):
                self.answered = True
        except OSError:
            pass
