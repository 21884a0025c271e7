"""A plain transformer with a modern recipe in PyTorch, trained for a budget of time: the quality that the flagship is compared with.

    python3 bench/pytorch_modern.py --data data/ts --time 600 --setting compiled-bf16

Written as a careful user of PyTorch would, with what is known to train small models fast: d 256, 6 layers, 4 heads,
ReLU^2 of 4 d, RMS norms without gains, QK-norm, outputs from zero, tied head with a learned scale, soft-capped logits,
a learned share of the embedding in every block; Muon for the matrices, AdamW for the embedding and the scalars; a
constant rate that falls to zero over the second half. 5.77 M parameters at 4,096 tokens.

Data are those of `flashlm data prepare`. What counts as training time is the steps, from the second on: compiling is
free. The held-out text is scored document by document, <eos> before the first token and as the last target, in windows
of 256 that move by 128: each token has all of its document before it, or where that is longer at least 128 tokens. Bits
per byte of the documents' bytes.
"""

import argparse
import json
import math
import os
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEADER_BYTES = 64  # of a shard: docs/formats.md
SEQUENCE, WIDTH, LAYERS, HEADS, CAP = 256, 256, 6, 4, 15.0


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name in ("q", "k", "v", "out"):
            self.register_parameter(name, nn.Parameter(torch.empty(WIDTH, WIDTH)))
        self.up = nn.Parameter(torch.empty(4 * WIDTH, WIDTH))
        self.down = nn.Parameter(torch.empty(WIDTH, 4 * WIDTH))
        self.kept, self.embedded = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, embedding: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x, embedding [B,T,d]; cos, sin [T,D/2]."""
        x = self.kept * x + self.embedded * embedding
        u = norm(x)
        q, k, v = (F.linear(u, w).unflatten(-1, (HEADS, -1)).transpose(1, 2) for w in (self.q, self.k, self.v))
        q, k = (rotate(1.2 * norm(y), cos, sin) for y in (q, k))
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + F.linear(seen.transpose(1, 2).flatten(-2), self.out)
        return x + F.linear(F.linear(norm(x), self.up).relu().square(), self.down)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1).to(x.dtype)


class Transformer(nn.Module):
    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.32 * torch.randn(vocab, WIDTH))
        self.scale = nn.Parameter(torch.tensor(0.06))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        for name, p in self.blocks.named_parameters():
            if p.dim() == 2:
                bound = 0.0 if name.endswith(("out", "down")) else math.sqrt(3.0 / WIDTH)  # uniform of std d^-1/2
                nn.init.uniform_(p, -bound, bound)
        depth = WIDTH // HEADS // 2
        angles = torch.outer(torch.arange(SEQUENCE), 10000.0 ** (-torch.arange(depth) / depth))
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]."""
        x = embedding = norm(F.embedding(tokens, self.embedding))
        length = tokens.shape[1]
        for block in self.blocks:
            x = block(x, embedding, self.cos[:length], self.sin[:length])
        logits = self.scale * F.linear(norm(x), self.embedding)
        return CAP * (logits.float() / CAP).tanh()


class Loss(nn.Module):
    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T+1] -> mean nats per token."""
        return F.cross_entropy(self.model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


class Muon(torch.optim.Optimizer):
    """Momentum with Nesterov's step, made orthogonal by five quintic Newton-Schulz steps in bf16 (Jordan, 2024)."""

    def __init__(self, parameters: list[Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": 0.95})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                x = p.grad.lerp(momentum, group["momentum"]).bfloat16()
                x = x.mT if (tall := x.shape[0] > x.shape[1]) else x
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    square = x @ x.mT
                    x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
                x = x.mT if tall else x
                p.add_(x.float(), alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def batches(tokens: Tensor, size: int):
    """Sequences of SEQUENCE inputs and the token after them, every epoch in another order, without end."""
    starts = torch.arange(0, len(tokens) - SEQUENCE - 1, SEQUENCE)
    while True:
        order = starts[torch.randperm(len(starts))]
        for chosen in order[: len(order) // size * size].split(size):
            yield torch.stack([tokens[s : s + SEQUENCE + 1] for s in chosen])


@torch.no_grad()
def bits_per_byte(model: nn.Module, tokens: Tensor, eos: int, size: int, half: bool) -> tuple[float, int]:
    """Of all documents; `size` is the length of the text in bytes. Also how many tokens were scored."""
    windows, counted = [], []
    begin = 0
    for last in (tokens == eos).nonzero().flatten().tolist():
        line = torch.cat([torch.tensor([eos]), tokens[begin : last + 1]])
        begin = last + 1
        for start in range(0, len(line) - 1, SEQUENCE // 2):
            piece = line[start : start + SEQUENCE + 1]
            first = 0 if start == 0 else SEQUENCE // 2  # what the window before has not scored
            if len(piece) - 1 > first:
                windows.append(F.pad(piece, (0, SEQUENCE + 1 - len(piece)), value=eos))
                counted.append((first, len(piece) - 1))
    nats = scored = 0.0
    for some in range(0, len(windows), 32):
        batch = torch.stack(windows[some : some + 32])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            logits = model(batch[:, :-1])
        losses = F.cross_entropy(logits.transpose(1, 2), batch[:, 1:], reduction="none")
        for row, (first, last) in zip(losses, counted[some : some + 32]):
            nats += row[first:last].sum().item()
            scored += last - first
    return nats / math.log(2) / size, int(scored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True, help="folder made by: flashlm data prepare")
    parser.add_argument("--time", type=float, default=600, help="seconds of training")
    parser.add_argument("--setting", choices=("eager-f32", "eager-bf16", "compiled-f32", "compiled-bf16"), default="compiled-bf16")
    parser.add_argument("--batch", type=int, default=32, help="sequences of a step")
    parser.add_argument("--speed", action="store_true", help="ten steps, their tokens/s, no evaluation")
    parser.add_argument("--scale-lr", type=float, default=0.02, help="AdamW's rate of the head's scale, which is small")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    meta = json.loads((args.data / "meta.json").read_text())
    read = lambda split: torch.from_numpy(np.concatenate(  # noqa: E731
        [np.fromfile(args.data / s["file"], dtype="<u2", offset=HEADER_BYTES) for s in meta[split]["shards"]]).astype(np.int64))
    train, valid = read("train"), read("valid")
    model = Transformer(meta["tokenizer"]["vocab_size"])
    half = args.setting.endswith("bf16")
    loss_of = torch.compile(Loss(model)) if args.setting.startswith("compiled") else Loss(model)
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if all(p is not m for m in [*matrices, model.scale])]
    groups = [{"params": others, "lr": 0.02}, {"params": [model.scale], "lr": args.scale_lr}]
    optimisers = [Muon(matrices, lr=0.02), torch.optim.AdamW(groups, betas=(0.8, 0.95), weight_decay=0.0, fused=True)]
    peaks = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]

    source = batches(train, args.batch)
    steps = 10 if args.speed else math.inf
    elapsed, step = 0.0, 0
    while elapsed < args.time and step < steps + 1:
        begin = time.perf_counter()
        done = elapsed / args.time
        rate = min(1.0, (step + 1) / 20, 2 * (1 - done))  # warm-up, constant, linear to zero over the second half
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = loss_of(next(source))
        loss.backward()
        for optimiser, peak in zip(optimisers, peaks):
            for group, lr in zip(optimiser.param_groups, peak):
                group["lr"] = lr * rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        step += 1
        if step > 1:
            elapsed += time.perf_counter() - begin
        if step % 50 == 0:
            print(f"step {step}  {elapsed:.0f} s  {(step - 1) * args.batch * SEQUENCE / elapsed:.0f} tok/s  loss {loss:.4f}", flush=True)
    seen = step * args.batch * SEQUENCE
    result = {"torch": torch.__version__, "setting": args.setting, "threads": torch.get_num_threads(),
              "parameters": sum(p.numel() for p in model.parameters()), "tokens": seen,
              "tokens_per_s": (step - 1) * args.batch * SEQUENCE / elapsed, "seconds": elapsed}
    if not args.speed:
        eos = int(valid[-1])  # every document ends with it
        score, scored = bits_per_byte(model.eval(), valid, eos, meta["valid"]["bytes"], half)
        result |= {"bits_per_byte": score, "tokens_scored": scored, "epochs": seen / len(train)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
