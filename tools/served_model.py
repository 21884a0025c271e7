"""A model that `flashlm serve` offers for as long as a block lasts: for the tools here that ask it as other programs do."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def served(flashlm: str, model: str, *options: str) -> Iterator[str]:
    """The address, http://127.0.0.1:PORT, of a server on a free port. Ends the program where there will be no server."""
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    command = [flashlm, "--quiet", "serve", "--model", model, "--port", "0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        try:
            said = []
            for line in server.stdout:
                said.append(line)
                if line == b"}\n":
                    break
            else:
                raise SystemExit(f"the server ended: {' '.join(command)}")
            yield f"http://127.0.0.1:{json.loads(b''.join(said))['port']}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
