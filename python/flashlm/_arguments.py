"""What callers pass, as C takes it: nothing is cut, wrapped or guessed."""
from __future__ import annotations

import ctypes
import operator
import os
from typing import Any, Iterable, Sequence, Union

Path = Union[str, "os.PathLike[str]"]
Text = Union[str, bytes, bytearray, memoryview]
TEXTS = (str, bytes, bytearray, memoryview)


def c_bytes(text: Text) -> bytes:
    """A text that goes to C with its size."""
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, TEXTS):
        return bytes(text)
    raise TypeError(f"a text is needed, str or bytes, not {type(text).__name__}")


def c_string(value: Union[Text, Path]) -> bytes:
    """A text or path that ends with a zero in C, and so cannot hold one."""
    # os.fsencode also has the names of files that are not UTF-8.
    data = os.fsencode(value) if isinstance(value, (str, os.PathLike)) else c_bytes(value)
    if b"\0" in data:
        raise ValueError(f"embedded null character in {value!r}")
    return data


def c_whole(kind: Any, value: Any, name: str) -> int:
    """A whole number that a type of ctypes holds."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number, not {type(value).__name__}") from None
    if kind(whole).value != whole:
        raise OverflowError(f"{name} has more than {8 * ctypes.sizeof(kind)} bits, or a sign too many")
    return whole


def c_number(kind: Any, value: Any, name: str) -> Any:
    """A number of whatever type."""
    if kind is not ctypes.c_double:
        return c_whole(kind, value, name)
    if isinstance(value, (str, bytes, bytearray)):  # float would read them
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    return float(value)


def c_ids(ids: Iterable[int]) -> Any:
    """Token ids as an array, [T]."""
    values = [c_whole(ctypes.c_int32, i, "a token id") for i in ids]
    return (ctypes.c_int32 * len(values))(*values)


def c_texts(texts: Sequence[Text]) -> Any:
    """Texts, their sizes, and how many there are."""
    if isinstance(texts, TEXTS):
        raise TypeError("a list of texts is needed, not one text")
    encoded = [c_bytes(text) for text in texts]
    sizes = (ctypes.c_size_t * len(encoded))(*map(len, encoded))
    return (ctypes.c_char_p * len(encoded))(*encoded), sizes, len(encoded)
