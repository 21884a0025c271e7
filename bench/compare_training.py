"""Training throughput of flashlm beside PyTorch's, in turns on the same machine, so that the ratio holds when its speed drifts.

    python3 bench/compare_training.py --flashlm build/release/flashlm --rounds 3
    python3 bench/compare_training.py --memory delta --settings compiled-bf16

Every round measures each PyTorch setting (bench/pytorch_yardstick.py) and flashlm once, with the same model, the same
8,192 tokens a step and all cores. The ratio is flashlm's rate over the fastest PyTorch setting of the same round.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PRESETS = {"linear": "v8.3", "delta": "cortex-viii"}


def output_of(command: list[str]) -> dict:
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flashlm", default="build/release/flashlm")
    parser.add_argument("--memory", choices=tuple(PRESETS), default="linear")
    parser.add_argument("--settings", nargs="+", default=["eager-bf16", "compiled-bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--accumulate", type=int, default=8)
    args = parser.parse_args()

    batch = ["--batch", str(args.batch), "--accumulate", str(args.accumulate)]
    ratios = []
    for number in range(1, args.rounds + 1):
        yardstick = output_of([sys.executable, str(HERE / "pytorch_yardstick.py"), "--json", "--memory", args.memory,
                               "--settings", *args.settings, *batch])
        rates = {result["setting"]: result["tokens_per_s"] for result in yardstick["results"]}
        ours = output_of([args.flashlm, "bench", "train", "--json", "--preset", PRESETS[args.memory], *batch])
        ratios.append(ours["tokens_per_s"] / max(rates.values()))
        print(f"round {number}: flashlm {ours['tokens_per_s']:.0f} tokens/s ({ours['precision']}, {ours['peak_rss_mb']:.0f} MB, "
              f"{100 * ours['fraction_of_peak']:.0f} % of {ours['gemm_gflops_peak']:.0f} GFLOP/s); PyTorch "
              + ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items()) + f"; ratio {ratios[-1]:.2f}", flush=True)
    print(f"{ours['cpu']}, {ours['threads']} threads, PyTorch {yardstick['torch']}: median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
