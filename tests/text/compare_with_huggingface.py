#!/usr/bin/env python3
"""Development only: compares FlashLM's tokenizer with the Hugging Face `tokenizers` package.

  --flashlm build/release/flashlm --data DIR    proves equality on DIR/*.txt and on odd texts
  --write-golden     with these, also rewrites golden/*.json, which tokenizer_test.cc reads
  --write-classes    rewrites src/text/unicode_classes.inc from the package's own split
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).resolve().parent
CLASSES = HERE.parent.parent / "src" / "text" / "unicode_classes.inc"
SPECIALS = ["<pad>", "<unk>", "<bos>", "<eos>"]
CODE_POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
POOLS = [
    list("abcXYZ019 '\t\n\r.,!<>|"),
    list("'strevmld "),
    list("\0\x1c\x1f\x85\xa0\u1680\u180e\u200b\u200d\u2028\u2029\u202f\u3000\ufeff"),
    list("éñИя日本語한글ไทยहिन्दी٣४Ⅷ½①") + ["e\u0301", "\u0308"],
    ["👩\u200d👩\u200d👧", "🏽", "🇩🇪", "❤\ufe0f"],
    CODE_POINTS,
]
ODD_TEXTS = [
    "", " ", "  ", "\n", "\r\n", "a", " a", "a ", "  a", "   a  b   ", "\t\ta\t", "a\nb\n\nc\n\n\nd",
    "a\r\nb\r\n\r\nc", "Once upon a time, there was a little girl named Lily. She didn't like the dark.",
    "I'm you're we've he'll she'd it's can't I'M IT'S 's 't 're 've 'm 'll 'd '' 'x ''s",
    "'tis rock'n'roll 's' ' s", "123 4567 8.90 1,000,000 3rd x2y",
    "!!! ?! ... -- --- \u2014 \u201cquoted\u201d", "<pad><unk><bos><eos> a<eos>b <eos>", "<|endoftext|>\n",
    "\x00", "a\x00b \x00\x00", "\x01\x1b\x7f", "caf\u00e9 cafe\u0301 \u00c5ngstr\u00f6m A\u030a",
    "na\u00efve \u0130stanbul stra\u00dfe \ufb01n", "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3000\u5168\u89d2",
    "\ud55c\uad6d\uc5b4 \u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940",
    "\u0663\u0664\u0665 \u096a\u096b \u2167 \u00bd \u2460 \u00b2",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44b\U0001f3fd \U0001f1e9\U0001f1ea \u2764\ufe0f",
    "a\u00a0b\u00a0 c \u00a0d", "a\u3000\u3000b", "x\u0085y \u2028z\u2029 w", "a\u200bb\ufeffc\u180ed",
    "\u1680a \u202fb", "\U0001d4b3\U00010400\U00020000 \U000e0001",
    "\u0378\u0379 \U0001fffe \U0010ffff \ue000", "\u1c89 \ua7cb \U00016d40 \U0001e5d0",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "-----------------------------------",
    "                                         x", "supercalifragilisticexpialidocious" * 3,
    "\n \n \n  \t \r end", "\u00a3\u20ac\U0001f600" * 5, "ends with spaces   ", "ends with newline\n", "\n\n",
    " \n", "\n ", "a'", "'", "' ", " '", "don\u2019t",
]  # fmt: skip


def train_with_huggingface(texts, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=SPECIALS,
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return json.loads(tokenizer.to_str())["model"]


class FlashLM:
    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = pathlib.Path(folder)

    def run(self, *arguments):
        command = [self.binary, "tokenizer", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def train(self, text, vocab_size):
        """The saved tokenizer.json of one training document."""
        source, out = self.folder / "train.txt", self.folder / f"tokenizer_{vocab_size}.json"
        source.write_bytes(text.encode())
        self.run("train", "--input", source, "--vocab", vocab_size, "--out", out)
        return out

    def encode(self, tokenizer, text):
        source = self.folder / "encode.txt"
        source.write_bytes(text.encode())
        return json.loads(self.run("encode", "--tokenizer", tokenizer, "--input", source, "--json"))["ids"]


def odd_documents():
    rng = random.Random(7)
    yield "every code point", "".join(CODE_POINTS)
    yield "every code point after a letter", "".join("a" + c for c in CODE_POINTS)
    yield "every code point between spaces", "".join(" " + c + " " for c in CODE_POINTS)
    runs = [1] * 16 + [2, 3, 4, 5]
    mix = (rng.choice(rng.choice(POOLS)) * rng.choice(runs) for _ in range(1_000_000))
    yield "random mix", "".join(mix)
    yield "random ASCII", "".join(chr(rng.randrange(128)) for _ in range(2_000_000))
    yield "valid part of random bytes", rng.randbytes(4_000_000).decode("utf-8", "ignore")
    yield "one long word", "".join(rng.choice("etaoinshrdlu") for _ in range(1_000_000))
    for i, text in enumerate(ODD_TEXTS):
        yield f"odd text {i}", text


def prove(flashlm, data):
    """Number of differences."""
    stories = "".join(path.read_bytes().decode() for path in sorted(pathlib.Path(data).glob("*.txt")))
    failures = 0

    def report(what, equal):
        nonlocal failures
        failures += not equal
        print("equal  " if equal else "DIFFERS", what, flush=True)

    # One document on both sides, whatever the command line takes for a separator.
    corpus = stories.replace("<|endoftext|>", "").strip()
    for vocab_size in (600, 4096):
        path = flashlm.train(corpus, vocab_size)
        ours, theirs = json.loads(path.read_text())["model"], train_with_huggingface([corpus], vocab_size)
        report(f"training {vocab_size} entries: vocabulary", ours["vocab"] == theirs["vocab"])
        report(f"training {vocab_size} entries: merges", ours["merges"] == theirs["merges"])
        reference = Tokenizer.from_file(str(path))
        saved = flashlm.folder / "saved.json"
        reference.save(str(saved), pretty=True)
        report(f"file of {vocab_size} entries, saved by the package", saved.read_bytes() == path.read_bytes())
        for name, text in [(f"stories, {len(stories.encode())} bytes", stories), *odd_documents()]:
            ids = reference.encode(text).ids
            report(f"ids of {name}", ids == flashlm.encode(path, text))
            report(f"text of {name}", text == reference.decode(ids, skip_special_tokens=False))
    return failures


def write_golden(flashlm, data):
    golden = HERE / "golden"
    stories = "".join(path.read_bytes().decode() for path in sorted(pathlib.Path(data).glob("train*.txt")))
    path = flashlm.train(stories.replace("<|endoftext|>", "").strip(), 600)
    (golden / "tokenizer_600.json").write_bytes(path.read_bytes())
    reference = Tokenizer.from_file(str(path))
    document = {
        "made_with": f"tokenizers {tokenizers.__version__}",
        "texts": [{"text": text, "ids": reference.encode(text).ids} for text in ODD_TEXTS],
        "trained_on_texts": {"vocab_size": 400, "merges": train_with_huggingface(ODD_TEXTS, 400)["merges"]},
    }
    text = json.dumps(document, indent=1)
    (golden / "huggingface.json").write_text(text + "\n")


def write_classes():
    split = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str

    def class_of(c):
        """A character joins its neighbours in one word if it is of their class; a space joins none."""
        for name, neighbour in (("kL", "a"), ("kN", "1"), ("", "!")):
            if len(split(neighbour + c + neighbour)) == 1:
                return name
        return "kS"

    ranges = []
    for c in CODE_POINTS:
        name, code_point = class_of(c), ord(c)
        if ranges and ranges[-1][2] == name and ranges[-1][1] == code_point - 1:
            ranges[-1][1] = code_point
        else:
            ranges.append([code_point, code_point, name])
    lines = [
        "// Letters (L*), numbers (N*) and White_Space of Unicode 16.0, ascending; all others are kOther.",
        "// Written by tests/text/compare_with_huggingface.py --write-classes.",
        "",
    ]
    for first, last, name in ranges:
        if not name:
            continue
        item = f"{{0x{first:04X}, 0x{last:04X}, {name}}},"
        if len(lines[-1]) + 1 + len(item) > 110:
            lines.append(item)
        else:
            lines[-1] = f"{lines[-1]} {item}".strip()
    CLASSES.write_text("\n".join(lines) + "\n")


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--flashlm", help="the flashlm binary")
    parser.add_argument("--data", help="folder with *.txt, at least 10 MB of text")
    parser.add_argument("--write-golden", action="store_true")
    parser.add_argument("--write-classes", action="store_true")
    options = parser.parse_args()
    if options.write_classes:
        write_classes()
        return 0
    if not options.flashlm or not options.data:
        parser.error("--flashlm and --data are needed")
    with tempfile.TemporaryDirectory() as folder:
        flashlm = FlashLM(options.flashlm, folder)
        if options.write_golden:
            write_golden(flashlm, options.data)
        failures = prove(flashlm, options.data)
    print(f"{failures} differences from tokenizers {tokenizers.__version__}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
