"""A model that `flashlm serve` offers for as long as a block lasts: for the tools here that ask it as other programs do."""

import contextlib
import json
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def served(flashlm: str, model: str, *options: str) -> Iterator[str]:
    """The address, http://127.0.0.1:PORT, of a server on a free port."""
    command = [flashlm, "serve", "--model", model, "--port", "0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            said = b"".join(iter(server.stdout.readline, b"}\n"))
            if server.poll() is not None:
                raise SystemExit(f"the server ended: {' '.join(command)}")
            yield f"http://127.0.0.1:{json.loads(said + b'}')['port']}"
        finally:
            server.terminate()
