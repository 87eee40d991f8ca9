"""Asks a TensorFlow Serving server for an export's signatures over REST; Python's standard library is enough.

  python rest_client.py status
  python rest_client.py score photo.png --version_label=stable
  python rest_client.py generate --seeds=0-63 --output=made.png
  python rest_client.py sample --count=16 --seed=1 --output=made.png
  python rest_client.py encode --input=images.npz --output=codes.npz --format=row
  python rest_client.py regress --input=images.npz

Each command has --help. An error is one line, and the exit code 1.
"""

import argparse
import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import client_commands
from client_checks import described
from client_files import Array, ClientError

_VERSIONS = "model_version_status"
_NO_ANSWER = (OSError, http.client.HTTPException, ValueError)


class RestServer:
    """A server's REST interface.

    Args:
      flags: `host`, `port`, `model`, `version`, `version_label`, `timeout` and `format`.
    """

    def __init__(self, flags: argparse.Namespace) -> None:
        self.address, self.flags = f"http://{flags.host}:{flags.port}", flags
        self.path = f"/v1/models/{urllib.parse.quote(flags.model, safe='')}"
        if flags.version is not None:
            self.path += f"/versions/{flags.version}"
        elif flags.version_label is not None:
            self.path += f"/labels/{urllib.parse.quote(flags.version_label, safe='')}"

    def status(self) -> dict[str, Any]:
        """See `client_commands.Server`."""
        return self._send("", lambda found: {"model_version_status": [dict(one) for one in found[_VERSIONS]]})

    def signatures(self) -> client_commands.Signatures:
        """See `client_commands.Server`."""
        return self._send("/metadata", lambda found: described(found["metadata"]["signature_def"]["signature_def"]))

    def predict(self, signature: str, inputs: dict[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """See `client_commands.Server`."""
        columns = {name: _jsonable(array) for name, array in inputs.items()}
        content: dict[str, Any] = {"signature_name": signature}
        if self.flags.format == "row" and all(array.shape for array in inputs.values()):
            content["instances"] = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        else:
            content["inputs"] = columns

        def read(answer: Any) -> dict[str, Array]:
            found = answer["predictions" if "instances" in content else "outputs"]
            if len(outputs) == 1:  # an only output comes without its name
                return {outputs[0]: Array.of(found)}
            if "instances" in content:
                return {name: Array.of([row[name] for row in found]) for name in outputs}
            return {name: Array.of(found[name]) for name in outputs}

        return self._send(":predict", read, content)

    def regress(self, signature: str, inputs: dict[str, Array]) -> Array:
        """See `client_commands.Server`."""
        rows = range(next(iter(inputs.values())).shape[0])
        examples = [{name: list(array.rows(row, row + 1).values) for name, array in inputs.items()} for row in rows]
        content = {"signature_name": signature, "examples": examples}
        return self._send(":regress", lambda found: Array.of(found["results"]), content)

    def _send(self, what: str, read: Callable[[Any], Any], content: dict[str, Any] | None = None) -> Any:
        """What `read` makes of the answer to a GET, or to a POST of `content`; it raises for one of another form."""
        url = self.address + self.path + what
        body = None if content is None else json.dumps(content).encode()
        try:
            request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=self.flags.timeout) as response:
                return read(json.load(response))
        except urllib.error.HTTPError as error:
            raise ClientError(f"{url}: HTTP {error.code}: {_message(error)}") from error
        except TimeoutError as error:
            raise self._too_late(url) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise self._too_late(url) from error
            raise ClientError(f"no server answers at {self.address} ({error.reason})") from error
        except (*_NO_ANSWER, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ClientError(f"{url}: expected a model server's answer ({type(error).__name__}: {error})") from error

    def _too_late(self, url: str) -> ClientError:
        return ClientError(f"{url}: no answer within {self.flags.timeout:g} s")


def _jsonable(array: Array) -> Any:
    """Nested lists; bytes as JSON can hold them."""
    if array.dtype == "bytes":
        return [{"b64": base64.b64encode(one).decode()} for one in array.values]
    return array.nested()


def _message(error: urllib.error.HTTPError) -> str:
    """What the server says of an error; the standard words where it says nothing."""
    try:
        return str(json.load(error)["error"])
    except (*_NO_ANSWER, LookupError, TypeError, RecursionError):
        return str(error.reason)


if __name__ == "__main__":
    client_commands.run(__doc__, port=8501, connect=RestServer, rest=True)
