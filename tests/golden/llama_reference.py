"""The architecture "llama" (Llama, Mistral, Qwen3; preset gpt-qwen3) in PyTorch, independent of the C++ engine.

    h = E[x];  h <- h + W_o attention(q, k, v), q, k, v = W_q y, W_k y, W_v y, y = RMS1(h)
    h <- h + W_down (SiLU(W_gate y) * W_up y), y = RMS2(h);  logits = W_head RMS_out(h)

    python3 tests/golden/llama_reference.py     # the same logits as transformers' Qwen3 and Llama, where it is installed
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def turn(x: Tensor, base: float) -> Tensor:
    """x [B,H,T,D]: pair (i, i + D/2) turned by t base^(-2i/D)."""
    t, d = x.shape[2:]
    angle = torch.arange(t, dtype=x.dtype)[:, None] * base ** (-2 * torch.arange(d // 2, dtype=x.dtype) / d)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


class Attention(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.c, width, d = c, c["d_model"], c["d_head"]
        self.q = nn.Linear(width, c["n_heads"] * d, bias=False)
        self.k = nn.Linear(width, c["kv_heads"] * d, bias=False)
        self.v = nn.Linear(width, c["kv_heads"] * d, bias=False)
        if c["qk_norm"]:
            self.q_norm, self.k_norm = RMSNorm(d, c["norm_eps"]), RMSNorm(d, c["norm_eps"])
        self.out = nn.Linear(c["n_heads"] * d, width, bias=False)

    def forward(self, y: Tensor) -> Tensor:
        heads = lambda x: x.unflatten(-1, (-1, self.c["d_head"])).transpose(1, 2)  # [B,H,T,D]
        q, k, v = heads(self.q(y)), heads(self.k(y)), heads(self.v(y))
        if self.c["qk_norm"]:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = turn(q, self.c["rope_base"]), turn(k, self.c["rope_base"])
        group = self.c["n_heads"] // self.c["kv_heads"]  # head h reads keys and values h // group
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        t = y.shape[1]
        ago = torch.arange(t)[:, None] - torch.arange(t)
        scores = (q @ k.transpose(-1, -2)) / self.c["d_head"] ** 0.5
        scores = scores.masked_fill((ago < 0) | (ago >= self.c["window"]), float("-inf"))
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, y: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(y)) * self.up(y))


class Block(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.ln1, self.ln2 = (RMSNorm(c["d_model"], c["norm_eps"]) for _ in range(2))
        self.attn, self.ffn = Attention(c), Mlp(c["d_model"], c["d_ff"])

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.attn(self.ln1(h))
        return h + self.ffn(self.ln2(h))


class Llama(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.embed = nn.Embedding(c["vocab"], c["d_model"])
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["n_layers"]))
        self.ln_out = RMSNorm(c["d_model"], c["norm_eps"])
        if not c["tied"]:
            self.head = nn.Linear(c["d_model"], c["vocab"], bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]."""
        h = self.embed(tokens)
        for block in self.blocks:
            h = block(h)
        return F.linear(self.ln_out(h), self.head.weight if hasattr(self, "head") else self.embed.weight)


SHAPE = {"vocab": 48, "d_model": 32, "n_layers": 2, "n_heads": 4, "d_head": 6, "d_ff": 24, "window": 20}
QWEN3 = SHAPE | {"kv_heads": 2, "qk_norm": True, "tied": True, "rope_base": 10000.0, "norm_eps": 1e-6}
LLAMA = SHAPE | {"kv_heads": 4, "qk_norm": False, "tied": False, "rope_base": 500.0, "norm_eps": 1e-3, "window": 7}


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    common = {"architecture": "llama", "dropout": 0.0}
    return {"llama_qwen3": (common | QWEN3, Llama(QWEN3)), "llama": (common | LLAMA, Llama(LLAMA))}


THEIR_NAMES = {  # transformers' names, in the order in which they are tried
    "embed.": "model.embed_tokens.", "ln_out.": "model.norm.", "head.": "lm_head.", "blocks.": "model.layers.",
    ".ln1.": ".input_layernorm.", ".ln2.": ".post_attention_layernorm.", ".attn.q.": ".self_attn.q_proj.",
    ".attn.k.": ".self_attn.k_proj.", ".attn.v.": ".self_attn.v_proj.", ".attn.out.": ".self_attn.o_proj.",
    ".attn.": ".self_attn.", ".ffn.gate.": ".mlp.gate_proj.", ".ffn.up.": ".mlp.up_proj.", ".ffn.down.": ".mlp.down_proj.",
}


def largest_difference(c: dict) -> float:
    """Between these logits and those of transformers' own class."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    config, model = (Qwen3Config, Qwen3ForCausalLM) if c["qk_norm"] else (LlamaConfig, LlamaForCausalLM)
    theirs = model(config(
        vocab_size=c["vocab"], hidden_size=c["d_model"], num_hidden_layers=c["n_layers"], head_dim=c["d_head"],
        num_attention_heads=c["n_heads"], num_key_value_heads=c["kv_heads"], intermediate_size=c["d_ff"],
        rms_norm_eps=c["norm_eps"], tie_word_embeddings=c["tied"], attention_bias=False,
        rope_theta=c["rope_base"], rope_parameters={"rope_type": "default", "rope_theta": c["rope_base"]},
    )).double().eval()  # fmt: skip
    ours = Llama(c | {"window": 64}).double().eval()  # transformers' Llama has no window
    for p in ours.parameters():
        p.data = torch.randn_like(p) * 0.3
    state = {}
    for name, p in ours.named_parameters():
        for mine, their in THEIR_NAMES.items():
            name = ("." + name).replace("." + mine.lstrip("."), "." + their.lstrip("."))[1:]
        state[name] = p.data
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    tokens = torch.randint(c["vocab"], (2, 40))
    with torch.no_grad():
        return (ours(tokens) - theirs(tokens).logits).abs().max().item()


if __name__ == "__main__":
    torch.manual_seed(1)
    for name, config in (("Qwen3", QWEN3), ("Llama", LLAMA)):
        difference = largest_difference(config)
        print(f"{name}: largest difference of logits {difference:.1e}")
        assert difference < 1e-5
