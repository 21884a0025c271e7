"""libflashlm as it is (include/flashlm/flashlm.h): its functions, structs and errors."""
from __future__ import annotations

import ctypes
import json
import os
from ctypes import POINTER, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Callable, List, Optional

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Error(RuntimeError):
    """Something failed: a file is missing or damaged, a disk is full, a shape does not fit."""


class UsageError(Error, ValueError):
    """The call is wrong: an unknown name, a value out of range."""


class GenerateOptions(ctypes.Structure):
    _fields_ = [
        ("max_tokens", c_int),
        ("temperature", c_double),
        ("top_k", c_int),
        ("top_p", c_double),
        ("min_p", c_double),
        ("frequency_penalty", c_double),
        ("penalty_window", c_int),
        ("seed", c_int64),
        ("search", c_int),
        ("search_beta", c_double),
    ]


class EvaluationStruct(ctypes.Structure):
    _fields_ = [
        ("bits_per_byte", c_double),
        ("bits_per_char", c_double),
        ("nats_per_token", c_double),
        ("stderr_bits_per_byte", c_double),
        ("bytes", c_int64),
        ("tokens", c_int64),
        ("documents", c_int64),
        ("seconds", c_double),
    ]


class TrainConfig(ctypes.Structure):
    _fields_ = [
        ("data", c_char_p),
        ("out", c_char_p),
        ("resume", c_char_p),
        ("start", c_char_p),
        ("preset", c_char_p),
        ("recipe", c_char_p),
        ("time", c_char_p),
        ("hours", c_char_p),
        ("tokens", c_char_p),
        ("steps", c_char_p),
        ("set", POINTER(c_char_p)),
        ("set_count", c_size_t),
        ("seed", POINTER(c_uint64)),
        ("tensorboard", c_int),
    ]


class TrainProgressStruct(ctypes.Structure):
    _fields_ = [
        ("evaluation", c_int),
        ("step", c_int64),
        ("tokens", c_int64),
        ("fraction", c_double),
        ("loss", c_double),
        ("bits_per_byte", c_double),
        ("tokens_per_s", c_double),
        ("line", c_void_p),
        ("line_size", c_size_t),
    ]


MessageHandler = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_void_p)
OnProgress = ctypes.CFUNCTYPE(c_int, POINTER(TrainProgressStruct), c_void_p)

_OUT = POINTER(c_void_p)
_FLOATS = c_void_p  # memory that the caller owns
_IDS = POINTER(c_int32)
_TEXTS = POINTER(c_char_p)
_SIZES = POINTER(c_size_t)

# Functions that return a status, and their arguments.
_FUNCTIONS = {
    "set_message_handler": [MessageHandler, c_void_p],
    "tokenizer_load": [c_char_p, _OUT],
    "tokenizer_train": [_TEXTS, _SIZES, c_size_t, c_int, _OUT],
    "tokenizer_save": [c_void_p, c_char_p],
    "tokenizer_encode": [c_void_p, c_char_p, c_size_t, POINTER(_IDS), _SIZES],
    "tokenizer_decode": [c_void_p, _IDS, c_size_t, _OUT, _SIZES],
    "model_load": [c_char_p, _OUT],
    "model_tokenizer": [c_void_p, _OUT],
    "model_describe": [c_void_p, _OUT],
    "model_set_depth": [c_void_p, c_int],
    "model_score": [c_void_p, c_char_p, _IDS, c_size_t, _FLOATS],
    "model_logits": [c_void_p, c_char_p, _IDS, c_size_t, _FLOATS],
    "model_evaluate": [c_void_p, c_char_p, _TEXTS, _SIZES, c_size_t, POINTER(EvaluationStruct)],
    "model_evaluate_file": [c_void_p, c_char_p, c_char_p, POINTER(EvaluationStruct)],
    "session_new": [c_void_p, c_char_p, _OUT],
    "session_feed": [c_void_p, _IDS, c_size_t, _FLOATS],
    "session_reset": [c_void_p],
    "generator_new": [c_void_p, c_char_p, c_size_t, POINTER(GenerateOptions), _OUT],
    "generator_next": [c_void_p, _OUT, _SIZES],
    "generator_describe": [c_void_p, _OUT],
    "train": [POINTER(TrainConfig), OnProgress, c_void_p, _OUT],
}
_OTHERS = {
    "version": ([], c_char_p),
    "error": ([], c_char_p),
    "free": ([c_void_p], None),
    "generate_defaults": ([], GenerateOptions),
    "tokenizer_vocab": ([c_void_p], c_int),
    "model_vocab": ([c_void_p], c_int),
    "session_position": ([c_void_p], c_int64),
    "tokenizer_free": ([c_void_p], None),
    "model_free": ([c_void_p], None),
    "session_free": ([c_void_p], None),
    "generator_free": ([c_void_p], None),
}


def _open() -> ctypes.CDLL:
    named = os.environ.get("FLASHLM_LIBRARY")
    beside = sorted(Path(FOLDER).glob("libflashlm.so*"))
    if not named and not beside:
        raise ImportError(
            f"there is no libflashlm in {FOLDER} (hint: install the package with pip, or say where in FLASHLM_LIBRARY)"
        )
    library = ctypes.CDLL(named or str(beside[0]))  # every call leaves the interpreter's lock to others
    for name, arguments in _FUNCTIONS.items():
        function = getattr(library, "flashlm_" + name)
        function.argtypes, function.restype = arguments, c_int
    for name, (arguments, result) in _OTHERS.items():
        function = getattr(library, "flashlm_" + name)
        function.argtypes, function.restype = arguments, result
    return library


lib = _open()
__version__: str = lib.flashlm_version().decode()


def call(name: str, *arguments: Any) -> None:
    """Calls flashlm_NAME and raises what it reports."""
    status = getattr(lib, "flashlm_" + name)(*arguments)
    if status == 0:
        return
    message = lib.flashlm_error().decode(errors="replace")
    raise {2: UsageError, 3: MemoryError}.get(status, Error)(message)


class Handle:
    """An object of the library, freed with this one."""

    def __init__(self, kind: str, pointer: c_void_p) -> None:
        self._free = getattr(lib, f"flashlm_{kind}_free")
        self.pointer = pointer

    def __del__(self) -> None:
        if getattr(self, "pointer", None):
            self._free(self.pointer)
            self.pointer = None


def take_bytes(memory: c_void_p, size: Optional[int] = None) -> bytes:
    """Memory that is the caller's, as bytes; without a size up to its zero."""
    try:
        return ctypes.string_at(memory) if size is None else ctypes.string_at(memory, size)
    finally:
        lib.flashlm_free(memory)


def take_json(memory: c_void_p) -> Any:
    """The same of a string of JSON."""
    return json.loads(take_bytes(memory))


_handlers: List[Any] = []  # the library calls the last; the one before may be at work, and have set it


def set_message_handler(handler: Optional[Callable[[str], None]]) -> None:
    """Calls `handler` with every line that the program flashlm would print on its screen; None ends it.

    It may be called on any thread that uses the library. What it raises is printed by Python and goes no further.
    """

    def on_message(line: int, size: int, _: Any) -> None:
        handler(ctypes.string_at(line, size).decode(errors="replace"))  # type: ignore[misc]

    new = MessageHandler(on_message) if handler is not None else MessageHandler()
    call("set_message_handler", new, None)
    _handlers.append(new)
