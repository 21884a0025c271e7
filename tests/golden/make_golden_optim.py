"""Makes optim/rules.safetensors: a tiny transformer before and after some updates with each option of the optimiser, by
an implementation in PyTorch (float64) that shares nothing with the engine.

    python3 tests/golden/make_golden_optim.py            # rewrites the file
    python3 tests/golden/make_golden_optim.py --check    # recomputes and compares

Tensors: `start.NAME` the parameters, `tokens` [B,T+1], `CASE.NAME` the parameters after STEPS updates on this batch and
`CASE.loss` [STEPS] the cross-entropy before each. The metadata's `config` has the model, and of each case the settings
of [optim] that differ from OPTIM. Step s has the learning-rate factor 1 - s / 10 and the fraction s / STEPS of the
budget.
"""

import argparse
import copy
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from gpt_reference import Gpt
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FILE = pathlib.Path(__file__).resolve().parent / "optim" / "rules.safetensors"
SIZES = {"vocab": 32, "d_model": 16, "n_layers": 1, "n_heads": 2, "window": 16, "d_ff": 40, "softcap": 5.0}
BATCH, LENGTH, STEPS = 4, 16, 8
OPTIM = {"optimizer": "muon", "muon_lr": 0.05, "muon_steps": 5, "lr": 0.01, "embedding_lr": 0.02, "vector_lr": 0.03,
         "beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.0, "clip": 1.0}  # fmt: skip
CASES = {
    "quintic": {},
    "aol": {"muon_form": "aol", "muon_steps": 4},
    "aol_gram": {"muon_form": "aol", "muon_steps": 5, "muon_gram": True},
    "quintic_gram": {"muon_gram": True, "weight_decay": 0.3},
    "normuon": {"muon_beta2": 0.9, "muon_form": "aol", "muon_steps": 4},
    "equal_rows": {"muon_equal_rows": True},
    "cautious": {"cautious_decay": True, "weight_decay": 2.0, "embedding_decay": 3.0, "decay_schedule": "follow"},
    "cautious_adamw": {"optimizer": "adamw", "cautious_decay": True, "weight_decay": 2.0, "embedding_decay": 3.0},
    "dip": {"weight_decay": 2.0, "embedding_decay": 1.0, "decay_schedule": "dip", "decay_hold_until": 0.2,
            "decay_low_at": 0.6, "decay_low": 0.1, "decay_end": 1.5},
    "momentum": {"muon_momentum_low": 0.6, "muon_momentum_warmup": 0.4, "muon_momentum_cooldown": 0.3},
}  # fmt: skip
AOL = [(4.0848, -6.8946, 2.9270), (3.9505, -6.3029, 2.6377), (3.7418, -5.5913, 2.3037), (2.8769, -3.1427, 1.2046),
       (2.8366, -3.0525, 1.2012)]  # fmt: skip


def orthogonal(x: Tensor, form: str, steps: int) -> Tensor:
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.T, form, steps).T
    if form == "aol":
        x = x / (x @ x.T).abs().sum(dim=1, keepdim=True).sqrt()
        triples = AOL[-steps:]
    else:
        x = x / x.norm()
        triples = [(3.4445, -4.7750, 2.0315)] * steps
    for a, b, c in triples:
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def normuon(u: Tensor, second: Tensor, beta: float) -> Tensor:
    """`second` [lines, 1], or [1, lines] of a wide matrix, is updated."""
    short = 1 if u.shape[0] >= u.shape[1] else 0
    second.lerp_(u.square().mean(dim=short, keepdim=True), 1 - beta)
    scaled = u / second.sqrt()
    return scaled * (u.norm() / scaled.norm())


def decay_factor(o: dict, fraction: float, rate: float) -> float:
    kind = o.get("decay_schedule", "constant")
    if kind == "follow":
        return rate
    if kind == "constant":
        return 1.0
    points = [(0.0, 1.0), (o["decay_hold_until"], 1.0), (o["decay_low_at"], o["decay_low"]), (1.0, o["decay_end"])]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if x0 <= fraction <= x1:
            return y0 + (y1 - y0) * (fraction - x0) / (x1 - x0)
    raise ValueError(fraction)


def momentum(o: dict, fraction: float) -> float:
    high, low = 0.95, o.get("muon_momentum_low", 0.85)
    up, down = o.get("muon_momentum_warmup", 0), o.get("muon_momentum_cooldown", 0)
    share = 1.0
    if up > 0:
        share = min(share, fraction / up)
    if down > 0:
        share = min(share, (1 - fraction) / down)
    return low + share * (high - low)


class Optimiser:
    def __init__(self, model: nn.Module, options: dict):
        self.o, self.state = options, {}
        self.named = list(model.named_parameters())

    @torch.no_grad()
    def step(self, count: int, rate: float, fraction: float) -> None:
        o = self.o
        norm = math.sqrt(sum(p.grad.square().sum().item() for _, p in self.named))
        clip = min(1.0, o["clip"] / (norm + 1e-6))
        factor = decay_factor(o, fraction, rate)
        for name, p in self.named:
            matrix, embedding = p.dim() == 2 and name != "embed.weight", name == "embed.weight"
            decay = factor * (o["weight_decay"] if matrix else o.get("embedding_decay", 0.0) if embedding else 0.0)
            if matrix and o["optimizer"] == "muon":
                for i, part in enumerate(p.chunk(3) if name.endswith("qkv.weight") else [p]):
                    gradient = p.grad.chunk(3)[i] if name.endswith("qkv.weight") else p.grad
                    self.apply(part, self.muon(f"{name}.{i}", gradient, fraction), rate * o["muon_lr"], decay)
            else:
                lr = o["lr"] if matrix else o["embedding_lr"] if embedding else o["vector_lr"]
                self.apply(p, self.adamw(name, clip * p.grad, count), rate * lr, decay)

    def apply(self, w: Tensor, update: Tensor, lr: float, decay: float) -> None:
        decayed = decay * w
        if self.o.get("cautious_decay"):
            decayed = torch.where(update.sign() == w.sign(), decayed, 0.0)
        w -= lr * (update + decayed)

    def muon(self, name: str, gradient: Tensor, fraction: float) -> Tensor:
        o, mu = self.o, momentum(self.o, fraction)
        m = self.state.setdefault(name, torch.zeros_like(gradient))
        m.mul_(mu).add_(gradient)
        u = gradient + mu * m
        if o.get("muon_equal_rows"):
            u = u / u.norm(dim=1, keepdim=True)
        u = orthogonal(u, o.get("muon_form", "quintic"), o["muon_steps"])
        if o.get("muon_beta2"):
            short = 1 if u.shape[0] >= u.shape[1] else 0
            second = self.state.setdefault(name + ".second", torch.zeros_like(u.sum(dim=short, keepdim=True)))
            u = normuon(u, second, o["muon_beta2"])
        return u * max(1.0, u.shape[0] / u.shape[1]) ** 0.5

    def adamw(self, name: str, gradient: Tensor, count: int) -> Tensor:
        o = self.o
        m, v = self.state.setdefault(name, (torch.zeros_like(gradient), torch.zeros_like(gradient)))
        m.lerp_(gradient, 1 - o["beta1"])
        v.lerp_(gradient.square(), 1 - o["beta2"])
        return (m / (1 - o["beta1"] ** count)) / ((v / (1 - o["beta2"] ** count)).sqrt() + o["eps"])


def run(model: nn.Module, tokens: Tensor, options: dict) -> dict[str, Tensor]:
    optimiser, losses = Optimiser(model, OPTIM | options), []
    for s in range(STEPS):
        model.zero_grad()
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        losses.append(loss.detach())
        optimiser.step(s + 1, 1 - s / 10, s / STEPS)
    return {name: p.data for name, p in model.named_parameters()} | {"loss": torch.stack(losses)}


def tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(20)
    model = Gpt(**SIZES).double()
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        p.data = (1 + 0.2 * noise if p.dim() == 1 else 0.3 * noise).float().double()
    tokens = torch.randint(SIZES["vocab"], (BATCH, LENGTH + 1), generator=generator)
    out = {f"start.{name}": p.data.clone() for name, p in model.named_parameters()}
    for case, options in CASES.items():
        out |= {f"{case}.{name}": t for name, t in run(copy.deepcopy(model), tokens, options).items()}
    return {name: t.float().contiguous() for name, t in out.items()} | {"tokens": tokens.int()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it differs by over 1e-6")
    args = parser.parse_args()
    now = tensors()
    if args.check:
        with safe_open(FILE, framework="pt") as stored:
            assert set(stored.keys()) == set(now), "the tensors differ in name"
            worst = max((stored.get_tensor(name) - t).abs().max().item() for name, t in now.items())
        print(f"{FILE.name}: largest difference {worst:.1e}")
        raise SystemExit(worst > 1e-6)
    config = {"model": {"architecture": "gpt", "dropout": 0.0} | SIZES, "optim": OPTIM, "cases": CASES, "steps": STEPS}
    save_file(now, FILE, metadata={"config": json.dumps(config)})
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes")
    for case in CASES:
        print(f"  {case:16s} {' '.join(f'{x:.4f}' for x in now[case + '.loss'].tolist())}")


if __name__ == "__main__":
    main()
