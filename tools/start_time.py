#!/usr/bin/env python3
"""How long a model takes from the start of the program to its first token, measured from outside.

    tools/start_time.py [--flashlm build/release/flashlm] [--starts 10] MODEL [OPTION...]

Starts `generate -n 1` and `serve` by turns, on a model whose file is in the page cache, and prints the median, the
quickest and the slowest start of each in milliseconds: to the end of `generate`, and to the first token of a stream that
is asked for as soon as `serve` says where it listens. Options are handed to both (--precision int8).
"""

import argparse
import http.client
import json
import statistics
import subprocess
import time

from served_model import served


def generate(flashlm, model, options):
    began = time.perf_counter()
    subprocess.run([flashlm, "generate", "--model", model, "-n", "1", *options], check=True, capture_output=True)
    return time.perf_counter() - began


def serve(flashlm, model, options):
    began = time.perf_counter()
    with served(flashlm, model, *options) as address:
        listening = time.perf_counter() - began
        client = http.client.HTTPConnection(address.removeprefix("http://"))
        body = json.dumps({"prompt": "Once upon a time", "max_tokens": 16, "stream": True, "seed": 1})
        client.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        line = client.getresponse().readline()
        took = time.perf_counter() - began
        assert json.loads(line.removeprefix(b"data: "))["choices"][0]["text"], line
        return took, listening


def say(name, seconds):
    ms = [1000 * s for s in seconds]
    print(f"{name}: median {statistics.median(ms):.0f} ms, {min(ms):.0f} to {max(ms):.0f} ms, {len(ms)} starts")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flashlm", default="build/release/flashlm")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("model")
    arguments, options = parser.parse_known_args()
    with open(arguments.model, "rb") as file:  # a packed file: into the page cache
        file.read()
    generated, first_tokens, listened = [], [], []
    for _ in range(arguments.starts):
        generated.append(generate(arguments.flashlm, arguments.model, options))
        token, listening = serve(arguments.flashlm, arguments.model, options)
        first_tokens.append(token)
        listened.append(listening)
    say("generate, to its end", generated)
    say("serve, until it listens", listened)
    say("serve, to the first served token", first_tokens)


if __name__ == "__main__":
    main()
