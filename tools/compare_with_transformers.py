#!/usr/bin/env python3
"""Whether plain transformers computes what FlashLM does, for a model that both can read. A development tool.

    tools/compare_with_transformers.py MODEL [--flashlm build/release/flashlm] [--text FILE]

Exports MODEL (of the architecture "llama", as the preset gpt-qwen3) with --format hf, loads it with AutoModelForCausalLM
and AutoTokenizer without remote code, and compares: the ids of the text, and the negative log-probability of every token
of its documents with `flashlm eval --tokens`. Ends with 77 (skipped) where transformers or torch is not installed, with
1 if ids differ or a token's nats differ by more than 1e-3.
"""

import pathlib
import subprocess
import sys
import tempfile

from comparison import comparison_parser, need
from flashlm_scores import documents_of, scores_of

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
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory() as scratch:
        folder = f"{scratch}/hf"
        subprocess.run([args.flashlm, "--quiet", "export", "--model", args.model, "--out", folder, "--format", "hf"], check=True)
        documents = documents_of(args.text, DOCUMENTS)[: args.documents]
        ours = scores_of(args.flashlm, args.model, documents, scratch)

        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder).eval()
        print(f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters")
        worst, count = 0.0, 0
        for document, scored in zip(documents, ours):
            ids = tokenizer(document)["input_ids"] + [tokenizer.eos_token_id]
            if ids != [id for id, _ in scored]:
                print(f"other ids for: {document[:60]!r}")
                return 1
            context = model.config.max_position_embeddings
            with torch.no_grad():
                logits = model(torch.tensor([[tokenizer.eos_token_id] + ids[:-1]])).logits[0]
            nats = -logits.log_softmax(-1)[range(len(ids)), ids]
            for theirs, (_, mine) in list(zip(nats.tolist(), scored))[:context]:
                worst, count = max(worst, abs(theirs - mine)), count + 1
    print(f"{count} tokens, largest difference of a token's nats {worst:.1e}")
    return 0 if worst < 1e-3 else 1


if __name__ == "__main__":
    sys.exit(main())
