"""A data set, and a run that has seen a few steps, which the tests share."""
import subprocess
import sys

import flashlm
import pytest

TINY = {
    "model.d_model": 32,
    "model.n_layers": 1,
    "train.sequence_length": 64,
    "train.micro_batch": 2,
    "train.accumulate": 1,
    "train.eval_documents": 3,
    "train.eval_every": 4,
    "train.eval_share": 100,
}


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    command = [sys.executable, "-m", "flashlm", "data", "prepare", "--input", "synthetic", "--out", str(folder)]
    subprocess.run([*command, "--vocab", "512", "--set", "bytes=100000", "--quiet"], check=True)
    return folder


@pytest.fixture(scope="session")
def config(data):
    """Of a run of 8 steps; `out` is missing."""
    return {"data": data, "preset": "gpt-baseline", "steps": 8, "set": TINY, "seed": 3}


@pytest.fixture(scope="session")
def run(config, tmp_path_factory):
    return flashlm.train({**config, "out": tmp_path_factory.mktemp("run") / "first"}).run


@pytest.fixture(scope="session")
def model(run):
    return flashlm.load(run)
