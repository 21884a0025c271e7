#!/usr/bin/env python3
"""Whether lm-evaluation-harness, through HTTP, scores a model as `flashlm eval --pairs` does. A development tool.

    tools/compare_with_lm_eval.py MODEL [--flashlm build/release/flashlm] [--pairs FILE]

Serves MODEL, lets the harness's `local-completions` score minimal pairs in BLiMP's format as a loglikelihood task, and
compares the accuracy with that of `flashlm eval --pairs`: they must be equal. Ends with 77 (skipped) where lm_eval is not
installed, with 1 if they differ.
"""

import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from comparison import comparison_parser, need
from served_model import served

TASK = """
task: pairs
dataset_path: json
dataset_kwargs: {{data_files: {{train: "{file}"}}}}
test_split: train
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{{{[sentence_good, sentence_bad]}}}}"
target_delimiter: ""
metric_list: [{{metric: acc}}]
"""


def agreement() -> list[dict[str, str]]:
    """Subject and verb: a phenomenon of TinyStories' words."""
    pairs = []
    for noun, time, (one, many) in itertools.product(
        ["cat", "dog", "boy", "girl", "bird", "ball"], ["Today", "Now"], [("is", "are"), ("was", "were"), ("has", "have")]
    ):
        good, bad = f"{time} the {noun} {one} here.", f"{time} the {noun} {many} here."
        pairs.append({"sentence_good": good, "sentence_bad": bad, "field": "syntax", "linguistics_term": "agreement"})
    return pairs


def main() -> int:
    parser = comparison_parser(__doc__)
    parser.add_argument("--pairs", type=pathlib.Path, help="JSON lines (default: 36 of subject and verb)")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HF_DATASETS_CACHE"] = scratch  # read when the harness is imported
        need("aiohttp", "requests", "tenacity", "lm_eval.tasks")  # the first three: what lm_eval[api] adds
        import lm_eval
        from lm_eval.tasks import TaskManager

        file = pathlib.Path(scratch, "pairs.jsonl")
        lines = args.pairs.read_text(encoding="utf-8") if args.pairs else "".join(json.dumps(pair) + "\n" for pair in agreement())
        file.write_text(lines)
        command = [args.flashlm, "--quiet", "eval", "--model", args.model, "--pairs", str(file), "--precision", "f32", "--json"]
        ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        pathlib.Path(scratch, "pairs.yaml").write_text(TASK.format(file=file))
        with served(args.flashlm, args.model, "--precision", "f32") as address:
            model = f"model=any,base_url={address}/v1/completions,num_concurrent=4"
            tasks = TaskManager(include_path=scratch, include_defaults=False)
            results = lm_eval.simple_evaluate("local-completions", model_args=model, tasks=["pairs"], task_manager=tasks, batch_size=4)
        theirs = results["results"]["pairs"]["acc,none"]
    print(f"flashlm eval --pairs {ours['accuracy']:.6f}, lm_eval {theirs:.6f}")
    return 0 if ours["accuracy"] == theirs else 1


if __name__ == "__main__":
    sys.exit(main())
