"""Training."""
from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import signal
import threading
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

from flashlm._arguments import c_bytes, c_string, c_whole
from flashlm._library import OnProgress, TrainConfig, TrainProgressStruct, call, take_json


@dataclasses.dataclass(frozen=True)
class TrainProgress:
    """Given after every step and every evaluation."""

    evaluation: bool
    """Of held-out text, after a step; else of the step's own."""
    step: int
    tokens: int
    fraction: float
    """Of the budget that is done, 0 to 1."""
    loss: float
    """Nats per token."""
    bits_per_byte: float
    tokens_per_s: float
    line: Dict[str, Any]
    """Of log.jsonl: all there is to know."""


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """What a run came to."""

    finished: bool
    """False: the callback ended it; what was trained is saved and can be resumed."""
    run: str
    """Its folder, which flashlm.load opens."""
    step: int
    tokens: int
    results: Optional[Dict[str, Any]]
    """results.json, if finished."""


_WORDS = ["data", "out", "resume", "start", "preset", "recipe", "time", "hours", "tokens", "steps"]
_KEYS = [*_WORDS, "set", "seed", "tensorboard"]


def _value(key: str, value: Any) -> str:
    """A setting's value as in TOML."""
    if value is None:
        raise TypeError(f"set has no value for {key!r}")
    return value if isinstance(value, str) else json.dumps(value)


def _settings(given: Any) -> List[bytes]:
    if isinstance(given, (str, bytes)):
        raise TypeError('set is a mapping, as {"train.checkpoint_every": 100}, not a text')
    pairs = [f"{key}={_value(key, value)}" for key, value in given.items()] if isinstance(given, Mapping) else given
    return [c_string(c_bytes(pair)) for pair in pairs]  # TOML is UTF-8, whatever names of files are


def _struct(config: Mapping[str, Any]) -> TrainConfig:
    unknown = [key for key in config if key not in _KEYS]
    if unknown:
        raise TypeError(f"unknown key {unknown[0]!r} of config; known: {', '.join(_KEYS)}")
    struct = TrainConfig()
    for key in _WORDS:
        if config.get(key) is not None:
            value = config[key]
            word = c_string(value if isinstance(value, bytes) or hasattr(value, "__fspath__") else str(value))
            if not word:
                raise ValueError(f"{key} is empty")
            setattr(struct, key, word)
    settings = _settings(config["set"]) if config.get("set") is not None else []
    struct.set = (ctypes.c_char_p * len(settings))(*settings)
    struct.set_count = len(settings)
    if config.get("seed") is not None:
        struct.seed = ctypes.pointer(ctypes.c_uint64(c_whole(ctypes.c_uint64, config["seed"], "seed")))
    struct.tensorboard = bool(config.get("tensorboard"))
    return struct


def _progress(struct: TrainProgressStruct) -> TrainProgress:
    line = json.loads(ctypes.string_at(struct.line, struct.line_size))
    numbers = [getattr(struct, field.name) for field in dataclasses.fields(TrainProgress)[1:-1]]
    return TrainProgress(bool(struct.evaluation), *numbers, line)


@contextlib.contextmanager
def _interrupts() -> Iterator[List[int]]:
    """Ctrl-C as an entry of a list, where it would raise KeyboardInterrupt: that could happen on the way into a
    callback of the library's, before any of its lines, and be lost."""
    caught: List[int] = []
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield caught
        return
    signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        yield caught
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def train(
    config: Mapping[str, Any], callback: Optional[Callable[[TrainProgress], Optional[bool]]] = None
) -> TrainResult:
    """Trains until the budget is done or `callback` returns something false other than None.

    config has what `flashlm train --help` lists: "data" (folder made by `flashlm data prepare`) and "out" (run folder
    to make), or "resume" (run folder to go on with); a budget, one of "time" ("10m"), "hours", "tokens" ("10M") and
    "steps"; "preset", "recipe"; "start", a model whose values and shape a new run starts with (the preset says how to
    train it); "set", settings as {"train.checkpoint_every": 100}; "seed"; "tensorboard", True to write event files as
    well.

    Ctrl-C and exceptions of the callback end training after the step, with everything saved, and are raised then:
    train({"resume": RUN}) goes on.
    """
    raised: List[BaseException] = []
    with _interrupts() as interrupts:

        def on_progress(struct: Any, _: Any) -> int:
            try:
                answer = None if callback is None else callback(_progress(struct.contents))
                # Whatever is false ends it, as NumPy's False does; nothing does not.
                return (answer is None or bool(answer)) and not interrupts
            except BaseException as error:  # raised again when the library is done
                raised.append(error)
                return False

        out = ctypes.c_void_p()
        try:
            call("train", ctypes.byref(_struct(config)), OnProgress(on_progress), None, ctypes.byref(out))
        except Exception as error:
            if raised:  # came first
                raise raised[0] from error
            raise
    result = take_json(out)
    if raised:
        raise raised[0]
    if interrupts:
        raise KeyboardInterrupt
    return TrainResult(**result)
