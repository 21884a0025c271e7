"""Tokenizers, models, and what they read and write."""
from __future__ import annotations

import ctypes
import dataclasses
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Sequence, TypedDict, Union

from flashlm._arguments import TEXTS, Path, Text, c_bytes, c_ids, c_number, c_string, c_texts, c_whole
from flashlm._library import EvaluationStruct, GenerateOptions, Handle, call, lib, take_bytes, take_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Unpack

EOS = 3
"""The id that stands before and behind every document, in every vocabulary. No text encodes to it."""


def _precision(precision: Optional[str]) -> Optional[bytes]:
    return None if precision is None else c_string(precision)


class Tokenizer:
    """Byte-level BPE, in the format of Hugging Face's tokenizer.json. Never changes."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Reads a tokenizer.json."""
        out = ctypes.c_void_p()
        call("tokenizer_load", c_string(path), ctypes.byref(out))
        return cls(Handle("tokenizer", out))

    @classmethod
    def train(cls, texts: Sequence[Text], vocab: int = 4096) -> Tokenizer:
        """Learns a vocabulary of 260 to 65,536 entries; fewer where no pair of entries occurs twice any more."""
        out = ctypes.c_void_p()
        call("tokenizer_train", *c_texts(texts), c_whole(ctypes.c_int, vocab, "vocab"), ctypes.byref(out))
        return cls(Handle("tokenizer", out))

    def save(self, path: Path) -> None:
        """Writes a tokenizer.json."""
        call("tokenizer_save", self._handle.pointer, c_string(path))

    @property
    def vocab(self) -> int:
        """V; ids are 0 .. V - 1."""
        return lib.flashlm_tokenizer_vocab(self._handle.pointer)

    def encode(self, text: Text) -> List[int]:
        """The ids of a text, or of any bytes."""
        data = c_bytes(text)
        ids, count = ctypes.POINTER(ctypes.c_int32)(), ctypes.c_size_t()
        call("tokenizer_encode", self._handle.pointer, data, len(data), ctypes.byref(ids), ctypes.byref(count))
        try:
            return ids[: count.value]
        finally:
            lib.flashlm_free(ids)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """What the ids stand for; reserved ones, as EOS, for nothing."""
        array = c_ids(ids)
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        call("tokenizer_decode", self._handle.pointer, array, len(array), ctypes.byref(text), ctypes.byref(size))
        return take_bytes(text, size.value)

    def decode(self, ids: Iterable[int]) -> str:
        """The same as text; what is not UTF-8 becomes U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """How well a model predicts text: every document is read from EOS on to its closing EOS."""

    bits_per_byte: float
    bits_per_char: float
    nats_per_token: float
    stderr_bits_per_byte: float
    """Over documents; 0 for a single one."""
    bytes: int
    tokens: int
    documents: int
    seconds: float

    @classmethod
    def _of(cls, struct: EvaluationStruct) -> Evaluation:
        return cls(**{field.name: getattr(struct, field.name) for field in dataclasses.fields(cls)})


class GenerateKeywords(TypedDict, total=False):
    """How a text is continued; what is not given is as the comments say."""

    max_tokens: int  # 200
    temperature: float  # 0.8; 0: always the most probable token
    top_k: int  # 0: all
    top_p: float  # 0.95
    min_p: float  # 0
    frequency_penalty: float  # 0
    penalty_window: int  # 100 last tokens, prompt included
    seed: int  # 1
    search: int  # 0; candidates that the value head weighs
    search_beta: float  # 1


class Generation(Iterator[str]):
    """A text being written: iterating gives it piece by piece, each of whole characters and not empty.

    Leaving the loop early (or Ctrl-C) leaves the text as it is.
    """

    def __init__(self, session: Handle, prompt: bytes, options: GenerateOptions) -> None:
        out = ctypes.c_void_p()
        call("generator_new", session.pointer, prompt, len(prompt), ctypes.byref(options), ctypes.byref(out))
        self._handle = Handle("generator", out)
        self._over = False

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> str:
        piece, size = ctypes.c_void_p(), ctypes.c_size_t()
        while True:
            call("generator_next", self._handle.pointer, ctypes.byref(piece), ctypes.byref(size))
            if piece.value is None:
                self._over = True
                raise StopIteration
            if size.value > 0:
                return ctypes.string_at(piece.value, size.value).decode()

    def _describe(self) -> Dict[str, Any]:
        out = ctypes.c_void_p()
        call("generator_describe", self._handle.pointer, ctypes.byref(out))
        return take_json(out)

    @property
    def text(self) -> str:
        """Written so far, without the prompt."""
        return self._describe()["text"]

    @property
    def tokens(self) -> List[int]:
        """Written so far, without a closing EOS."""
        return self._describe()["tokens"]

    @property
    def stop_reason(self) -> Optional[str]:
        """Once the text has ended: "eos" (the model has ended it) or "length" (max_tokens are written); else None."""
        return self._describe()["stop_reason"] if self._over else None

    @property
    def tokens_per_s(self) -> float:
        """Written, without the time between pieces."""
        return self._describe()["tokens_per_s"]


def _options(**given: Any) -> GenerateOptions:
    options = lib.flashlm_generate_defaults()
    known = dict(GenerateOptions._fields_)
    for name, value in given.items():
        if name not in known:
            raise TypeError(f"unknown option {name!r}; known: {', '.join(sorted(known))}")
        setattr(options, name, c_number(known[name], value, name))
    return options


class Session:
    """A stream of tokens through a model, which keeps what it has read: a further token costs the same however long
    the stream is. For one thread at a time; sessions of one model may run at the same time and take turns."""

    def __init__(self, model: Model, precision: Optional[str] = None) -> None:
        """precision: what matrix products read, "f32", "bf16" or "int8"; None: what decodes fastest here."""
        out = ctypes.c_void_p()
        call("session_new", model._handle.pointer, _precision(precision), ctypes.byref(out))
        self._handle = Handle("session", out)
        self._vocab = model.vocab

    def feed(self, ids: Iterable[int]) -> npt.NDArray[np.float32]:
        """Reads T >= 1 more tokens; natural logarithms of the probabilities of what follows them, [V]."""
        import numpy

        array = c_ids(ids)
        log_probs = numpy.empty(self._vocab, numpy.float32)
        call("session_feed", self._handle.pointer, array, len(array), log_probs.ctypes.data)
        return log_probs

    def generate(self, prompt: Text, **options: Unpack[GenerateKeywords]) -> Generation:
        """As Model.generate. The session begins a new text; whatever else it is used for then ends that."""
        return Generation(self._handle, c_bytes(prompt), _options(**options))

    def reset(self) -> None:
        """Back to the beginning."""
        call("session_reset", self._handle.pointer)

    @property
    def position(self) -> int:
        """Tokens read since the beginning."""
        return lib.flashlm_session_position(self._handle.pointer)


class Model:
    """A trained model. Any number of threads may use it at the same time; it computes for one of them at a time.

    `precision` is what matrix products read, "f32", "bf16" or "int8". None is the type in which the model's run was
    trained and evaluated, where this CPU has it, so that figures agree with the run's.
    """

    def __init__(self, path: Path) -> None:
        out = ctypes.c_void_p()
        call("model_load", c_string(path), ctypes.byref(out))
        self._handle = Handle("model", out)
        description = ctypes.c_void_p()
        call("model_describe", out, ctypes.byref(description))
        self._about = take_json(description)
        tokenizer = ctypes.c_void_p()
        call("model_tokenizer", out, ctypes.byref(tokenizer))
        self.tokenizer = Tokenizer(Handle("tokenizer", tokenizer))

    def __repr__(self) -> str:
        return f"<flashlm.Model {self.architecture}, {self.parameters} parameters, from {self.folder!r}>"

    @property
    def vocab(self) -> int:
        """V."""
        return self._about["vocab"]

    @property
    def architecture(self) -> str:
        """As in "cortex-viii"."""
        return self._about["architecture"]

    @property
    def parameters(self) -> int:
        """How many the model has."""
        return self._about["parameters"]

    @property
    def folder(self) -> str:
        """That was read."""
        return self._about["folder"]

    @property
    def step(self) -> int:
        """Of the checkpoint; -1 for a model folder."""
        return self._about["step"]

    @property
    def config(self) -> Dict[str, Any]:
        """What config.json has."""
        return self._about["config"]

    def set_depth(self, depth: int) -> None:
        """How often every token passes through the model's reasoning engine from now on; 0: as often as it finds
        right. Error for a model that has none."""
        call("model_set_depth", self._handle.pointer, c_whole(ctypes.c_int, depth, "depth"))

    def session(self, precision: Optional[str] = None) -> Session:
        """A stream of tokens through the model."""
        return Session(self, precision)

    def generate(self, prompt: Text, *, precision: Optional[str] = None, **options: Unpack[GenerateKeywords]) -> Generation:
        """Continues a text: an iterator of pieces of text, which computes a token when one is wanted.

        Options: see GenerateKeywords.
        """
        return self.session(precision).generate(prompt, **options)

    def score(
        self, text: Union[Text, Iterable[int]], *, closed: bool = False, precision: Optional[str] = None
    ) -> npt.NDArray[np.float32]:
        """nats[t] = -ln p(token t | EOS, tokens before it), [T], of a text or of ids. The sum is what the whole costs.

        closed: score the closing EOS as well, as of a whole document; of a text only (ids may end with EOS).
        """
        import numpy

        if isinstance(text, TEXTS):
            ids: Iterable[int] = self.tokenizer.encode(text) + ([EOS] if closed else [])
        elif closed:
            raise TypeError("closed is for a text; ids may end with EOS")
        else:
            ids = text
        array = c_ids(ids)
        nats = numpy.empty(len(array), numpy.float32)
        call("model_score", self._handle.pointer, _precision(precision), array, len(array), nats.ctypes.data)
        return nats

    def logits(
        self, text: Union[Text, Iterable[int]], *, precision: Optional[str] = None
    ) -> npt.NDArray[np.float32]:
        """What follows each token, [T, V]: natural logarithms of probabilities, that is, logits of which each row's
        exponentials sum to 1.

        Of ids, T of them, as they are; of a text EOS is read first, so that row 0 is what a document begins with and
        T is one more than the text has tokens.
        """
        import numpy

        array = c_ids([EOS] + self.tokenizer.encode(text) if isinstance(text, TEXTS) else text)
        logits = numpy.empty((len(array), self.vocab), numpy.float32)
        call("model_logits", self._handle.pointer, _precision(precision), array, len(array), logits.ctypes.data)
        return logits

    def evaluate(self, documents: Sequence[Text], *, precision: Optional[str] = None) -> Evaluation:
        """How well the model predicts documents, without white space around them."""
        struct = EvaluationStruct()
        call("model_evaluate", self._handle.pointer, _precision(precision), *c_texts(documents), ctypes.byref(struct))
        return Evaluation._of(struct)

    def evaluate_file(self, path: Path, *, precision: Optional[str] = None) -> Evaluation:
        """The same of the documents of a file, separated by lines <|endoftext|>."""
        struct = EvaluationStruct()
        call(
            "model_evaluate_file",
            self._handle.pointer,
            _precision(precision),
            c_string(path),
            ctypes.byref(struct),
        )
        return Evaluation._of(struct)


def load(path: Path) -> Model:
    """Opens a run folder (its best checkpoint, or else the newest), one of its checkpoints, a model folder, or a packed
    file."""
    return Model(path)
