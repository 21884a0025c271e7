"""v8 SearchLM in PyTorch, written from the specification (section 7, rotated along time) and independent of the C++ engine.

    h = E[x];  h <- h + W_o attention(RMS(q), RMS(k), v), q, k, v = W RMS1(h);  h <- h + W_down (SiLU(W_gate y) * W_up y)
    value of a block = a . h;  logits = E RMS(h)
"""

import torch
import torch.nn.functional as F
from cortex_reference import RMSNorm, ValueHead, dense_attention, join_heads, linear, split_heads
from torch import Tensor, nn


def rope_interleaved(x: Tensor) -> Tensor:
    """Turns the pairs (2i, 2i + 1) of [B,H,T,D] as complex numbers by t * 10000^(-2i/D), t = 0..T-1."""
    t, d = x.shape[2:]
    inv_freq = 10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angle = torch.arange(t, dtype=torch.float64)[:, None] * inv_freq  # [T,D/2]
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.q_proj, self.k_proj, self.v_proj = (linear(width, width) for _ in range(3))
        self.q_norm, self.k_norm = RMSNorm(width // heads), RMSNorm(width // heads)
        self.out_proj = linear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        q, k, v = (split_heads(f(u), self.heads) for f in (self.q_proj, self.k_proj, self.v_proj))  # [B,H,T,D]
        q, k = rope_interleaved(self.q_norm(q)), rope_interleaved(self.k_norm(k))
        return self.out_proj(join_heads(dense_attention(q, k, v, self.window, 0.0, fused=False)))


class SwiGlu(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.W_gate, self.W_up = linear(width, hidden), linear(width, hidden)
        self.W_down = linear(hidden, width)

    def forward(self, y: Tensor) -> Tensor:
        return self.W_down(F.silu(self.W_gate(y)) * self.W_up(y))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, window: int, hidden: int):
        super().__init__()
        self.ln1, self.ln2 = RMSNorm(width), RMSNorm(width)
        self.attn = Attention(width, heads, window)
        self.ffn = SwiGlu(width, hidden)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attn(self.ln1(h))
        return h + self.ffn(self.ln2(h))


class SearchLm(nn.Module):
    def __init__(self, vocab: int, d_model: int, n_layers: int, n_heads: int, window: int, d_ff: int):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        self.blocks = nn.ModuleList(Block(d_model, n_heads, window, d_ff) for _ in range(n_layers))
        self.lookahead_heads = nn.ModuleList(ValueHead(d_model) for _ in range(n_layers))
        self.ln_out = RMSNorm(d_model)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B,T] -> logits [B,T,V], values [L,B,T]."""
        h = self.embed(tokens)
        values = []
        for block, value in zip(self.blocks, self.lookahead_heads, strict=True):
            h = block(h)
            values.append(value.head(h).squeeze(-1))
        return F.linear(self.ln_out(h), self.embed.weight), torch.stack(values)


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 32, "n_layers": 2, "n_heads": 4, "window": 20, "d_ff": 24}
    return {"searchlm": ({"architecture": "searchlm", "dropout": 0.0} | sizes, SearchLm(**sizes))}


if __name__ == "__main__":
    full = SearchLm(4096, 256, 6, 4, 256, 768)
    assert sum(p.numel() for p in full.parameters()) == 6_166_016
    tokens = torch.randint(4096, (1, 40))
    changed = tokens.clone()
    changed[0, 20] = (tokens[0, 20] + 1) % 4096
    assert torch.equal(full(tokens)[0][:, :20], full(changed)[0][:, :20])
    print("6,166,016 parameters, causal")
