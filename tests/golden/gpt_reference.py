"""The plain transformer gpt-baseline in PyTorch, independent of the C++ engine.

    h = RMS_in(E[x]);  h <- h + W_o attention(RMS(q), RMS(k), v), q|k|v = W RMS1(h)
    h <- h + W_down (SiLU(W_gate y) * W_up y), y = RMS2(h);  logits = c tanh(E RMS_out(h) / c)
"""

import torch.nn.functional as F
from cortex_reference import RMSNorm, dense_attention, join_heads, linear, rope_half, split_heads
from torch import Tensor, nn


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = linear(width, 3 * width)
        self.q_norm, self.k_norm = RMSNorm(width // heads), RMSNorm(width // heads)
        self.out = linear(width, width)

    def forward(self, u: Tensor) -> Tensor:
        q, k, v = (split_heads(x, self.heads) for x in self.qkv(u).chunk(3, dim=-1))  # [B,H,T,D]
        q, k = rope_half(self.q_norm(q)), rope_half(self.k_norm(k))
        return self.out(join_heads(dense_attention(q, k, v, self.window, 0.0, fused=False)))


class SwiGlu(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate, self.up = linear(width, hidden), linear(width, hidden)
        self.down = linear(hidden, width)

    def forward(self, y: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(y)) * self.up(y))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, window: int, hidden: int):
        super().__init__()
        self.ln1, self.ln2 = RMSNorm(width), RMSNorm(width)
        self.attn = Attention(width, heads, window)
        self.ffn = SwiGlu(width, hidden)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attn(self.ln1(h))
        return h + self.ffn(self.ln2(h))


class Gpt(nn.Module):
    def __init__(self, vocab: int, d_model: int, n_layers: int, n_heads: int, window: int, d_ff: int, softcap: float):
        super().__init__()
        self.softcap = softcap
        self.embed = nn.Embedding(vocab, d_model)
        self.ln_in, self.ln_out = RMSNorm(d_model), RMSNorm(d_model)
        self.blocks = nn.ModuleList(Block(d_model, n_heads, window, d_ff) for _ in range(n_layers))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]."""
        h = self.ln_in(self.embed(tokens))
        for block in self.blocks:
            h = block(h)
        logits = F.linear(self.ln_out(h), self.embed.weight)
        return self.softcap * (logits / self.softcap).tanh()


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 32, "n_layers": 2, "n_heads": 4, "window": 20, "d_ff": 24, "softcap": 5.0}
    return {"gpt": ({"architecture": "gpt", "dropout": 0.0} | sizes, Gpt(**sizes))}


if __name__ == "__main__":
    full = Gpt(4096, 256, 6, 4, 256, 512, 15.0)
    assert sum(p.numel() for p in full.parameters()) == 4_985_088
    print("4,985,088 parameters")
