#!/usr/bin/env python3
"""Whether plain transformers computes what FlashLM does, for a model that both can read. A development tool.

    tools/compare_with_transformers.py MODEL [--flashlm build/release/flashlm] [--text FILE]

Exports MODEL (of the architecture "llama", as the preset gpt-qwen3) with --format hf, loads it with AutoModelForCausalLM
and AutoTokenizer without remote code, and compares the ids of the text's documents, and behind each of them the logits of
the whole vocabulary (as log-probabilities, for a constant in a row means nothing). Ends with 77 (skipped) where
transformers or torch is not installed, with 1 if ids differ or a logit by more than 1e-3.
"""

import pathlib
import subprocess
import sys
import tempfile

from comparison import comparison_parser, flashlm_package, need
from flashlm_scores import documents_of

DOCUMENTS = [
    "Once upon a time there was a little cat. The cat was happy.",
    'Tom had a red ball. He lost it, and Anna found it in the garden. "Thank you!" said Tom.',
]


def main() -> int:
    parser = comparison_parser(__doc__)
    parser.add_argument("--text", type=pathlib.Path, help="documents separated by lines <|endoftext|> (default: two)")
    parser.add_argument("--documents", type=int, default=30, help="most documents that are read (default: %(default)s)")
    args = parser.parse_args()
    need("torch", "transformers")
    import numpy
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        folder = f"{scratch}/hf"
        subprocess.run([args.flashlm, "--quiet", "export", "--model", args.model, "--out", folder, "--format", "hf"], check=True)
        documents = documents_of(args.text, DOCUMENTS)[: args.documents]
        ours = flashlm_package(args.flashlm).load(args.model)

        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        print(f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters")
        worst, count = 0.0, 0
        for document in documents:
            ids = tokenizer(document)["input_ids"]
            if ids != ours.tokenizer.encode(document):
                print(f"other ids for: {document[:60]!r}")
                return 1
            ids = [tokenizer.eos_token_id, *ids][: model.config.max_position_embeddings]
            with torch.no_grad():
                theirs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            worst = numpy.maximum(worst, abs(theirs.numpy() - ours.logits(ids, precision="f32")).max())  # NaN stays
            count += theirs.numel()
    print(f"{count} logits of {len(documents)} documents, largest difference {worst:.1e}")
    return 0 if worst < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
