"""v6 "P-RCSM" in PyTorch, written from the specification (section 5.4, with the planner's mean running) and independent
of the C++ engine."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TernaryLinear(nn.Module):
    """A scale per output, at least 1e-5."""

    def __init__(self, d_in: int, d_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_out, d_in))

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        scale = w.abs().mean(1, keepdim=True).clamp_min(1e-5)
        rounded = scale * (w / scale).round().clamp(-1, 1)
        return F.linear(x, w + (rounded - w).detach())


class RMSNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


def with_past(x: Tensor, lag: int) -> Tensor:
    """[x_t; x_{t-lag}], zeros before the start."""
    past = torch.zeros_like(x)
    past[:, lag:] = x[:, :-lag]
    return torch.cat([x, past], dim=-1)


class TokenMix(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = RMSNorm(width)
        self.mix = TernaryLinear(2 * width, width)
        self.gate_proj = TernaryLinear(width, width)
        self.value_proj = TernaryLinear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        u = self.norm(h)
        return self.gate_proj(u).sigmoid() * self.value_proj(self.mix(with_past(u, 1)))


class ConvBank(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm = RMSNorm(width)
        self.scales = nn.ModuleList(TernaryLinear(2 * width, width) for _ in range(2))
        self.router = nn.Linear(width, 2, bias=False)

    def forward(self, r: Tensor) -> Tensor:
        n = self.norm(r)
        weights = self.router(n).softmax(-1)  # [B,T,2]
        scales = [scale(with_past(n, 2**i)) for i, scale in enumerate(self.scales)]
        return r + sum(weights[..., i, None] * s for i, s in enumerate(scales))


class StateGate(nn.Module):
    def __init__(self, width: int, plan: int):
        super().__init__()
        self.planner_to_gate = TernaryLinear(plan, width)
        self.executor_to_planner = TernaryLinear(width, plan)
        self.planner_update = TernaryLinear(plan, plan)
        self.norm = RMSNorm(plan)

    def forward(self, r: Tensor, plan: Tensor, fresh: bool) -> tuple[Tensor, Tensor]:
        count = torch.arange(1, r.shape[1] + 1, dtype=r.dtype)[:, None]
        moved = plan + self.planner_update(self.norm(plan + self.executor_to_planner(r.cumsum(1) / count)))
        return r * self.planner_to_gate(moved if fresh else plan).sigmoid(), moved


class Memory(nn.Module):
    def __init__(self, width: int, slots: int):
        super().__init__()
        self.slots = nn.Parameter(torch.zeros(slots, width))
        self.query_proj = TernaryLinear(width, width)
        self.mix_gate = TernaryLinear(2 * width, width)

    def forward(self, r: Tensor) -> Tensor:
        address = (self.query_proj(r) @ self.slots.T / math.sqrt(r.shape[-1])).softmax(-1)  # [B,T,S]
        return r + self.mix_gate(torch.cat([r, address @ self.slots], dim=-1))


class Reasoning(nn.Module):
    def __init__(self, width: int, narrow: int, slots: int, plan: int):
        super().__init__()
        self.res_gate = nn.Parameter(torch.zeros(1))
        self.down_proj = TernaryLinear(width, narrow)
        self.conv_bank = ConvBank(narrow)
        self.state_gate = StateGate(narrow, plan)
        self.memory = Memory(narrow, slots)
        self.up_proj = TernaryLinear(narrow, width)

    def forward(self, h: Tensor, plan: Tensor, fresh: bool) -> tuple[Tensor, Tensor]:
        r, plan = self.state_gate(self.conv_bank(self.down_proj(h)), plan, fresh)
        return self.res_gate.sigmoid() * self.up_proj(self.memory(r)), plan


class ChannelMix(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm = RMSNorm(width)
        self.gate_up = TernaryLinear(width, 2 * hidden)
        self.down = TernaryLinear(hidden, width)

    def forward(self, h: Tensor) -> Tensor:
        gate, up = self.gate_up(self.norm(h)).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class Block(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.token_mix = TokenMix(c["d_model"])
        self.reasoning = Reasoning(c["d_model"], c["d_reason"], c["n_slots"], c["d_plan"])
        self.channel_mix = ChannelMix(c["d_model"], c["d_ff"])

    def forward(self, h: Tensor, plan: Tensor, fresh: bool) -> tuple[Tensor, Tensor]:
        h = h + self.token_mix(h)
        branch, plan = self.reasoning(h, plan, fresh)
        h = h + branch
        return h + self.channel_mix(h), plan


class Prcsm(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.fresh = c["fresh_planner"]
        self.planner_init = nn.Parameter(torch.zeros(1, 1, c["d_plan"]))
        self.embed = nn.Embedding(c["vocab"], c["d_model"])
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["n_layers"]))
        self.ln_out = RMSNorm(c["d_model"])
        self.head = TernaryLinear(c["d_model"], c["vocab"])

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embed(tokens) / math.sqrt(self.embed.embedding_dim)
        plan = self.planner_init.expand(*tokens.shape, -1)
        for block in self.blocks:
            h, plan = block(h, plan, self.fresh)
        return self.head(self.ln_out(h))


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 20, "n_layers": 2, "d_ff": 24, "d_reason": 12, "n_slots": 3, "d_plan": 8}
    states = {}
    for name, fresh in (("prcsm", True), ("prcsm_published_order", False)):
        c = {"architecture": "v6-prcsm", "activation": "none", "fresh_planner": fresh} | sizes
        states[name] = (c, Prcsm(c))
    return states
