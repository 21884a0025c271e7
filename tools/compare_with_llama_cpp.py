#!/usr/bin/env python3
"""Whether llama.cpp computes what FlashLM does with a file of `export --format gguf`, and how fast. A development tool.

    tools/compare_with_llama_cpp.py MODEL [--flashlm build/release/flashlm] [--text FILE] [--prompts 100] [--speed]

Exports MODEL (preset gpt-qwen3) and loads the file with llama-cpp-python. For the beginnings of documents of the text it
compares the ids, the logits of the whole vocabulary behind each token of the document (as log-probabilities, for a
constant in a row means nothing), and the text that both write greedily from the prompt. Ends with 77 (skipped) where
llama-cpp-python is not installed, with 1 if ids or texts differ or a logit by more than 1e-2.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time

from comparison import comparison_parser, flashlm_package, need
from flashlm_scores import documents_of

GREEDY = 60  # tokens
DOCUMENTS = ["Once upon a time there was a little cat. The cat was happy.", "Tom had a red ball. He lost it."]


def main() -> int:
    parser = comparison_parser(__doc__)
    parser.add_argument("--text", type=pathlib.Path, help="documents separated by <|endoftext|> (default: two sentences)")
    parser.add_argument("--prompts", type=int, default=100, help="documents whose beginnings are prompts (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--floats", default="f32", choices=["f32", "bf16"], help="of the file (default: %(default)s)")
    parser.add_argument("--speed", action="store_true", help="also measure tokens/s of both, in turns")
    args = parser.parse_args()
    need("llama_cpp")
    import numpy
    from llama_cpp import Llama, llama_perf_context, llama_perf_context_reset

    with tempfile.TemporaryDirectory() as scratch:
        file = f"{scratch}/model.gguf"
        quiet = [args.flashlm, "--quiet"]
        subprocess.run(quiet + ["export", "--model", args.model, "--out", file, "--format", "gguf", "--floats", args.floats], check=True)
        exact = {"type_k": 0, "type_v": 0, "flash_attn": False}  # keys and values in f32, not its default of f16
        llama = Llama(file, n_ctx=512, n_threads=args.threads, n_threads_batch=args.threads, logits_all=True, verbose=False, **exact)
        documents = documents_of(args.text, DOCUMENTS)[: args.prompts]
        package = flashlm_package(args.flashlm)
        ours = package.load(args.model)

        worst, count, other_texts = 0.0, 0, 0
        for document in documents:
            ids = llama.tokenize(document.encode(), add_bos=True, special=False)
            if ids != [package.EOS, *ours.tokenizer.encode(document)] or ids[0] != llama.token_eos():
                print(f"other ids for: {document[:60]!r}")
                return 1
            ids = ids[:512]
            llama.reset()
            llama.eval(ids)
            theirs = llama.scores[: len(ids)].astype(numpy.float64)
            theirs -= numpy.logaddexp.reduce(theirs, axis=1, keepdims=True)
            worst = numpy.maximum(worst, abs(theirs - ours.logits(ids, precision="f32")).max())  # NaN stays
            count += theirs.size
            prompt = " ".join(document.split()[:6])
            command = quiet + ["generate", "--model", args.model, "-p", prompt, "-n", str(GREEDY), "--temp", "0"]
            mine = json.loads(subprocess.run(command + ["--precision", "f32", "--json"], check=True, capture_output=True).stdout)
            other = llama.create_completion(prompt, max_tokens=GREEDY, temperature=0.0, repeat_penalty=1.0)
            if mine["text"] != other["choices"][0]["text"]:
                other_texts += 1
                print(f"other text after {prompt!r}:\n  {mine['text']!r}\n  {other['choices'][0]['text']!r}")
        print(f"{len(documents)} prompts, {count} logits: largest difference {worst:.1e}; "
              f"{len(documents) - other_texts} greedy texts the same")  # fmt: skip

        if args.speed:
            for turn in range(3):
                fast = Llama(file, n_ctx=512, n_threads=args.threads, verbose=False)
                fast.create_completion("Once upon a time", max_tokens=20, temperature=0.0)
                llama_perf_context_reset(fast.ctx)
                start = time.perf_counter()
                usage = fast.create_completion("Once upon a time", max_tokens=300, temperature=1.0, seed=turn, logit_bias={3: -100.0})
                rate = usage["usage"]["completion_tokens"] / (time.perf_counter() - start)
                bench = quiet + ["bench", "decode", "--model", args.model, "--tokens", "300", "--threads", str(args.threads), "--json"]
                for precision in ("f32", "bf16"):
                    result = subprocess.run(bench + ["--precision", precision], check=True, capture_output=True).stdout
                    print(f"{precision}: FlashLM {json.loads(result)['tokens_per_s']:.0f} tokens/s")
                own = llama_perf_context(fast.ctx)
                print(f"{args.floats}: llama.cpp {own.n_eval / own.t_eval_ms * 1e3:.0f} tokens/s by its own clock, "
                      f"{rate:.0f} with its sampler and Python")  # fmt: skip
    return 0 if worst < 1e-2 and other_texts == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
