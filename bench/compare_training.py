"""Training throughput of flashlm beside PyTorch's, in turns on the same machine, so that the ratio holds when its speed drifts.

    python3 bench/compare_training.py --flashlm build/release/flashlm --rounds 3        # v8.3
    python3 bench/compare_training.py --presets all --rounds 1
    python3 bench/compare_training.py --presets cortex-viii --settings compiled-bf16

Every round measures each PyTorch setting (bench/pytorch_yardstick.py) and flashlm once: the same model, the preset's
micro-batches, AdamW, all cores, and the two losses of v7.5 off, which the PyTorch side does not have. The ratio is
flashlm's rate over the fastest PyTorch setting of the same round. A setting that fails or takes longer than --timeout
is left out and named.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from pytorch_yardstick import LOOPS_OVER_TIME, ROOT, SETTINGS, read_preset

HERE = pathlib.Path(__file__).resolve().parent
ONLY_OURS = ("second_token_weight", "unlikelihood_weight", "word_dropout")  # of [train]


def output_of(command: list[str], timeout: float | None = None) -> dict:
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=timeout)
    return json.loads(result.stdout)


def pytorch_rates(preset: str, settings: list[str], batch: list[str], steps: int, timeout: float) -> dict[str, float]:
    rates = {}
    for setting in settings:
        command = [sys.executable, str(HERE / "pytorch_yardstick.py"), "--json", "--preset", preset, "--settings", setting,
                   "--steps", str(steps), *batch]
        try:
            rates[setting] = output_of(command, timeout)["results"][0]["tokens_per_s"]
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as failure:
            print(f"{preset}: {setting} left out: {type(failure).__name__}", file=sys.stderr)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flashlm", default="build/release/flashlm")
    parser.add_argument("--presets", nargs="+", default=["v8.3"], help="names, or: all")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["eager-bf16", "compiled-bf16"])
    parser.add_argument("--rounds", type=int, choices=range(1, 100), metavar="N", default=3)
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each setting; their median counts")
    parser.add_argument("--batch", type=int, help="sequences of a micro-batch (default: the preset's)")
    parser.add_argument("--accumulate", type=int, help="micro-batches of a step (default: the preset's)")
    parser.add_argument("--precision", default="auto", help="of flashlm: auto, f32 or bf16")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one PyTorch setting")
    args = parser.parse_args()

    tables = {p.stem: read_preset(p.stem) for p in sorted((ROOT / "presets").glob("*.toml"))}
    names = [name for name, table in tables.items() if "model" in table]  # a family has sizes, which are presets
    presets = names if args.presets == ["all"] else args.presets
    if not set(presets) <= set(names):
        parser.error(f"no preset with a size of its own: {', '.join(sorted(set(presets) - set(names)))}")
    print("| preset | flashlm tokens/s | PyTorch tokens/s | ratio | peak memory MB |\n|---|---|---|---|---|", flush=True)
    for preset in presets:
        table = tables[preset]
        batch = ["--batch", str(args.batch or table["train"]["micro_batch"]),
                 "--accumulate", str(args.accumulate or table["train"]["accumulate"])]
        same_work = ["optim.optimizer=adamw", *(f"train.{name}=0" for name in ONLY_OURS if name in table["train"])]
        settings = args.settings
        if table["model"]["architecture"] in LOOPS_OVER_TIME:
            settings = sorted({s.replace("compiled", "eager") for s in settings})
        ratios, ours, theirs = [], [], {}
        for _ in range(args.rounds):
            rates = pytorch_rates(preset, settings, batch, args.steps, args.timeout)
            run = output_of([args.flashlm, "bench", "train", "--json", "--preset", preset, "--steps", str(args.steps),
                             "--precision", args.precision, *(word for setting in same_work for word in ("--set", setting)), *batch])
            ours.append(run["tokens_per_s"])
            for setting, rate in rates.items():
                theirs.setdefault(setting, []).append(rate)
            if rates:
                ratios.append(ours[-1] / max(rates.values()))
        shown = ", ".join(f"{setting} {statistics.median(rates):,.0f}" for setting, rates in theirs.items())
        spread = f"{statistics.median(ratios):.2f}" if ratios else "-"
        if len(ratios) > 1:
            spread += f" ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {preset} | {statistics.median(ours):,.0f} | {shown} | {spread} | {run['peak_rss_mb']:.0f} |", flush=True)
    print(f"\n{run['cpu']}, {run['threads']} threads, {run['precision']}; {args.rounds} rounds in turns")


if __name__ == "__main__":
    main()
