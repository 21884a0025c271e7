"""Training throughput of a preset in PyTorch: the speed the engine is compared with.

The models are those of tests/golden/*_reference.py, CORTEX-VIII in its parallel forms, written and run the way a careful
PyTorch user would on a CPU: fused AdamW, chunked memory, banded attention where that is faster, bf16 autocast and
torch.compile as settings. One step is everything a training step needs: forward, objective with entropy term and
value heads, backward, global-norm clipping and AdamW; random tokens, sequences of the preset's length.

    python3 bench/pytorch_yardstick.py                                   # v8.3, 4 x 8 and 32 x 1, all settings
    python3 bench/pytorch_yardstick.py --preset cortex-viii --batch 32 --accumulate 1 --settings compiled-bf16

Recurrences that no chunked form is written for loop over time; compiling such a loop takes longer than any use of it, so
those presets are measured eagerly.

Each measurement runs in its own process, so that peak memory and compiled code belong to it alone. The first step of a
compiled setting takes a minute or two unless PyTorch still has the compiled code in its cache, and its peak memory
includes the compiler.

Measure on an idle machine and look at the spread: with other busy processes on the same cores the threads wait for
each other at every operation, and results were seen to fall more than tenfold.

Choices that were measured (two Zen 4 cores, eager f32, micro-batches of 4, tokens/s): banded attention 2,580, dense
2,300, scaled_dot_product_attention with a mask 2,340. F.rms_norm is no faster than the formula.
"""

import argparse
import concurrent.futures
import dataclasses
import importlib
import inspect
import json
import multiprocessing
import pathlib
import platform
import re
import statistics
import sys
import time
import tomllib

import torch
from torch import Tensor, nn

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "golden"))
import cortex_reference
from cortex_reference import Objective, losses, parameter_groups

SETTINGS = ("eager-f32", "eager-bf16", "compiled-f32", "compiled-bf16")
LOOPS_OVER_TIME = ("v5-thunderbolt", "v6-supernova")


@dataclasses.dataclass(frozen=True)
class Job:
    setting: str
    preset: str
    batch: int
    accumulate: int
    steps: int
    warmup: int
    threads: int
    attention: str
    chunk: int | None


def read_preset(name: str) -> dict:
    """The preset's tables, what it leaves to its recipe filled in."""
    preset = tomllib.loads((ROOT / "presets" / f"{name}.toml").read_text())
    recipe = {}
    if "recipe" in preset:
        recipe = tomllib.loads((ROOT / "recipes" / f"{preset['recipe']}.toml").read_text())
    return preset | {section: recipe.get(section, {}) | preset.get(section, {}) for section in ("train", "optim")}


def build(table: dict, job: Job) -> nn.Module:
    """The reference module of the preset's architecture in the preset's size."""
    if table["architecture"] == "cortex-viii":
        fields = {f.name for f in dataclasses.fields(cortex_reference.Config)}
        config = cortex_reference.Config(**{k: v for k, v in table.items() if k in fields} | {
            "recurrence": "chunked",
            "chunk": job.chunk or {"linear": 64, "delta": 32}[table["memory"]],
            "attention": job.attention if table["window"] < 128 else "sdpa",
        })
        module = "cortex_ix_reference" if table.get("second_head") else "cortex_reference"
        return vars(importlib.import_module(module))["CortexIX" if table.get("second_head") else "Cortex"](config)
    for path in sorted((ROOT / "tests" / "golden").glob("*_reference.py")):
        module = importlib.import_module(path.stem)
        for config, small in module.golden_states().values():
            if config["architecture"] != table["architecture"]:
                continue
            parameters = inspect.signature(type(small)).parameters
            if len(parameters) > 1:
                return type(small)(**{name: table[name] for name in parameters if name in table})
            if not hasattr(module, "Config"):
                return type(small)(table)
            fields = {f.name for f in dataclasses.fields(module.Config)}
            return type(small)(module.Config(**{k: v for k, v in table.items() if k in fields}))
    raise SystemExit(f"no reference of the architecture '{table['architecture']}'")


class TrainingLoss(nn.Module):
    """Model and objective as one module: compiled together, the softmax over the vocabulary is fused."""

    def __init__(self, model: nn.Module, value_heads: bool, objective: Objective):
        super().__init__()
        self.model, self.value_heads, self.objective = model, value_heads, objective

    def forward(self, tokens: Tensor) -> Tensor:
        output = self.model(tokens[:, :-1])
        logits, values = output if isinstance(output, tuple) else (output, None)
        loss = losses(logits, values if self.value_heads else None, tokens[:, 1:], self.objective)["total"]
        return loss + self.model.auxiliary_loss() if hasattr(self.model, "auxiliary_loss") else loss


def peak_rss_mb() -> float:
    """Of this process since its own start; getrusage would inherit the parent's peak across exec."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def measure(job: Job) -> dict:
    torch.set_num_threads(job.threads)
    torch.manual_seed(1)
    preset = read_preset(job.preset)
    vocab, sequence = preset["model"]["vocab"], preset["train"]["sequence_length"]
    value_heads = preset["model"].get("value_heads", False)
    weights = Objective(preset["train"].get("entropy_weight", 0.0), preset["train"].get("value_weight", 0.0))
    objective = TrainingLoss(build(preset["model"], job), value_heads, weights).train()
    for parameter in objective.parameters():  # the references leave to their callers what their matrices start from
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02)
    optimiser = torch.optim.AdamW(parameter_groups(objective.model, 0.01), lr=5e-4, betas=(0.9, 0.95), fused=True)
    compiled = torch.compile(objective) if job.setting.startswith("compiled") else objective
    half = job.setting.endswith("bf16")
    tokens_per_step = job.batch * job.accumulate * sequence

    def step() -> float:
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        for _ in range(job.accumulate):
            tokens = torch.randint(vocab, (job.batch, sequence + 1))
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                loss = compiled(tokens) / job.accumulate
            loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
        if not torch.isfinite(loss):
            raise RuntimeError(f"{job.setting}: the loss is not finite")
        return time.perf_counter() - start

    first = step()
    for _ in range(job.warmup - 1):
        step()
    times = [step() for _ in range(job.steps)]
    return dataclasses.asdict(job) | {
        "tokens_per_s": tokens_per_step / statistics.median(times),
        "fastest_tokens_per_s": tokens_per_step / min(times),
        "slowest_tokens_per_s": tokens_per_step / max(times),
        "first_step_s": first,
        "peak_rss_mb": peak_rss_mb(),
    }


def measure_alone(job: Job) -> dict:
    # An executor lets its worker leave by itself: torch.compile has processes of its own to stop.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, job).result()


def cpu_model() -> str:
    try:
        return re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="v8.3", help="name in presets/ (default: v8.3)")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="default: all that make sense")
    parser.add_argument("--batch", nargs="+", type=int, default=[4, 32], help="sequences per micro-batch (default: 4 32)")
    parser.add_argument("--accumulate", nargs="+", type=int, default=[8, 1], help="micro-batches per step, one for each --batch (default: 8 1)")
    parser.add_argument("--steps", type=int, default=5, help="measured steps; their median counts (default: 5)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (default: 2)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: all cores")
    parser.add_argument("--attention", choices=("banded", "dense", "sdpa"), default="banded", help="of windows below 128 (default: banded, the fastest)")
    parser.add_argument("--chunk", type=int, help="tokens per chunk of the memory (default: the fastest, 64 for linear, 32 for delta)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args()
    preset = read_preset(args.preset)
    if args.settings is None:
        loops = preset["model"]["architecture"] in LOOPS_OVER_TIME
        args.settings = [s for s in SETTINGS if not (loops and s.startswith("compiled"))]
    if len(args.batch) != len(args.accumulate):
        parser.error("--batch and --accumulate need equally many numbers")
    if min(args.warmup, args.steps) < 1:
        parser.error("--warmup and --steps must be at least 1")

    if not args.json:
        print(f"{cpu_model()}, {args.threads} threads, torch {torch.__version__}")
        print(f"{args.preset}, sequences of {preset['train']['sequence_length']}")
        print(f"{'setting':14s} {'batch':>7s} {'tokens/s':>9s} {'slowest..fastest':>17s} {'first step':>10s} {'peak RSS':>9s}", flush=True)
    results = []
    for batch, accumulate in zip(args.batch, args.accumulate, strict=True):
        for setting in args.settings:
            job = Job(setting, args.preset, batch, accumulate, args.steps, args.warmup, args.threads, args.attention, args.chunk)
            r = measure_alone(job)
            results.append(r)
            if not args.json:
                spread = f"{r['slowest_tokens_per_s']:.0f}..{r['fastest_tokens_per_s']:.0f}"
                print(
                    f"{setting:14s} {f'{batch}x{accumulate}':>7s} {r['tokens_per_s']:9.0f} {spread:>17s} "
                    f"{r['first_step_s']:9.1f}s {r['peak_rss_mb']:6.0f} MB",
                    flush=True,
                )
    if args.json:
        print(json.dumps({"cpu": cpu_model(), "torch": torch.__version__, "preset": args.preset, "results": results}))


if __name__ == "__main__":
    main()
