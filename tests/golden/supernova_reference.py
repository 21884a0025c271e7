"""v6 SUPERNOVA in PyTorch, every operation of every token computed and then selected: written for the golden states and
sharing nothing with the engine.

    python3 tests/golden/supernova_reference.py      # checks of the reference itself
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = (1, 3, 8)


@dataclasses.dataclass
class Config:
    vocab: int = 4096
    d_model: int = 256
    n_layers: int = 8
    d_ff: int = 0
    d_reason: int = 96
    n_operations: int = 16
    n_slots: int = 16
    depth: int = 0
    depth_blend: bool = True
    balance_weight: float = 0.01
    activation: str = "none"
    memory_heads: int = 0
    memory_reads: int = 1
    memory_window: int = 256
    weights: str = "ternary"


def straight_through(value: Tensor, x: Tensor) -> Tensor:
    return x + (value - x).detach()


def ternary(w: Tensor) -> Tensor:
    """The scale stays differentiable, the rounding passes gradients."""
    s = w.abs().mean().clamp_min(1e-5)
    return s * straight_through((w / s).round().clamp(-1, 1), w)


def effective(w: Tensor, c: Config) -> Tensor:
    return ternary(w) if c.weights == "ternary" else w


def rounded(x: Tensor, activation: str) -> Tensor:
    if activation == "none":
        return x
    scale = x.abs().amax(-1, keepdim=True) / 127
    return straight_through((x / scale.clamp_min(1e-30)).round() * scale, x)


class Map(nn.Module):
    """Linear, of ternary weights unless the configuration says float."""

    def __init__(self, d_in: int, d_out: int, c: Config):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d_out, d_in))
        self.c = c

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(rounded(x, self.c.activation), effective(self.weight, self.c))


def linear(d_in: int, d_out: int) -> nn.Linear:
    return nn.Linear(d_in, d_out, bias=False)


class GatedRecurrence(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.norm = nn.LayerNorm(c.d_model)
        self.gate_proj = Map(c.d_model, c.d_model, c)
        self.value_proj = Map(c.d_model, c.d_model, c)
        self.decay = nn.Parameter(torch.full((c.d_model,), 0.9))
        self.mlp = GatedMlp(c) if c.d_ff > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        u = self.norm(x)
        written = self.gate_proj(u).sigmoid() * self.value_proj(u)  # [B,T,C]
        keep = self.decay.sigmoid()
        states, s = [], torch.zeros_like(x[:, 0])
        for t in range(x.shape[1]):
            s = keep * s + written[:, t]
            states.append(s)
        return self.mlp(x + torch.stack(states, dim=1))


class GatedMlp(nn.Module):
    """Behind a recurrence; not of the published code."""

    def __init__(self, c: Config):
        super().__init__()
        self.norm = nn.LayerNorm(c.d_model)
        self.gate = Map(c.d_model, c.d_ff, c)
        self.up = Map(c.d_model, c.d_ff, c)
        self.down = Map(c.d_ff, c.d_model, c)

    def forward(self, x: Tensor) -> Tensor:
        u = self.norm(x)
        return x + self.down(F.silu(self.gate(u)) * self.up(u))


class Operations(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.ops = nn.ParameterList(torch.empty(c.d_reason, c.d_reason) for _ in range(c.n_operations))


class Router(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.router = Map(c.d_reason, c.n_operations, c)


class DepthControl(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.classifier = Map(c.d_reason, len(DEPTHS), c)


class SlotMemory(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        generator = torch.Generator().manual_seed(6)
        self.register_buffer("slots", 0.5 * torch.randn(c.n_slots, c.d_reason, generator=generator))
        self.read_key = linear(c.d_reason, c.d_reason)
        self.write_key = linear(c.d_reason, c.d_reason)
        self.write_value = linear(c.d_reason, c.d_reason)
        self.write_gate = linear(c.d_reason, 1)

    def address(self, key: Tensor) -> Tensor:
        return (key @ self.slots.T / math.sqrt(key.shape[-1])).softmax(-1)

    def read(self, r: Tensor) -> Tensor:
        return self.address(self.read_key(r)) @ self.slots

    def write(self, r: Tensor) -> tuple[Tensor, Tensor]:
        address = self.address(self.write_key(r))
        z = self.write_gate(r).sigmoid() * self.write_value(r) + 0.1 * address @ self.slots
        return z, address


class SequenceMemory(nn.Module):
    """What the states of the tokens so far were, for each token to ask for: every pair of tokens is scored."""

    def __init__(self, c: Config):
        super().__init__()
        r = c.d_reason
        self.c = c
        self.norm = nn.RMSNorm(r, eps=1e-6)
        self.query, self.key_value, self.out = linear(r, r), linear(r, 2 * r), linear(r, r)
        self.q_norm, self.k_norm = (nn.RMSNorm(r // c.memory_heads, eps=1e-6) for _ in range(2))
        self.key_shift = nn.Parameter(torch.zeros(r))

    def heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.c.memory_heads, -1)).transpose(1, 2)  # [B,H,T,D]

    def turned(self, x: Tensor) -> Tensor:
        """Of the pairs (i, i + D/2) the first half turn by t * 10000^(-4i/D); x [B,H,T,D]."""
        d = x.shape[-1]
        i = torch.arange(d // 4, dtype=x.dtype)
        angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * 10000.0 ** (-4 * i / d)
        a, b = x[..., : d // 4], x[..., d // 2 : d // 2 + d // 4]
        first, second = a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()
        return torch.cat([first, x[..., d // 4 : d // 2], second, x[..., d // 2 + d // 4 :]], dim=-1)

    def forward(self, r: Tensor) -> Tensor:
        keys, values = self.key_value(self.norm(r)).chunk(2, dim=-1)
        keys = self.k_norm(self.heads(keys)).transpose(1, 2).flatten(2)
        own = self.key_shift.sigmoid()
        keys = own * keys + (1 - own) * F.pad(keys, (0, 0, 1, 0))[:, :-1]
        keys, values = self.turned(self.heads(keys)), self.heads(values)
        t = torch.arange(r.shape[1])
        seen = (t[None] <= t[:, None]) & (t[None] > t[:, None] - self.c.memory_window)
        for _ in range(self.c.memory_reads):
            query = self.turned(self.q_norm(self.heads(self.query(self.norm(r)))))
            scores = query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1])
            found = scores.masked_fill(~seen, -math.inf).softmax(-1) @ values
            r = r + self.out(found.transpose(1, 2).flatten(2))
        return r


class Engine(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.down_proj = Map(c.d_model, c.d_reason, c)
        self.up_proj = Map(c.d_reason, c.d_model, c)
        if c.memory_heads > 0:
            self.sequence_memory = SequenceMemory(c)
        self.op_library = Operations(c)
        self.router = Router(c)
        self.memory = SlotMemory(c)
        self.depth_ctrl = DepthControl(c)
        self.reason_norm = nn.LayerNorm(c.d_reason)
        self.mem_mix = linear(2 * c.d_reason, c.d_reason)
        self.write_scale = nn.Parameter(torch.tensor([0.01]))
        self.balance = None
        self.means = None

    def one_pass(self, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The next state, the router's probabilities, and which operations were chosen; r [N,R]."""
        logits = self.router.router(r)
        top, chosen = logits.topk(2, dim=-1)
        weights = torch.zeros_like(logits).scatter(-1, chosen, top.softmax(-1))  # [N,K]
        x = rounded(r, self.c.activation)
        results = torch.stack([F.linear(x, effective(w, self.c)) for w in self.op_library.ops], dim=1)  # [N,K,R]
        mixed = (weights[..., None] * results).sum(1)
        after = self.reason_norm(r + self.mem_mix(torch.cat([mixed, self.memory.read(r)], dim=-1)))
        return after, logits.softmax(-1), torch.zeros_like(logits).scatter(-1, chosen, 1.0)

    def forward(self, h: Tensor) -> Tensor:
        shape = h.shape
        first = self.down_proj(h)
        if self.c.memory_heads > 0:
            first = self.sequence_memory(first)
        first = first.flatten(0, 1)  # [N,R]
        logits = self.depth_ctrl.classifier(first)  # [N,3]
        choice = logits.argmax(-1)
        depth = torch.tensor(DEPTHS)[choice] if self.c.depth == 0 else torch.full_like(choice, self.c.depth)
        states, r = [first], first
        usage, choices, passes = 0, 0, 0
        for step in range(int(depth.max())):
            alive = (depth > step).to(h.dtype)[:, None]
            after, probabilities, chosen = self.one_pass(r)
            usage = usage + (alive * probabilities).sum(0)
            choices = choices + (alive * chosen).sum(0)
            passes = passes + alive.sum()
            r = torch.where(alive > 0, after, r)  # who has stopped keeps his state
            states.append(r)
        if self.c.depth == 0 and self.training and self.c.depth_blend:
            # The states at the depths up to the chosen one, weighted by the softmax restricted to them.
            allowed = torch.arange(len(DEPTHS))[None] <= choice[:, None]
            weights = logits.masked_fill(~allowed, -math.inf).softmax(-1)
            kept = torch.stack([states[min(d, len(states) - 1)] for d in DEPTHS], dim=1)  # [N,3,R]
            blend = (weights[..., None] * kept).sum(1)
        else:
            blend = r
        z, address = self.memory.write(r)
        k = self.c.n_operations
        self.balance = self.c.balance_weight * k * (usage / passes * (choices / (2 * passes)).detach()).sum()
        self.means = (address.mean(0).detach(), z.mean(0).detach())
        return h + self.up_proj((blend + self.write_scale * z).unflatten(0, shape[:2]))


class Supernova(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.embedding = nn.Embedding(c.vocab, c.d_model)
        self.backbone = nn.ModuleList(GatedRecurrence(c) for _ in range(c.n_layers))
        self.rcsm = Engine(c)
        self.out_norm = nn.LayerNorm(c.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embedding(tokens)
        for layer in self.backbone:
            h = layer(h)
        return F.linear(self.out_norm(self.rcsm(h)), self.embedding.weight)

    def auxiliary_loss(self) -> Tensor:
        loss, self.rcsm.balance = self.rcsm.balance, None
        return loss

    def after_update(self) -> None:
        """The deferred memory write, from the last forward pass."""
        address, z = self.rcsm.means
        slots = self.rcsm.memory.slots
        slots.copy_(0.99 * slots + 0.01 * address[:, None] * z[None])


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    # Not with int8 input: among so many roundings one falls the other way in float32 within a few updates, and a route
    # with it. The operation's own cases cover that.
    small = Config(vocab=48, d_model=32, n_layers=2, d_reason=20, n_operations=5, n_slots=6, balance_weight=0.05)
    states = {}
    kinds = {
        "adaptive": {},
        "depth3": {"depth": 3},
        "memory": {"memory_heads": 2, "memory_reads": 3, "memory_window": 7, "depth": 3},
        "mlp": {"d_ff": 40, "depth_blend": False},  # preset v6-supernova-8m
    }
    for name, kind in kinds.items():
        c = dataclasses.replace(small, **kind)
        config = {"architecture": "v6-supernova"} | dataclasses.asdict(c) | {"depth_noise": 0.0}
        for key in {"weights", "d_ff", "depth_blend", "memory_heads", "memory_reads", "memory_window"} - set(kind):
            del config[key]  # as ever
        states[f"supernova_{name}"] = (config, Supernova(c))
    return states


def check() -> None:
    for c, expected in ((Config(), 2_348_609), (Config(d_ff=896, d_reason=192), 8_489_601)):
        count = sum(p.numel() for p in Supernova(c).parameters())
        assert count == expected, count
    # The gradient of a ternary map whose scale is differentiable (docs/spec/ternary.md).
    w = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    g = torch.randn(7, 5, dtype=torch.float64)
    (ternary(w) * g).sum().backward()
    s = w.detach().abs().mean()
    trits = (w.detach() / s).round().clamp(-1, 1)
    assert torch.allclose(w.grad, s * g + (g * trits).sum() * w.detach().sign() / w.numel())
    print("parameter count and the gradient of ternary maps: as specified")


if __name__ == "__main__":
    check()
