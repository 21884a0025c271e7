#!/usr/bin/env python3
"""Writes the files that fuzzing starts from, tests/fuzz/corpus/TARGET/{sound,bad}_NAME: small sound files, and bad ones
made by hand, one for each way in which such a file has been wrong somewhere (llama.cpp's tests/test-gguf.cpp has the
list for GGUF; ours adds what was found in safetensors and JSON readers).

Usage: make_corpus.py. Inputs that a fuzzer has found lie beside them as found_NAME and are not touched.
"""
import json
import struct
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8b"


def write(target, name, content):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(content, (dict, list)):
        content = json.dumps(content)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def changed(document, path, value):
    """A copy of a JSON document with the value at a path replaced; value = KeyError removes it."""
    copy = json.loads(json.dumps(document))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if value is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return copy


# --- safetensors ---------------------------------------------------------------------------------------------------

SOUND = {
    "a.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b.gain": {"dtype": "F32", "shape": [3], "data_offsets": [24, 36]},
}


def safetensors(header, data=bytes(36), length=None):
    text = header if isinstance(header, str) else json.dumps(header)
    return struct.pack("<Q", len(text) if length is None else length) + text.encode() + data


def write_safetensors():
    def bad(name, *content, **more):
        write("safetensors", f"bad_{name}", safetensors(*content, **more))

    def bad_tensor(name, **change):
        bad(name, {**SOUND, "a.weight": {**SOUND["a.weight"], **change}})

    write("safetensors", "sound_f32", safetensors(SOUND))
    write("safetensors", "sound_metadata", safetensors({"__metadata__": {"format": "flashlm"}, **SOUND}))
    half = {name: {**t, "dtype": "BF16", "data_offsets": [o // 2 for o in t["data_offsets"]]} for name, t in SOUND.items()}
    write("safetensors", "sound_bf16", safetensors(half, bytes(18)))
    write("safetensors", "bad_empty", b"")
    write("safetensors", "bad_seven_bytes", b"\0" * 7)
    bad("no_header", "", length=0)
    for name, length in (("header_longer_than_file", 10**6), ("header_minus_one", 2**64 - 1), ("header_huge", 2**63)):
        bad(name, SOUND, length=length)
    bad("not_json", "{" * 50)
    bad("a_list", "[]")
    bad("deep", '{"a":' + "[" * 2000 + "]" * 2000 + "}")
    bad("number_out_of_range", '{"a.weight":{"dtype":"F32","shape":[1e999],"data_offsets":[0,24]}}')
    bad("key_twice", json.dumps(SOUND)[:-1] + "," + json.dumps({"a.weight": SOUND["a.weight"]})[1:])
    bad("no_dtype", {**SOUND, "a.weight": {"shape": [2, 3], "data_offsets": [0, 24]}})
    bad_tensor("unknown_dtype", dtype="F33")
    bad_tensor("dtype_number", dtype=3)
    bad_tensor("wrong_dtype", dtype="I32")
    bad_tensor("shape_negative", shape=[-1, 3])
    bad_tensor("shape_fraction", shape=[2.5, 3])
    bad_tensor("shape_text", shape="23")
    bad_tensor("shape_overflows", shape=[2**31 - 1] * 4)
    bad_tensor("shape_wraps_to_size", shape=[2**16, 2**16, 2**16, 2**16])
    bad_tensor("shape_too_big", shape=[2**31, 3])
    bad_tensor("zero_dimension", shape=[0, 3])
    bad_tensor("other_shape", shape=[3, 2])
    bad_tensor("offsets_swapped", data_offsets=[24, 0])
    bad_tensor("offsets_beyond", data_offsets=[10**12, 10**12 + 24])
    bad_tensor("offsets_overflow", data_offsets=[2**64 - 24, 2**64 - 1])
    bad_tensor("offsets_three", data_offsets=[0, 24, 36])
    bad_tensor("overlap", data_offsets=[12, 36])
    bad("truncated", SOUND, bytes(35))
    bad("bytes_behind", SOUND, bytes(37))
    bad("hole", {**SOUND, "b.gain": {**SOUND["b.gain"], "data_offsets": [28, 40]}}, bytes(40))
    bad("tensor_missing", {"a.weight": SOUND["a.weight"]}, bytes(24))
    extra = {"c": {"dtype": "F32", "shape": [1], "data_offsets": [36, 40]}}
    bad("tensor_too_many", {**SOUND, **extra}, bytes(40))
    bad("metadata_list", {"__metadata__": [], **SOUND})
    bad("metadata_number", {"__metadata__": {"format": 1}, **SOUND})


# --- token shards and their meta.json ------------------------------------------------------------------------------

def hash64(data, seed=0):
    """data/hash.h."""

    def fold(a, b):
        return (a * b ^ (a * b >> 64)) & (2**64 - 1)

    odd = 0x9E3779B97F4A7C15
    value = fold(seed ^ odd, len(data) ^ 0xBF58476D1CE4E5B9)
    for i in range(0, len(data), 8):
        word = int.from_bytes(data[i : i + 8], "little")
        value = (fold(value ^ word, odd) + word) & (2**64 - 1)
    return fold(value, 0x94D049BB133111EB)


def sound_shard(**change):
    """With the checksum that fits."""
    content = shard(**change)
    checksum = hash64(content[:64], hash64(content[64:]))
    return content[:24] + struct.pack("<Q", checksum) + content[32:]


def shard(magic=b"FLMTOKEN", version=1, vocab=300, tokens=4, checksum=0, tokenizer=HASH, ids=(5, 6, 299, 3)):
    head = struct.pack("<8sIIQQ", magic, version, vocab, tokens, checksum) + bytes.fromhex(tokenizer)
    return head + struct.pack(f"<{len(ids)}H", *ids)


def meta(**change):
    split = {"shards": [{"file": "train_00000.bin", "tokens": 7}], "tokens": 7}
    return {
        "format": "flashlm-data",
        "version": 1,
        "tokenizer": {"vocab_size": 300, "sha256": HASH},
        "train": split,
        "valid": split,
        **change,
    }


def write_data():
    write("token_shard", "sound", sound_shard())
    for name, content in {
        "empty": b"",
        "magic": shard(magic=b"FLMTOKEM"),
        "header_only_half": shard()[:32],
        "version_0": shard(version=0),
        "version_future": shard(version=2**32 - 1),
        "vocab": shard(vocab=301),
        "tokens_minus_one": shard(tokens=2**64 - 1),
        "tokens_few": shard(tokens=3),
        "tokens_many": shard(tokens=5),
        "tokenizer": shard(tokenizer="00" * 32),
        "odd_size": shard() + b"\0",
        "checksum": shard(checksum=1),
        "id_outside": sound_shard(ids=(5, 6, 300, 3)),
    }.items():
        write("token_shard", f"bad_{name}", content)
    write("data_meta", "sound", meta())
    for name, content in {
        "empty": "",
        "list": [],
        "format": meta(format="other"),
        "format_number": meta(format=3),
        "format_missing": changed(meta(), ["format"], KeyError),
        "version_future": meta(version=2),
        "version_text": meta(version="1"),
        "version_missing": changed(meta(), ["version"], KeyError),
        "tokenizer_missing": changed(meta(), ["tokenizer"], KeyError),
        "vocab_text": changed(meta(), ["tokenizer", "vocab_size"], "300"),
        "vocab_other": changed(meta(), ["tokenizer", "vocab_size"], 299),
        "hash_short": changed(meta(), ["tokenizer", "sha256"], "5e"),
        "train_missing": changed(meta(), ["train"], KeyError),
        "train_list": meta(train=[]),
        "shards_number": meta(train={"shards": 3, "tokens": 7}),
        "shard_text": meta(train={"shards": ["train_00000.bin"], "tokens": 7}),
        "shard_elsewhere": meta(train={"shards": [{"file": "nowhere/train.bin", "tokens": 7}], "tokens": 7}),
        "shard_empty_name": meta(train={"shards": [{"file": "", "tokens": 7}], "tokens": 7}),
        "tokens_negative": meta(train={"shards": [{"file": "train_00000.bin", "tokens": -7}], "tokens": -7}),
        "tokens_sum": meta(train={"shards": [{"file": "train_00000.bin", "tokens": 7}], "tokens": 8}),
        "deep": '{"format":' + "[" * 2000 + "]" * 2000 + "}",
    }.items():
        write("data_meta", f"bad_{name}", content)


def write_difficulty():
    def of(values, documents=2, tokens=7):
        return struct.pack(f"<QQ{len(values)}f", documents, tokens, *values)

    write("difficulty", "sound", of([4.5, 5.25]))
    write("difficulty", "sound_mixed_in", of([-1, 5.25]))
    for name, content in {
        "empty": of([]),
        "fewer": of([4.5]),
        "more_than_documents": of([4.5, 5.25, 6], documents=3),
        "documents_huge": of([4.5, 5.25], documents=2**64 - 1),
        "other_tokens": of([4.5, 5.25], tokens=8),
        "nan": of([4.5, float("nan")]),
        "infinite": of([4.5, float("inf")]),
        "negative": of([4.5, -0.5]),
        "no_story": of([-1, -1]),
        "half_a_number": of([4.5, 5.25])[:-2],
    }.items():
        write("difficulty", f"bad_{name}", content)


def write_ngrams():
    """As tests/fuzz/run_targets.cc frames it: order, vocabulary, 0, tokens, n-grams of 1 to 5; discounts; levels."""
    fine = [0.5, 1.0, 1.5]

    def of(version=1, order=2, vocab=4, counts=(2, 1, 1, 0), follow=(1, 0, 1, 0), words=(3, 1), seconds=(2, 1), pruned=(0, 1, 0, 0),
           discounts=fine, ngrams=None, numbers=None):  # fmt: skip
        ngrams = ngrams or [vocab, len(words), 0, 0, 0]
        header = struct.pack("<IIII", version, order, vocab, 0) + struct.pack("<q5I", 4, *ngrams) + bytes(4)
        body = struct.pack("<3f", *discounts) * 2 + bytes(counts) + bytes(pruned) + (numbers or bytes(follow))
        return header + body + struct.pack(f"<{len(words)}H", *words) + bytes(seconds)

    write("ngram_bin", "sound", of())
    write("ngram_bin", "sound_nothing_counted", of(counts=(0,) * 4, follow=(0,) * 4, pruned=(0,) * 4, words=(), seconds=()))
    wrap = b"\xff\xff\xff\xff\x0f"  # 2^32 - 1, and 3 more are 2
    for name, content in {
        "empty": b"",
        "version": of(version=2),
        "order_one": of(order=1),
        "order_six": of(order=6),
        "vocab_zero": of(vocab=0),
        "vocab_huge": of(vocab=2**31),
        "ngrams_other": of(ngrams=[5, 2, 0, 0, 0]),
        "ngrams_huge": of(ngrams=[4, 2**32 - 1, 0, 0, 0]),
        "follow_few": of(follow=(1, 0, 0, 0)),
        "follow_many": of(follow=(1, 0, 2, 0)),
        "follow_wraps": of(numbers=wrap + b"\3\0\0"),
        "number_long": of(numbers=b"\x80" * 6 + bytes(4)),
        "word_outside": of(words=(4, 1)),
        "words_out_of_order": of(follow=(2, 0, 0, 0)),
        "word_twice": of(follow=(2, 0, 0, 0), words=(1, 1)),
        "counts_huge": of(vocab=64, counts=(255,) * 64, follow=(0,) * 64, pruned=(0,) * 64, words=(), seconds=()),
        "discount_nan": of(discounts=[float("nan"), 1, 1]),
        "discount_negative": of(discounts=[-0.5, 1, 1]),
        "discount_above_count": of(discounts=[1.5, 1, 1]),
        "long": of() + b"\0",
        "cut": of()[:-1],
    }.items():
        write("ngram_bin", f"bad_{name}", content)


# --- runs and their models -------------------------------------------------------------------------------------------


def write_trainer():
    files = {name: True for name in ("config.json", "model.safetensors", "tokenizer.json")}
    sound = {"format": "flashlm-checkpoint", "version": 1, "step": 7, "files": files, "trainer": {"precision": "f32"}}
    write("trainer_json", "sound", sound)
    write("trainer_json", "sound_state_text", changed(sound, ["trainer"], "none"))
    write("trainer_json", "sound_precision_list", changed(sound, ["trainer", "precision"], ["f32"]))
    run = {"run": {"preset": ["a"], "recipe": 3, "optim": "adamw"}, "tokens": "many", "precision": "bf16"}
    write("trainer_json", "sound_run_odd", changed(sound, ["trainer"], run))
    for name, path, value in [
        ("format", ["format"], "other"),
        ("version", ["version"], 2),
        ("version_text", ["version"], "1"),
        ("step_text", ["step"], "7"),
        ("files_list", ["files"], []),
        ("files_text", ["files"], "all"),
        ("file_missing", ["files", "model.safetensors"], KeyError),
        ("file_number", ["files", "config.json"], 3),
        ("bytes_negative", ["files", "config.json"], {"bytes": -1, "sha256": ""}),
        ("bytes_text", ["files", "config.json"], {"bytes": "9", "sha256": ""}),
        ("hash_number", ["files", "config.json"], {"bytes": 9, "sha256": 0}),
        ("ngrams_missing", ["files", "ngram.bin"], {"bytes": 9, "sha256": ""}),
        ("trainer_missing", ["trainer"], KeyError),
    ]:
        write("trainer_json", f"bad_{name}", changed(sound, path, value))
    for name, text in {"empty": "", "list": "[1]", "text": '"a"', "deep": '{"files":' + "[" * 2000 + "]" * 2000 + "}"}.items():
        write("trainer_json", f"bad_{name}", text)


def write_packed_parts():
    config = {"architecture": "gpt", "vocab": 263, "d_model": 16, "n_layers": 1, "n_heads": 2, "window": 8, "d_ff": 16}

    def of(config=config, about={"step": 7}, tokenizer=tokenizer(), floats=0):  # noqa: B006, B008
        text = [part if isinstance(part, str) else json.dumps(part) for part in (config, about, tokenizer)]
        return struct.pack("<3H", len(text[0]), len(text[1]), floats) + "".join(text).encode()

    write("packed_parts", "sound_f32", of())
    write("packed_parts", "sound_bf16", of(floats=1))
    write("packed_parts", "sound_int8", of(floats=2))
    write("packed_parts", "sound_about_odd", of(about={"step": "7", "run": [], "precision": {"a": 1}}))
    write("packed_parts", "bad_about_list", of(about=[1]))
    for name, change in {
        "vocab": {"vocab": 264},
        "layers": {"n_layers": 2},
        "layers_huge": {"n_layers": 10**9},
        "width": {"d_model": 32},
        "architecture": {"architecture": "gtp"},
        "key": {"n_laiers": 1},
        "ngrams": {"ngram_order": 3},
        "ternary": {"ternary": "mean"},
    }.items():
        write("packed_parts", f"bad_{name}", of(config={**config, **change}))
    write("packed_parts", "bad_tokenizer", of(tokenizer="{}"))
    write("packed_parts", "bad_config_list", of(config=[1]))
    write("packed_parts", "bad_empty", b"")


def write_runs():
    log, results, probes, config, samples = (bytes([i]) for i in range(5))
    step = {"step": 1, "tokens": 4096, "seconds": 0.5, "loss": 8.3, "bits_per_byte": 3.1, "lr": 0.01, "norm": 1.5, "phase": 1}
    evaluation = {"step": 1, "tokens": 4096, "seconds": 0.5, "eval": {"bits_per_byte": 2.5, "stderr_bits_per_byte": 0.1}}
    lines = [json.dumps(line) for line in (step, {**step, "step": 2, "skipped": "spike"}, evaluation)]
    write("run_record", "sound_log", log + "\n".join(lines).encode())
    odd = ["", "[1]", "3", '{"step": "1"}', '{"step": 1e300}', '{"step": -5, "loss": null}', '{"step": 1, "phase": 1e99}', '{"a":' * 300]
    write("run_record", "sound_log_damaged", log + "\n".join([*lines, *odd, lines[0][:20]]).encode())
    write("run_record", "sound_log_deep", log + b'{"step": 1, "a":' + b'{"b":' * 90 + b"1" + b"}" * 91)
    write("run_record", "sound_results", results + json.dumps({"bits_per_byte": 0.7, "tokens": 5, "preset": "gpt"}).encode())
    write("run_record", "sound_results_odd", results + json.dumps({"bits_per_byte": "low", "test": [], "tokens": -1}).encode())
    write("run_record", "sound_results_list", results + b"[1]")
    controls = {"untrained": 0.25, "ngram": 0.3}
    category = {"accuracy": 0.5, "stderr": 0.02, "chance": 0.25, "items": 500, "normalised": 0.4, "controls": controls}
    write("run_record", "sound_probes", probes + json.dumps({"seed": 0, "split": "heldout", "categories": {"recall": category}}).encode())
    write("run_record", "sound_probes_odd", probes + json.dumps({"categories": {"recall": 3, "k_hop": {"accuracy": "a"}}}).encode())
    write("run_record", "sound_config", config + b'preset = "gpt"\n[budget]\namount = 60.0\nkind = "time"\n')
    write("run_record", "sound_config_odd", config + b"preset = 3\nbudget = 5\n[[extensions]]\namount = -1\n")
    write("run_record", "sound_samples", samples + b"== step 5\nOnce\n\nupon\n\n== step 99999999999999999999\n<script>\n\n")
    write("run_record", "sound_samples_odd", samples + b"\n== step \xff\xfe\n\n== step ")
    write("run_record", "bad_empty", b"")


# --- tokenizer.json --------------------------------------------------------------------------------------------------

def byte_names():
    """GPT-2's letters for bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    names = {b: chr(b) for b in plain}
    names.update({b: chr(256 + i) for i, b in enumerate(others)})
    return [names[b] for b in range(256)]


def tokenizer():
    entries = ["<pad>", "<unk>", "<bos>", "<eos>", *byte_names(), "th", "the", "\u0120the"]
    splitter = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": splitter,
        "post_processor": None,
        "decoder": splitter,
        "model": {
            "type": "BPE",
            "dropout": None,
            "vocab": {name: i for i, name in enumerate(entries)},
            "merges": [["t", "h"], ["th", "e"], ["\u0120", "the"]],
        },
    }


def write_tokenizer():
    sound = tokenizer()
    write("tokenizer_json", "sound", sound)
    write("tokenizer_json", "sound_old_merges", changed(sound, ["model", "merges"], ["t h", "th e", "\u0120 the"]))
    special = [{"id": 263, "content": "<user>", "special": True}]
    write("tokenizer_json", "sound_added", changed(sound, ["added_tokens"], special))
    vocab = sound["model"]["vocab"]
    for name, content in {
        "empty": "",
        "list": [],
        "cut": json.dumps(sound)[:2000],
        "deep": '{"model":' + "[" * 2000 + "]" * 2000 + "}",
        "deep_vocab": '{"model":{"type":"BPE","vocab":' + '{"a":' * 1000 + "1" + "}" * 1002,
        "number_out_of_range": '{"model": 1e999}',
        "normalizer": changed(sound, ["normalizer"], {"type": "NFC"}),
        "prefix_space": changed(sound, ["pre_tokenizer", "add_prefix_space"], True),
        "model_type": changed(sound, ["model", "type"], "Unigram"),
        "dropout": changed(sound, ["model", "dropout"], 0.1),
        "vocab_missing": changed(sound, ["model", "vocab"], KeyError),
        "vocab_list": changed(sound, ["model", "vocab"], []),
        "byte_missing": changed(sound, ["model", "vocab"], {k: v for k, v in vocab.items() if k != "a"}),
        "id_negative": changed(sound, ["model", "vocab", "the"], -1),
        "id_huge": changed(sound, ["model", "vocab", "the"], 2**40),
        "id_fraction": changed(sound, ["model", "vocab", "the"], 261.5),
        "id_text": changed(sound, ["model", "vocab", "the"], "261"),
        "id_twice": changed(sound, ["model", "vocab", "the"], 260),
        "id_gap": changed(sound, ["model", "vocab", "\u0120the"], 300),
        "name_empty": changed(sound, ["model", "vocab", ""], 263),
        "merges_missing": changed(sound, ["model", "merges"], KeyError),
        "merges_text": changed(sound, ["model", "merges"], "t h"),
        "merge_unknown": changed(sound, ["model", "merges", 0], ["q", "q"]),
        "merge_of_one": changed(sound, ["model", "merges", 0], ["t"]),
        "merge_twice": changed(sound, ["model", "merges", 1], ["t", "h"]),
        "merge_number": changed(sound, ["model", "merges", 0], 3),
        "reserved_is_text": changed(sound, ["model", "merges"], [["<", "p"]]),
        "added_ordinary": changed(sound, ["added_tokens"], [{"id": 262, "content": "\u0120the", "special": True}]),
        "added_not_special": changed(sound, ["added_tokens"], [{"id": 263, "content": "x", "special": False}]),
        "added_number": changed(sound, ["added_tokens"], [3]),
    }.items():
        write("tokenizer_json", f"bad_{name}", content)


# --- configurations --------------------------------------------------------------------------------------------------

TINY = {"architecture": "gpt", "vocab": 40, "d_model": 32, "n_layers": 1, "n_heads": 4, "window": 8, "d_ff": 48}


def toml(value):
    return json.dumps(value)


def preset(model=None, train="", optim=""):
    lines = [f"{key} = {toml(value)}" for key, value in (model or TINY).items()]
    return "[model]\n" + "\n".join(lines) + f"\n\n[train]\n{train}\n\n[optim]\n{optim}\n"


def write_configurations():
    write("config_json", "sound_gpt", TINY)
    write("config_json", "sound_defaults", {"architecture": "gpt", "vocab": 40, "d_model": 32, "n_layers": 1})
    write("preset_toml", "sound", preset(train='precision = "f32"\nmicro_batch = 2', optim="lr = 0.001"))
    for name, change in {
        "architecture_unknown": {"architecture": "gtp"},
        "architecture_number": {"architecture": 3},
        "key_unknown": {"d_modle": 32},
        "negative": {"n_layers": -1},
        "zero": {"d_model": 0},
        "fraction": {"d_model": 32.5},
        "text": {"d_model": "32"},
        "not_a_multiple": {"n_heads": 5},
        "object": {"d_model": {"a": 1}},
    }.items():
        write("config_json", f"bad_{name}", {**TINY, **change})
        if name != "object":
            write("preset_toml", f"bad_{name}", preset({**TINY, **change}))
    # Not built by the target, which leaves out what does not fit into memory.
    write("config_json", "huge", {**TINY, "n_layers": 10**18})
    write("preset_toml", "huge", preset({**TINY, "n_layers": 10**18}))
    write("config_json", "bad_empty", "")
    write("config_json", "bad_no_architecture", {"vocab": 40})
    write("config_json", "bad_text", '"gpt"')
    write("config_json", "bad_null", "null")
    write("config_json", "bad_deep", '{"architecture":' + "[" * 2000 + "]" * 2000 + "}")
    write("config_json", "bad_number", '{"architecture": "gpt", "d_model": 1e999}')
    write("config_json", "bad_utf8", b'{"architecture": "\xff\xfe"}')
    for name, text in {
        "syntax": "[model\n",
        "section_unknown": preset() + "[modle]\n",
        "section_text": 'model = "gpt"\n',
        "section_list": "[[model]]\n",
        "key_twice": "[model]\nvocab = 1\nvocab = 2\n",
        "date": preset(train="micro_batch = 1979-05-27"),
        "infinity": preset(optim="lr = inf"),
        "nan": preset(optim="lr = nan"),
        "train_unknown": preset(train="micro_bach = 2"),
        "train_range": preset(train="micro_batch = 0"),
        "deep": "a = " + "[" * 2000 + "]" * 2000,
        "utf8": b"[model]\narchitecture = \"\xff\"\n",
        "zero_byte": b"[model]\0\n",
    }.items():
        write("preset_toml", f"bad_{name}", text)


# --- texts -----------------------------------------------------------------------------------------------------------

def write_texts():
    write("documents", "sound_one", "Once upon a time there was a dog.\n")
    write("documents", "sound_three", "One.\n<|endoftext|>\nTwo, \u00e4\u6f22\U0001f600.\r\n<|endoftext|>\nThree.")
    write("documents", "sound_inside", "One.<|endoftext|>Two.<|endoftext|>Three.")
    write("documents", "sound_long", "word " * 14000)
    write("documents", "sound_mark", "\ufeffOne.\n")
    for name, content in {
        "empty": b"",
        "blank": b" \n\t\n",
        "separators": b"<|endoftext|>\n<|endoftext|>\n",
        "zero": b"One.\0Two.",
        "latin1": b"Gr\xfc\xdfe",
        "utf16": "One.".encode("utf-16"),
        "overlong": b"One \xc0\xaf two",
        "surrogate": b"One \xed\xa0\x80 two",
        "cut": "One \u6f22".encode()[:-1],
    }.items():
        write("documents", f"bad_{name}", content)
    write("pairs", "sound", '{"good": "The cat sleeps.", "bad": "The cat sleep."}\n\n{"good": "a", "bad": "b"}')
    blimp = {"sentence_good": "a", "sentence_bad": "b", "field": "syntax", "linguistics_term": "x", "UID": "y"}
    write("pairs", "sound_blimp", json.dumps(blimp) + "\r\n")
    write("cloze", "sound", '{"context": "The cat drinks", "options": ["milk", "stones"], "answer": 0}\n')
    write("cloze", "sound_category", '{"context": "", "options": ["a", "b", "c"], "answer": 2, "category": "x"}\n')
    both = {
        "empty": "",
        "blank": "\n\n",
        "list": "[]\n",
        "number": "3\n",
        "cut": '{"good": "a", "bad": "b"}\n{"good": ',
        "utf8": b'{"good": "\xff", "bad": "b"}',
        "zero": b'{"good": "a\0", "bad": "b"}',
        "deep": '{"good":' + "[" * 2000 + "]" * 2000 + "}",
    }
    for name, content in both.items():
        write("pairs", f"bad_{name}", content)
        write("cloze", f"bad_{name}", content.replace("good", "context") if isinstance(content, str) else content)
    for name, content in {
        "no_bad": {"good": "a"},
        "text_number": {"good": 1, "bad": "b"},
        "text_empty": {"good": "", "bad": "b"},
        "field_number": {"good": "a", "bad": "b", "field": 1},
        "mixed_names": {"sentence_good": "a", "bad": "b"},
    }.items():
        write("pairs", f"bad_{name}", content)
    sound = {"context": "a", "options": ["b", "c"], "answer": 0}
    for name, change in {
        "one_option": {"options": ["b"]},
        "options_text": {"options": "bc"},
        "option_number": {"options": ["b", 1]},
        "option_empty": {"options": ["b", ""]},
        "answer_missing": {"answer": None},
        "answer_two": {"answer": 2},
        "answer_negative": {"answer": -1},
        "answer_fraction": {"answer": 0.5},
        "answer_huge": {"answer": 2**64 - 1},
        "context_list": {"context": []},
    }.items():
        write("cloze", f"bad_{name}", {**sound, **change})


# --- models from elsewhere -----------------------------------------------------------------------------------------


def packed(sections, table=None):
    """As tests/fuzz/exchange_targets.cc frames it: sections are (entry of the table, bytes)."""
    pad = lambda data, fill: data + fill * (-len(data) % 64)
    table = pad(json.dumps([entry for entry, _ in sections]).encode() if table is None else table, b" ")
    return struct.pack("<H", len(table)) + table + b"".join(pad(data, b"\0") for _, data in sections)


def write_packed():
    def file(name, data):
        return {"name": name, "packing": "bytes", "bytes": len(data)}, data

    def parameter(name, packing, shape, data, **change):
        return {"name": name, "packing": packing, "shape": shape, "bytes": len(data), **change}, data

    embed = struct.pack("<5f", *[0.01] * 5) + bytes(range(80))
    trits = struct.pack("<3f", 0.1, 0.2, 0.3) + bytes([242, 121, 7, 100, 2])
    sound = [
        file("config.json", b'{"architecture": "test"}'),
        file("about.json", b'{"step": 7}'),
        file("tokenizer.json", b"{}"),
        parameter("embed.weight", "int8", [5, 16], embed),
        parameter("map.weight", "ternary_rows", [3, 7], trits),
        parameter("gain", "f32", [4], bytes(16)),
    ]
    write("packed_model", "sound_int8", packed(sound))
    write("packed_model", "sound_bf16", packed([*sound[:3], parameter("embed.weight", "bf16", [5, 16], bytes(160)), *sound[4:]]))
    deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    for name, section in {
        "shape_huge": parameter("embed.weight", "int8", [2147483647, 536870912], embed),
        "shape_overflow": parameter("embed.weight", "f32", [2147483647, 2147483647, 2147483647], embed),
        "shape_zero": parameter("embed.weight", "int8", [0, 16], embed),
        "shape_negative": parameter("embed.weight", "int8", [-5, 16], embed),
        "shape_text": parameter("embed.weight", "int8", "5, 16", embed),
        "shape_deep": parameter("embed.weight", "int8", [[5], 16], embed),
        "shape_other": parameter("embed.weight", "int8", [10, 7], embed[:10] + bytes(100)),
        "dimensions": parameter("embed.weight", "int8", [1, 1, 5, 16], embed),
        "bytes_less": parameter("embed.weight", "int8", [5, 16], embed[:-1]),
        "bytes_huge": parameter("embed.weight", "int8", [5, 16], embed, bytes=2**64 - 1),
        "bytes_negative": parameter("embed.weight", "int8", [5, 16], embed, bytes=-1),
        "packing_unknown": parameter("embed.weight", "int4", [5, 16], embed),
        "packing_number": parameter("embed.weight", 3, [5, 16], embed),
        "ternary_where_float": parameter("embed.weight", "ternary_rows", [5, 16], bytes(36)),
        "file_where_parameter": file("embed.weight", embed),
        "name_number": parameter(5, "int8", [5, 16], embed),
        "name_twice": parameter("gain", "int8", [5, 16], embed),
        "name_other": parameter("embed.wieght", "int8", [5, 16], embed),
        "entry_number": (7, embed),
    }.items():
        write("packed_model", f"bad_{name}", packed([*sound[:3], section, *sound[4:]]))
    for name, table in {"table_deep": b"[" * 640, "table_object": b"{}", "table_empty": b"", "table_cut": b'[{"name":'}.items():
        write("packed_model", f"bad_{name}", packed([], table))
    write("packed_model", "bad_no_digit", packed([*sound[:4], parameter("map.weight", "ternary_rows", [3, 7], trits[:-1] + b"\xff"), sound[5]]))
    write("packed_model", "bad_config_deep", packed([file("config.json", deep), *sound[1:]]))
    write("packed_model", "bad_config_list", packed([file("config.json", b"[1]"), *sound[1:]]))
    write("packed_model", "bad_config_missing", packed(sound[1:]))
    write("packed_model", "bad_bytes_behind", packed(sound) + bytes(64))
    write("packed_model", "bad_cut", packed(sound)[:-64])


QWEN3 = {
    "model_type": "qwen3", "vocab_size": 290, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "hidden_act": "silu", "rms_norm_eps": 1e-6,
    "max_position_embeddings": 9, "rope_theta": 10000.0, "tie_word_embeddings": True, "eos_token_id": 3,
}  # fmt: skip


def write_hf_config():
    write("hf_config", "sound_qwen3", QWEN3)
    sliding = {"model_type": "mistral", "sliding_window": 7, "layer_types": ["sliding_attention"] * 2}
    write("hf_config", "sound_mistral", {**QWEN3, **sliding, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}})
    for name, change in {
        "type": {"model_type": "gpt2"},
        "type_list": {"model_type": ["qwen3"]},
        "bias": {"attention_bias": True},
        "activation": {"hidden_act": "gelu"},
        "rope": {"rope_scaling": {"rope_type": "yarn"}},
        "rope_text": {"rope_scaling": "yarn"},
        "width_huge": {"hidden_size": 10**9},
        "width_real": {"hidden_size": 1e300},
        "layers_negative": {"num_hidden_layers": -1},
        "layers_huge": {"num_hidden_layers": 2**31},
        "heads_zero": {"num_attention_heads": 0},
        "vocab_overflow": {"vocab_size": 2**64 - 1},
        "vocab_text": {"vocab_size": "290"},
        "eps_text": {"rms_norm_eps": "small"},
        "layer_types": {"layer_types": ["full_attention", "sliding_attention"]},
        "quantised": {"quantization_config": {"bits": 4}},
    }.items():
        write("hf_config", f"bad_{name}", {**QWEN3, **change})
    for name, text in {"empty": "", "list": "[]", "deep": '{"model_type":' + "[" * 5000, "cut": '{"model_type": "qwen3"', "utf8": b'{"\xff": 1}'}.items():
        write("hf_config", f"bad_{name}", text)


def write_hf_tokenizer():
    names = byte_names()
    vocab = {name: i for i, name in enumerate(["<a>", "<b>", "<c>", "<d>", *names])}
    merges = [["o", "n"], ["on", "c"]]
    vocab |= {a + b: len(vocab) + i for i, (a, b) in enumerate(merges)}
    rows = len(vocab)
    sound = {
        "added_tokens": [{"id": 3, "content": "<d>", "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "post_processor": {"type": "TemplateProcessing"},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    }

    def write_one(name, document, eos=3, rows=rows):
        text = json.dumps(document) if isinstance(document, dict) else document
        write("hf_tokenizer", name, bytes([eos, 1, 3, rows % 256, rows // 256]) + text.encode())

    write_one("sound_same_order", sound)
    write_one("sound_more_rows", sound, eos=0, rows=rows + 9)
    write_one("sound_old_merges", changed(sound, ["model", "merges"], ["o n", "on c"]))
    write_one("bad_eos_is_text", sound, eos=9)
    write_one("bad_fewer_rows", sound, rows=rows - 1)
    three = {name: i for name, i in vocab.items() if name != "<a>"} | {"ti": 0}
    write_one("bad_three_reserved", changed(changed(sound, ["model", "vocab"], three), ["model", "merges"], merges + [["t", "i"]]))
    for name, path, value in [
        ("no_model", ["model"], KeyError),
        ("model_text", ["model"], "BPE"),
        ("vocab_list", ["model", "vocab"], list(vocab)),
        ("vocab_text", ["model", "vocab", "on"], "5"),
        ("vocab_negative", ["model", "vocab", "on"], -1),
        ("vocab_same_id", ["model", "vocab", "on"], 7),
        ("merges_missing", ["model", "merges"], KeyError),
        ("merges_text", ["model", "merges"], "o n"),
        ("added_text", ["added_tokens"], "<d>"),
        ("added_not_special", ["added_tokens"], [{"id": 3, "content": "<d>", "special": False}]),
        ("added_no_content", ["added_tokens"], [{"id": 3, "special": True}]),
        ("added_other_name", ["added_tokens"], [{"id": 3, "content": "<e>", "special": True}]),
        ("normalizer", ["normalizer"], {"type": "NFC"}),
        ("splitter", ["pre_tokenizer"], {"type": "Metaspace"}),
    ]:
        write_one(f"bad_{name}", changed(sound, path, value))
    write_one("bad_deep", '{"model":' + "[" * 5000)
    write_one("bad_cut", json.dumps(sound)[:-9])
    write("hf_tokenizer", "bad_empty", b"")


# --- bodies of requests to serve -----------------------------------------------------------------------------------

COMPLETION = {
    "model": "m", "prompt": "Once upon a time", "max_tokens": 16, "temperature": 0.7, "top_p": 0.9, "top_k": 40,
    "min_p": 0.05, "frequency_penalty": 0.5, "seed": 7, "n": 2, "stop": ["\n", "The end"], "stream": True,
    "stream_options": {"include_usage": True},
}  # fmt: skip
CHAT = {
    "messages": [
        {"role": "system", "content": "A story."},
        {"role": "user", "content": [{"type": "text", "text": "Once"}, {"type": "text", "text": " upon"}]},
    ],
    "max_completion_tokens": 9, "logprobs": True, "top_logprobs": 3,
}  # fmt: skip


def write_http_body():
    write("http_body", "sound_completion", COMPLETION)
    write("http_body", "sound_ids", {"prompt": [[3, 70, 71], [72]], "logprobs": 1, "echo": True, "max_tokens": 0})
    write("http_body", "sound_texts", {"prompt": ["caf\u00e9", "\U0001f600", "<eos>The cat"], "details": True})
    write("http_body", "sound_new_document", "{}")
    write("http_body", "sound_chat", CHAT)
    for name, change in {
        "n_wraps": {"n": 2**32 + 1},
        "n_huge": {"n": 10**30},
        "n_fraction": {"n": 1.5},
        "n_text": {"n": "2"},
        "max_tokens_negative": {"max_tokens": -1},
        "max_tokens_huge": {"max_tokens": 2**63},
        "temperature_negative": {"temperature": -0.1},
        "temperature_huge": {"temperature": 1e300},
        "top_p_above_1": {"top_p": 1.1},
        "top_k_huge": {"top_k": 2**40},
        "seed_negative": {"seed": -1},
        "seed_huge": {"seed": 2**64},
        "stop_empty": {"stop": ""},
        "stop_number": {"stop": [1]},
        "stop_many": {"stop": ["a"] * 17},
        "stop_long": {"stop": "a" * 257},
        "prompt_object": {"prompt": {"text": "a"}},
        "prompt_empty_list": {"prompt": []},
        "prompt_id_huge": {"prompt": [5, 65536]},
        "prompt_id_negative": {"prompt": [-1]},
        "prompt_id_fraction": {"prompt": [5.5]},
        "prompt_mixed": {"prompt": [[5], 6]},
        "prompt_too_long": {"prompt": [5] * 20000},
        "prompts_many": {"prompt": ["a"] * 129},
        "texts_many": {"prompt": ["a"] * 100, "n": 100},
        "logprobs_many": {"logprobs": 21},
        "echo_number": {"echo": 1},
        "model_number": {"model": 1},
        "stream_options_alone": {"stream": False},
        "stream_options_text": {"stream_options": "usage"},
        "field_unknown": {"max_token": 5},
        "logit_bias": {"logit_bias": {"5": 1}},
        "suffix": {"suffix": "the end"},
    }.items():
        write("http_body", f"bad_{name}", {**COMPLETION, **change})
    for name, change in {
        "messages_empty": {"messages": []},
        "messages_text": {"messages": "Once"},
        "messages_many": {"messages": [{"role": "user", "content": "a"}] * 1025},
        "message_number": {"messages": [1]},
        "content_missing": {"messages": [{"role": "user"}]},
        "content_image": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        "content_number": {"messages": [{"role": "user", "content": 5}]},
        "role_missing": {"messages": [{"content": "a"}]},
        "tools": {"tools": [{"type": "function"}]},
        "top_logprobs_alone": {"logprobs": False},
    }.items():
        write("http_body", f"bad_{name}", {**CHAT, **change})
    sound = json.dumps(COMPLETION)
    for name, text in {
        "empty": "", "list": "[1]", "text": '"a"', "cut": sound[:-9], "twice": sound + sound, "comma": '{"n": 1,}',
        "name_twice": '{"n": 1, "n": 2}', "name_twice_escaped": '{"n": 1, "\\u006e": 2}', "nan": '{"temperature": NaN}',
        "infinite": '{"temperature": 1e999}', "deep": '{"prompt":' + "[" * 5000, "deep_objects": '{"a":' * 5000,
        "utf8": b'{"prompt": "\xff"}', "overlong": b'{"prompt": "\xc0\xaf"}', "surrogate": '{"prompt": "\\ud800"}',
        "utf16": '{"prompt": "a"}'.encode("utf-16"), "zero": b'{"prompt": "a\0"}', "form": "prompt=Once&n=1",
    }.items():  # fmt: skip
        write("http_body", f"bad_{name}", text)


write_packed()
write_hf_config()
write_hf_tokenizer()
write_safetensors()
write_data()
write_difficulty()
write_ngrams()
write_trainer()
write_packed_parts()
write_runs()
write_tokenizer()
write_configurations()
write_texts()
write_http_body()
