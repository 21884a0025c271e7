"""Makes the golden parity files: small states of every architecture with the logits, gradients and training losses that
the engine must reproduce. See README.md beside this file for their contents.

    python3 tests/golden/make_golden.py                 # rewrites every file
    python3 tests/golden/make_golden.py cortex_delta    # rewrites one
    python3 tests/golden/make_golden.py --check         # recomputes them and compares with the files present

Every NAME_reference.py beside this script offers `golden_states() -> {state: (config, model)}`: the engine's [model]
configuration of a small state, and the same network as a torch module whose parameters have the engine's names and
whose forward takes tokens [B,T] and gives logits [B,T,V], or logits and values [L,B,T]. A module may have
`auxiliary_loss()`, the part of the objective that its last forward pass adds; `extra_losses(tokens)`, losses of the
trainer that go beyond the usual ones, as {name: (weight, value)}; and `after_update()`, called after each update of its
parameters. Logits are computed in evaluation mode, all else in training mode.
"""

import argparse
import copy
import dataclasses
import importlib
import json
import pathlib

import torch
from cortex_reference import Objective, losses, parameter_groups, pearson, value_targets
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

HERE = pathlib.Path(__file__).resolve().parent
BATCH, LENGTH, STEPS = 3, 20, 10
OBJECTIVE = Objective(entropy_weight=0.01, value_weight=0.1, value_horizon=8)
PARTS = ("ce", "entropy", "auxiliary", "unlikelihood", "second_token")
OPTIMISER = {"lr": 1e-3, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.01, "clip": 1.0}


def all_states() -> dict[str, tuple[dict, nn.Module]]:
    states = {}
    for path in sorted(HERE.glob("*_reference.py")):
        states |= importlib.import_module(path.stem).golden_states()
    return states


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Far from the usual start: with small weights the gates sit at 1/2 and mistakes in them would not show. Names in
    the module's `own_start` keep the values that it gave them."""
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        if name.endswith("alpha_proj.bias"):
            p.data = 1 + 3 * torch.rand(p.shape, generator=generator, dtype=torch.float64)
        elif name in getattr(model, "own_start", ()):
            pass
        elif name.endswith("bias"):
            p.data = 0.2 * noise
        elif p.dim() == 1:
            p.data = 1 + 0.2 * noise
        elif name.startswith("lookahead_heads."):
            p.data = 0.1 * noise  # at 0.3 the value loss drowns the cross-entropy in every gradient
        else:
            p.data = 0.3 * noise
        # The file holds float32, so the float64 computation has to start from exactly those values.
        p.data = p.data.float().double()


def objective_of(model: nn.Module, tokens: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor | None]:
    output = model(tokens[:, :-1])
    logits, values = output if isinstance(output, tuple) else (output, None)
    objective = OBJECTIVE if values is not None else dataclasses.replace(OBJECTIVE, value_horizon=LENGTH + 1)
    parts = losses(logits, values, tokens[:, 1:], objective)
    if hasattr(model, "auxiliary_loss"):
        parts["auxiliary"] = model.auxiliary_loss()
        parts["total"] = parts["total"] + parts["auxiliary"]
    if hasattr(model, "extra_losses"):
        for name, (weight, value) in model.extra_losses(tokens).items():
            parts[name] = value
            parts["total"] = parts["total"] + weight * value
    return parts, logits, values


def clip_gradients(model: nn.Module) -> Tensor:
    """Scales all gradients by min(1, clip / (norm + 1e-6)) and returns the norm before."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.sqrt(sum(g.square().sum() for g in gradients))
    factor = min(1.0, OPTIMISER["clip"] / (norm.item() + 1e-6))
    for g in gradients:
        g *= factor
    return norm


def train(model: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Loss before each update and gradient norm before clipping, for STEPS updates on one batch."""
    optimiser = torch.optim.AdamW(
        parameter_groups(model, OPTIMISER["weight_decay"]),
        lr=OPTIMISER["lr"],
        betas=tuple(OPTIMISER["betas"]),
        eps=OPTIMISER["eps"],
    )
    history, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad()
        total = objective_of(model, tokens)[0]["total"]
        total.backward()
        norms.append(clip_gradients(model))
        optimiser.step()
        if hasattr(model, "after_update"):
            model.after_update()
        history.append(total.detach())
    return torch.stack(history), torch.stack(norms)


def golden_tensors(model: nn.Module, vocab: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    randomise(model, generator)
    tokens = torch.randint(vocab, (BATCH, LENGTH + 1), generator=generator)

    parts, _, values = objective_of(model, tokens)
    parts["total"].backward()
    model.eval()
    logits = objective_of(model, tokens)[1]
    model.train()
    out = {f"param.{name}": p.data.clone() for name, p in model.named_parameters()}
    out |= {f"param.{name}": b.clone() for name, b in model.named_buffers()}
    out |= {f"grad.{name}": torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    out |= {"logits": logits} | {name: parts[name][None] for name in PARTS if name in parts}
    if values is not None:
        tau = value_targets(parts["per_token_ce"], OBJECTIVE.value_horizon)
        out |= {"values": values, "value_loss": parts["value_loss"][None]}
        out["v_corr"] = pearson(values[-1, :, : tau.shape[1]], tau)[None]
    out["losses"], out["grad_norms"] = train(copy.deepcopy(model), tokens)
    out = {name: t.detach().float().contiguous() for name, t in out.items()}
    return out | {"tokens": tokens.int()}


def metadata(config: dict, model: nn.Module) -> dict[str, str]:
    objective = dataclasses.asdict(OBJECTIVE) | OPTIMISER
    if hasattr(model, "extra_losses"):
        tokens = torch.zeros(1, LENGTH + 1, dtype=torch.long)
        objective |= {f"{name}_weight": weight for name, (weight, _) in model.extra_losses(tokens).items()}
    return {"config": json.dumps(config | {"objective": objective})}


def compare(path: pathlib.Path, tensors: dict[str, Tensor]) -> float:
    """Largest difference from the stored file, relative to each tensor's largest entry."""
    worst = 0.0
    with safe_open(path, framework="pt") as stored:
        assert set(stored.keys()) == set(tensors), f"{path.name}: the tensors differ in name"
        for name, now in tensors.items():
            before = stored.get_tensor(name)
            worst = max(worst, ((before - now).abs().max() / before.abs().max().clamp_min(1e-12)).item())
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("states", nargs="*", help="names of files without .safetensors (default: all)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder of the files (default: this one)")
    parser.add_argument("--seed", type=int, default=20, help="of parameters and tokens (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs by more than 1e-6")
    args = parser.parse_args()

    for name, (config, model) in all_states().items():
        if args.states and name not in args.states:
            continue
        path = args.out / f"{name}.safetensors"
        tensors = golden_tensors(model, config["vocab"], args.seed)
        if args.check:
            worst = compare(path, tensors)
            print(f"{path.name}: largest relative difference {worst:.1e}")
            if worst > 1e-6:
                raise SystemExit(f"{path.name} does not match what this script computes")
            continue
        save_file(tensors, path, metadata=metadata(config, model))
        print(f"{path.name}: {path.stat().st_size:,} bytes")
        for key in (*PARTS, "value_loss", "v_corr", "losses", "grad_norms"):
            if key in tensors:
                print(f"  {key:10s} {' '.join(f'{x:.6f}' for x in tensors[key].tolist())}")


if __name__ == "__main__":
    main()
