"""v5.2-nova-ignition in PyTorch, written from the specification (section 4b) and independent of the C++ engine.

    h = E[x];  h <- h + W_o attention(W_qkv LN1(h));  h <- h + W_down (GELU(g) * u), [g;u] = W_up LN2(h)
    logits = E LN(h)
"""

import torch
import torch.nn.functional as F
from cortex_reference import dense_attention, join_heads, linear, rope_half, split_heads
from torch import Tensor, nn


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int):
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = linear(width, 3 * width)
        self.out = linear(width, width)

    def forward(self, a: Tensor) -> Tensor:
        q, k, v = (split_heads(x, self.heads) for x in self.qkv(a).chunk(3, dim=-1))  # [B,H,T,D]
        mixed = dense_attention(rope_half(q), rope_half(k), v, self.window, 0.0, fused=False)
        return self.out(join_heads(mixed))


class GeGlu(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.up = linear(width, 2 * hidden)
        self.down = linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(F.gelu(gate) * value)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, window: int, hidden: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, window)
        self.ffn = GeGlu(width, hidden)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attn(self.norm1(h))
        return h + self.ffn(self.norm2(h))


class Nova(nn.Module):
    def __init__(self, vocab: int, d_model: int, n_layers: int, n_heads: int, window: int, d_ff: int):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        self.blocks = nn.ModuleList(Block(d_model, n_heads, window, d_ff) for _ in range(n_layers))
        self.ln_out = nn.LayerNorm(d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]."""
        h = self.embed(tokens)
        for block in self.blocks:
            h = block(h)
        return F.linear(self.ln_out(h), self.embed.weight)


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 32, "n_layers": 2, "n_heads": 4, "window": 13, "d_ff": 24}
    return {"nova_ignition": ({"architecture": "nova-ignition", "dropout": 0.0} | sizes, Nova(**sizes))}


if __name__ == "__main__":
    full = Nova(4096, 256, 6, 4, 128, 512)
    assert sum(p.numel() for p in full.parameters()) == 4_987_392
    tokens = torch.randint(4096, (1, 40))
    changed = tokens.clone()
    changed[0, 20] = (tokens[0, 20] + 1) % 4096
    assert torch.equal(full(tokens)[:, :20], full(changed)[:, :20])
    print("4,987,392 parameters, causal")
