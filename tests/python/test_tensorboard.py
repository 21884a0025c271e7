"""Event files as they must be for TensorBoard, read by a reader of our own, and by TensorBoard's where it is installed."""
import json
import struct
import subprocess
import sys
from pathlib import Path

import flashlm
import pytest
from conftest import TINY


def crc32c(data):
    """Bit by bit, as RFC 3720 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack_from("<Q", data)
        assert struct.unpack_from("<I", data, 8) == (masked(data[:8]),)
        content = data[12 : 12 + length]
        assert struct.unpack_from("<I", data, 12 + length) == (masked(content),)
        yield content
        data = data[16 + length :]


def varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def fields(message):
    """(number, value) of a message of Protocol Buffers."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(message, at)
        elif kind == 1:
            (value,) = struct.unpack_from("<d", message, at)
            at += 8
        elif kind == 2:
            size, at = varint(message, at)
            value, at = message[at : at + size], at + size
        else:
            assert kind == 5
            (value,) = struct.unpack_from("<f", message, at)
            at += 4
        yield key >> 3, value


def events(folder):
    """{(tag, step): value} of the scalars of a folder's files, the last of each; and sessions' first steps."""
    scalars, starts = {}, []
    for path in sorted(Path(folder).glob("events.out.tfevents.*")):
        first = True
        for record in records(path):
            event = dict(fields(record))
            if first:
                assert event[3] == b"brain.Event:2"
            elif 7 in event:
                assert dict(fields(event[7])) == {1: 1}
                starts.append(event[2])
                scalars = {key: value for key, value in scalars.items() if key[1] < event[2]}
            for number, value in fields(event.get(5, b"")):
                scalar = dict(fields(value))
                assert number == 1
                scalars[scalar[1].decode(), event[2]] = scalar[2]
            assert event[1] > 1.6e9
            first = False
    return scalars, starts


def expected(folder):
    scalars = {}
    for text in (Path(folder) / "log.jsonl").read_text().splitlines():
        line = json.loads(text)
        groups = {"train": line} if "step" in line else {key: part for key, part in line.items() if isinstance(part, dict)}
        for group, numbers in groups.items():
            for name, value in numbers.items():
                if isinstance(value, (int, float)) and name != "step":
                    scalars[f"{group}/{name}", line.get("step", line.get("eval_step"))] = pytest.approx(value, rel=1e-6)
    return scalars


def test_crc():
    assert crc32c(b"123456789") == 0xE3069283


def test_event_files_have_the_numbers_of_the_log(config, tmp_path):
    run = tmp_path / "run"
    flashlm.train({**config, "out": run, "tensorboard": True}, lambda p: p.step < 5)
    scalars, starts = events(run)
    assert scalars == expected(run) and starts == []
    assert ("train/cross_entropy", 5) in scalars and ("eval/bits_per_byte", 4) in scalars
    flashlm.train({"resume": run, "tensorboard": True})
    scalars, starts = events(run)
    assert scalars == expected(run) and starts == [6]
    assert ("eval/bits_per_byte", 8) in scalars


def test_the_command_writes_them_too(data, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "flashlm", "train", "--data", data, "--out", run, "--preset", "gpt-baseline"]
    settings = [word for item in TINY.items() for word in ("--set", "=".join(map(str, item)))]
    subprocess.run([*command, "--steps", "5", *settings, "--tensorboard", "--quiet"], check=True)
    scalars, _ = events(run)
    assert scalars == expected(run) and ("train/cross_entropy", 5) in scalars


def test_no_event_files_unless_asked_for(run):
    assert list(Path(run).glob("events*")) == []


def test_tensorboard_reads_them(config, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    flashlm.train({**config, "out": tmp_path / "run", "tensorboard": True})
    reader = accumulator.EventAccumulator(str(tmp_path / "run"), size_guidance={accumulator.SCALARS: 0})
    reader.Reload()
    scalars = expected(tmp_path / "run")
    read = {(tag, e.step): e.value for tag in reader.Tags()["scalars"] for e in reader.Scalars(tag)}
    assert read == scalars
