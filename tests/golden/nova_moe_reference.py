"""v5.2a in PyTorch, written from the specification (section 4a with the corrections of the engine's nova_moe.cc) and
independent of the C++ engine. Ternary maps: a scale per row, straight-through gradient, as w + (quantised - w).detach().
"""

import math

import torch
import torch.nn.functional as F
from cortex_reference import dense_attention, join_heads, linear, rope_half, split_heads
from torch import Tensor, nn


def ternary(w: Tensor) -> Tensor:
    scale = w.abs().mean(1, keepdim=True).clamp_min(1e-5)
    return w + (scale * (w / scale).round().clamp(-1, 1) - w).detach()


def int8(x: Tensor) -> Tensor:
    scale = x.abs().amax(-1, keepdim=True) / 127
    return x + ((x / scale).round() * scale - x).detach()


class TernaryLinear(nn.Linear):
    def __init__(self, d_in: int, d_out: int, rounded: bool):
        super().__init__(d_in, d_out, bias=False)
        self.rounded = rounded

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(int8(x) if self.rounded else x, ternary(self.weight))


def expert(width: int, hidden: int, rounded: bool) -> nn.Sequential:
    return nn.Sequential(TernaryLinear(width, hidden, rounded), nn.SiLU(), TernaryLinear(hidden, width, rounded))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int, rounded: bool):
        super().__init__()
        self.heads, self.window = heads, window
        self.W_q, self.W_k = TernaryLinear(width, 2 * width, rounded), TernaryLinear(width, 2 * width, rounded)
        self.W_v, self.W_o = TernaryLinear(width, width, rounded), TernaryLinear(width, width, rounded)
        self.lambda_q, self.lambda_k = (nn.Parameter(0.1 * torch.randn(heads, width // heads)) for _ in range(2))
        self.q_norm, self.k_norm = nn.LayerNorm(2 * width), nn.LayerNorm(2 * width)

    def forward(self, a: Tensor) -> Tensor:
        q, k = self.q_norm(self.W_q(a)), self.k_norm(self.W_k(a))
        v = split_heads(self.W_v(a), self.heads)  # [B,H,T,D]
        seen = []
        for q_b, k_b in zip(q.chunk(2, -1), k.chunk(2, -1), strict=True):
            q_b, k_b = rope_half(split_heads(q_b, self.heads)), rope_half(split_heads(k_b, self.heads))
            seen.append(dense_attention(q_b, k_b, v, self.window, 0.0, fused=False))
        lam = (0.8 * (self.lambda_q.mean() - self.lambda_k.mean()).exp()).clamp(0.1, 2.0)
        z = seen[0] - lam * seen[1]
        return self.W_o(join_heads(z * torch.rsqrt(z.square().mean(-1, keepdim=True) + 1e-6)))


class Mixture(nn.Module):
    def __init__(self, width: int, hidden: int, experts: int, rounded: bool):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.router = linear(width, experts)
        self.shared_expert = expert(width, hidden, rounded)
        self.experts = nn.ModuleList(expert(width, hidden, rounded) for _ in range(experts))

    def forward(self, h: Tensor, u: Tensor) -> Tensor:
        m = self.norm(h)
        p, choice = self.router(u).softmax(-1).max(-1)
        every = torch.stack([e(m) for e in self.experts], dim=-2)  # [B,T,K,C]; the engine computes the chosen one only
        chosen = every.gather(-2, choice[..., None, None].expand(*choice.shape, 1, h.shape[-1])).squeeze(-2)
        return self.shared_expert(u) + p[..., None] * chosen


class Gate(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.router = linear(width, 1)


class Block(nn.Module):
    def __init__(self, index: int, width: int, heads: int, window: int, hidden: int, experts: int, rounded: bool):
        super().__init__()
        self.attn_norm, self.ffn_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, window, rounded)
        self.mod_router = Gate(width) if index >= 2 else None
        self.ffn = Mixture(width, hidden, experts, rounded)

    def forward(self, h: Tensor) -> Tensor:
        attention = self.attn(self.attn_norm(h))
        if self.mod_router is not None:
            attention = self.mod_router.router(h).sigmoid() * attention
        h = h + attention
        return h + self.ffn(h, self.ffn_norm(h))


class NovaMoe(nn.Module):
    def __init__(self, vocab: int, d_model: int, n_layers: int, n_heads: int, window: int, n_experts: int, d_expert: int,
                 activation: str = "none"):
        super().__init__()
        rounded = activation == "int8"
        self.embed = nn.Embedding(vocab, d_model)
        self.blocks = nn.ModuleList(
            Block(i, d_model, n_heads, window, d_expert, n_experts, rounded) for i in range(n_layers)
        )
        self.ln_out = nn.LayerNorm(d_model)
        self.head = TernaryLinear(d_model, vocab, False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]."""
        h = self.embed(tokens)
        for block in self.blocks:
            h = block(h)
        return self.head(self.ln_out(h))


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 24, "n_layers": 3, "n_heads": 2, "window": 13, "n_experts": 3, "d_expert": 20}
    return {"nova_moe": ({"architecture": "nova-moe", "activation": "none"} | sizes, NovaMoe(**sizes))}


if __name__ == "__main__":
    with torch.device("meta"):
        full = NovaMoe(5120, 288, 12, 6, 256, 6, 576)
    assert sum(p.numel() for p in full.parameters()) == 36_869_760
    for activation in ("none", "int8"):
        small = NovaMoe(48, 24, 3, 2, 13, 3, 20, activation).double()
        tokens = torch.randint(48, (1, 40))
        changed = tokens.clone()
        changed[0, 20] = (tokens[0, 20] + 1) % 48
        difference = (small(tokens) - small(changed))[:, :20].abs().max().item()
        assert difference < 1e-12 and math.isfinite(difference)
    print("36,869,760 parameters, causal")
