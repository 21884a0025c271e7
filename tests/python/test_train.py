import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import flashlm
import numpy as np
import pytest


IDS = [3, 70, 80, 90]


def weights(run):
    return (Path(run) / "latest" / "model.safetensors").read_bytes()


def test_progress_is_what_the_log_has(config, tmp_path):
    seen = []
    result = flashlm.train({**config, "out": tmp_path / "run"}, seen.append)
    assert result.finished and result.step == 8
    assert result.results == json.loads((tmp_path / "run" / "results.json").read_text())
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [p.line for p in seen] == log
    assert [p.step for p in seen if not p.evaluation] == list(range(1, 9))
    assert [p.step for p in seen if p.evaluation] == [4, 8]
    assert seen[0].loss == pytest.approx(log[0]["cross_entropy"])
    assert seen[-1].fraction == 1


def test_a_run_that_was_ended_goes_on_bit_for_bit(config, run, tmp_path):
    result = flashlm.train({**config, "out": tmp_path / "run"}, lambda p: p.step < 3)
    assert not result.finished and result.step == 3 and result.results is None
    assert flashlm.train({"resume": result.run}).finished
    assert weights(result.run) == weights(run)


def test_a_run_may_start_with_the_values_of_another(config, run, tmp_path):
    still = {"optim.lr": 0, "optim.muon_lr": 0, "optim.vector_lr": 0}
    settings = {key: value for key, value in {**config["set"], **still}.items() if not key.startswith("model.")}
    flashlm.train({**config, "start": run, "out": tmp_path / "run", "steps": 1, "set": settings})
    first, second = flashlm.load(run), flashlm.load(tmp_path / "run")
    assert second.logits(IDS, precision="f32").tolist() == first.logits(IDS, precision="f32").tolist()
    with pytest.raises(flashlm.UsageError, match="--preset"):
        flashlm.train({"data": config["data"], "start": run, "out": tmp_path / "other", "steps": 1})


def test_exceptions_of_the_callback_are_raised_with_all_saved(config, tmp_path):
    def fail(progress):
        if progress.step == 2:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        flashlm.train({**config, "out": tmp_path / "run"}, fail)
    assert flashlm.train({"resume": tmp_path / "run", "steps": 3}).step == 3


def test_the_callbacks_exception_comes_first(config, tmp_path):
    def fail(progress):
        shutil.rmtree(tmp_path / "run")
        (tmp_path / "run").write_text("no folder")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        flashlm.train({**config, "out": tmp_path / "run"}, fail)


def test_whatever_is_false_ends_training(config, tmp_path):
    for answer, step in ((np.bool_(False), 1), (0, 1), (None, 8), (True, 8)):
        out = tmp_path / f"run-{answer}"
        assert flashlm.train({**config, "out": out}, lambda p, answer=answer: answer).step == step


@pytest.mark.parametrize("with_callback", [True, False])
def test_ctrl_c_ends_training_with_all_saved(config, tmp_path, with_callback):
    """In a process of its own, which is sent the signal when it has done a step."""
    program = """
import json, os, signal, sys, threading, time
import flashlm
config, with_callback = json.loads(sys.argv[1]), sys.argv[2] == "True"
def interrupt():
    while not os.path.exists(config["out"] + "/log.jsonl") or os.path.getsize(config["out"] + "/log.jsonl") == 0:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    flashlm.train(config, (lambda p: None) if with_callback else None)
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("interrupted")
"""
    wanted = {**config, "data": str(config["data"]), "out": str(tmp_path / "run"), "steps": 1000000}
    arguments = [sys.executable, "-c", program, json.dumps(wanted), str(with_callback)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "interrupted\n" and done.stderr == ""
    steps = flashlm.load(tmp_path / "run").step
    assert steps > 0
    assert flashlm.train({"resume": tmp_path / "run", "steps": steps + 1}).step == steps + 1


def test_ctrl_c_ends_a_text(model):
    pieces = []
    with pytest.raises(KeyboardInterrupt):
        for piece in model.generate("The", max_tokens=100000):
            pieces.append(piece)
            if len(pieces) == 3:
                os.kill(os.getpid(), signal.SIGINT)
    assert len(pieces) < 100


def test_what_is_wrong_is_said_before_any_work(config, tmp_path):
    with pytest.raises(TypeError, match="known: data"):
        flashlm.train({**config, "output": "x"})
    for wrong, error in (
        ({"set": "train.micro_batch=2"}, TypeError),
        ({"set": ""}, TypeError),
        ({"set": {"model.d_model": None}}, TypeError),
        ({"resume": ""}, ValueError),
        ({"time": "\0 3s"}, ValueError),
        ({"data": f"{config['data']}\0junk"}, ValueError),
        ({"seed": 2**64 + 5}, OverflowError),
        ({"seed": -1}, OverflowError),
        ({"seed": 2**63}, flashlm.UsageError),
    ):
        with pytest.raises(error):
            flashlm.train({**config, "out": tmp_path / "run", **wrong})
    with pytest.raises(flashlm.UsageError, match="one budget"):
        flashlm.train({**config, "out": tmp_path / "run", "tokens": "1M"})
    with pytest.raises(flashlm.UsageError, match="micro_batch"):
        flashlm.train({**config, "out": tmp_path / "run", "set": {"train.micro_bach": 2}})
    with pytest.raises(flashlm.Error, match="nowhere"):
        flashlm.train({**config, "out": tmp_path / "run", "data": tmp_path / "nowhere"})
    assert not (tmp_path / "run").exists()


def test_messages(config, tmp_path, capfd):
    heard = []
    flashlm.set_message_handler(heard.append)
    try:
        flashlm.train({**config, "out": tmp_path / "run"})
    finally:
        flashlm.set_message_handler(None)
    assert any("done: 8 steps" in line for line in heard)
    count = len(heard)
    flashlm.train({**config, "out": tmp_path / "other"})
    assert len(heard) == count
    assert capfd.readouterr() == ("", "")


def test_a_message_handler_may_end_itself(config, tmp_path):
    heard = []

    def once(line):
        heard.append(line)
        flashlm.set_message_handler(None)

    flashlm.set_message_handler(once)
    flashlm.train({**config, "out": tmp_path / "run"})
    assert len(heard) == 1
