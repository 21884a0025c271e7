"""v4 "Bolt" in PyTorch, written from the specification (section 2) and independent of the C++ engine."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def through(w: Tensor, rounded: Tensor) -> Tensor:
    """The rounded values forward, the identity backward."""
    return w + (rounded - w).detach()


class TernaryLinear(nn.Module):
    """One scale for the matrix, the mean magnitude."""

    def __init__(self, d_in: int, d_out: int):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_out, d_in))

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight.abs().mean()
        trits = (self.weight / (scale + 1e-8)).round().clamp(-1, 1)
        return F.linear(x, through(self.weight, scale * trits))


class RMSNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.scale


class Mixer(nn.Module):
    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.up = TernaryLinear(width, 2 * width)
        self.conv = nn.Conv1d(width, width, kernel, groups=width, bias=False)
        self.down = TernaryLinear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        gate, value = self.up(u).chunk(2, dim=-1)  # [B,T,C]
        padded = F.pad(value.transpose(1, 2), (self.conv.kernel_size[0] - 1, 0))
        return self.down(self.conv(padded).transpose(1, 2) * gate.sigmoid())


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.W_gate = TernaryLinear(width, hidden)
        self.W_up = TernaryLinear(width, hidden)
        self.W_down = TernaryLinear(hidden, width)

    def forward(self, u: Tensor) -> Tensor:
        return self.W_down(F.silu(self.W_gate(u)) * self.W_up(u))


class Block(nn.Module):
    def __init__(self, width: int, kernel: int, hidden: int):
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.mixer = Mixer(width, kernel)
        self.norm2 = RMSNorm(width)
        self.ffn = Mlp(width, hidden)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.mixer(self.norm1(h))
        return h + self.ffn(self.norm2(h))


class Bolt(nn.Module):
    def __init__(self, vocab: int, d_model: int, n_layers: int, kernel: int, d_ff: int):
        super().__init__()
        self.embedding = nn.Embedding(vocab, d_model)
        self.blocks = nn.ModuleList(Block(d_model, kernel, d_ff) for _ in range(n_layers))
        self.final_norm = RMSNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        h = self.embedding(tokens)
        for block in self.blocks:
            h = block(h)
        return F.linear(self.final_norm(h), self.embedding.weight)


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 20, "n_layers": 2, "kernel": 5, "d_ff": 24}
    return {"bolt": ({"architecture": "v4-bolt", "activation": "none"} | sizes, Bolt(**sizes))}
