"""v5 "Thunderbolt" in PyTorch, written from the specification (section 3, with the group norm per position) and
independent of the C++ engine."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TernaryLinear(nn.Module):
    """One scale for the matrix, at least 1e-5."""

    def __init__(self, d_in: int, d_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_out, d_in))

    def forward(self, x: Tensor) -> Tensor:
        w = self.weight
        scale = w.abs().mean().clamp_min(1e-5)
        rounded = scale * (w / scale).round().clamp(-1, 1)
        return F.linear(x, w + (rounded - w).detach())


def token_shift(x: Tensor, mix: Tensor) -> Tensor:
    before = F.pad(x, (0, 0, 1, 0))[:, :-1]
    return mix.sigmoid() * x + (1 - mix.sigmoid()) * before


class Recurrence(nn.Module):
    def __init__(self, width: int, heads: int, floor: float):
        super().__init__()
        self.floor = floor
        self.W_f = TernaryLinear(width, width)
        self.W_v = TernaryLinear(width, width)
        self.W_o = TernaryLinear(width, width)
        self.f_bias = nn.Parameter(torch.zeros(width))
        self.gn = nn.GroupNorm(heads, width)
        self.W_proj = TernaryLinear(width, width)

    def forward(self, z: Tensor) -> Tensor:
        f = self.floor + (1 - self.floor) * (self.W_f(z) + self.f_bias).sigmoid()
        v = self.W_v(z)
        state = torch.zeros_like(v[:, 0])
        states = []
        for t in range(z.shape[1]):
            state = f[:, t] * state + (1 - f[:, t]) * v[:, t]
            states.append(state)
        gated = self.W_o(z).sigmoid() * torch.stack(states, dim=1)  # [B,T,C]
        return self.W_proj(self.gn(gated.flatten(0, 1)).view_as(gated))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, floor: float):
        super().__init__()
        self.ln1 = nn.LayerNorm(width)
        self.mix1 = nn.Parameter(torch.zeros(width))
        self.rec = Recurrence(width, heads, floor)
        self.ln2 = nn.LayerNorm(width)
        self.mix2 = nn.Parameter(torch.zeros(width))
        self.ffn_up = TernaryLinear(width, hidden)
        self.ffn_down = TernaryLinear(hidden, width)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.rec(token_shift(self.ln1(h), self.mix1))
        u = token_shift(self.ln2(h), self.mix2)
        return h + self.ffn_down(self.ffn_up(u).relu().square())


class Thunderbolt(nn.Module):
    def __init__(self, vocab: int, d_model: int, n_layers: int, n_heads: int, d_ff: int):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        floors = [0.9 * i / (n_layers - 1) for i in range(n_layers)]
        self.blocks = nn.ModuleList(Block(d_model, n_heads, d_ff, floor) for floor in floors)
        self.ln_out = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embed(tokens)
        for block in self.blocks:
            h = block(h)
        return F.linear(self.ln_out(h), self.embed.weight)


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 20, "n_layers": 3, "n_heads": 4, "d_ff": 24}
    return {"thunderbolt": ({"architecture": "v5-thunderbolt", "activation": "none"} | sizes, Thunderbolt(**sizes))}
