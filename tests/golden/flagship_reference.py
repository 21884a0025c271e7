"""The flagship in PyTorch, independent of the C++ engine, with every block option switched on.

    x = h = RMS_in(shift(E[t]));  per block:  h <- r_0 h + r_1 x;  h <- s_0 h + s_1 (what the mirrored block left)
    q|k|v|g = W RMS1(h);  v <- w_0 v + w_1 V[t];  h <- h + W_o (2 sigmoid(g) mix(RMS(q), RMS(k), v))
    h <- h + W_down mlp(W_up RMS2(h));  logits = c tanh(E' RMS_out(h) / c)
"""

import torch
import torch.nn.functional as F
from cortex_reference import RMSNorm, delta_loop, dense_attention, join_heads, linear, rope_half, split_heads
from supernova_reference import Config as EngineConfig
from supernova_reference import Engine, Supernova
from thunderbolt_reference import token_shift
from torch import Tensor, nn


class Scalars(nn.Module):
    """first x + second y."""

    def __init__(self):
        super().__init__()
        self.kept, self.added = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.kept * x + self.added * y


def rope_of_half(x: Tensor) -> Tensor:
    """Of the pairs (i, i + D/2) of [B,H,T,D] the first D/4 turn by t * 10000^(-4i/D), the others stand still."""
    quarter = x.shape[-1] // 4
    parts = list(x.split(quarter, dim=-1))  # turning, still, turning, still
    parts[0], parts[2] = rope_half(torch.cat([parts[0], parts[2]], dim=-1)).chunk(2, dim=-1)
    return torch.cat(parts, dim=-1)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, window: int, values: nn.Embedding | None, half: bool, shift: bool):
        super().__init__()
        self.rope = rope_of_half if half else rope_half
        self.shift = shift
        self.heads, self.window, self.has_values = heads, window, values is not None
        self.mix = nn.ModuleDict({"in": linear(width, 3 * width), "out": linear(width, width)})
        self.mix["gate"] = linear(width, heads)
        self.mix["q_norm"], self.mix["k_norm"] = RMSNorm(width // heads), RMSNorm(width // heads)
        if shift:
            self.mix.register_parameter("key_shift", nn.Parameter(torch.ones(width)))
        if values is not None:
            self.values = Scalars()

    def forward(self, u: Tensor, table: Tensor | None) -> Tensor:
        q, k, v = self.mix["in"](u).chunk(3, dim=-1)
        if self.has_values:
            v = self.values(v, table)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))  # [B,H,T,D]
        q, k = self.mix["q_norm"](q), self.mix["k_norm"](k)
        if self.shift:
            k = split_heads(token_shift(join_heads(k), self.mix.key_shift), self.heads)
        q, k = self.rope(q), self.rope(k)
        seen = dense_attention(q, k, v, self.window, 0.0, fused=False)
        gate = 2 * self.mix["gate"](u).sigmoid().transpose(1, 2)[..., None]  # [B,H,T,1]
        return self.mix["out"](join_heads(gate * seen))


class Delta(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.mix = nn.ModuleDict({"in": linear(width, 3 * width), "out": linear(width, width)})
        self.mix["beta"], self.mix["alpha"] = linear(width, heads), linear(width, heads, bias=True)

    def forward(self, u: Tensor, table: Tensor | None) -> Tensor:
        k, v, q = (split_heads(x, self.heads) for x in self.mix["in"](u).chunk(3, dim=-1))
        k, q = F.normalize(k, dim=-1, eps=1e-12), F.normalize(q, dim=-1, eps=1e-12)
        beta, alpha = self.mix["beta"](u).transpose(1, 2), self.mix["alpha"](u).transpose(1, 2)
        return self.mix["out"](join_heads(delta_loop(q, k, v, F.logsigmoid(alpha), beta.sigmoid())))


class Recurrence(nn.Module):
    def __init__(self, width: int, values: nn.Embedding | None):
        super().__init__()
        self.has_values = values is not None
        self.mix = nn.ModuleDict({"in": linear(width, 3 * width), "out": linear(width, width)})
        self.mix["forget"] = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(width))})
        if self.has_values:
            self.values = Scalars()

    def forward(self, u: Tensor, table: Tensor | None) -> Tensor:
        forget, value, opened = self.mix["in"](u).chunk(3, dim=-1)
        if self.has_values:
            value = self.values(value, table)
        keep = (forget + self.mix["forget"]["bias"]).sigmoid()
        state, states = torch.zeros_like(value[:, 0]), []
        for t in range(u.shape[1]):
            state = keep[:, t] * state + (1 - keep[:, t]) * value[:, t]
            states.append(state)
        return self.mix["out"](opened.sigmoid() * torch.stack(states, dim=1))


class Mlp(nn.ModuleDict):
    def __init__(self, width: int, hidden: int, kind: str):
        super().__init__({"up": linear(width, hidden), "down": linear(hidden, width)})
        if kind == "swiglu":
            self["gate"] = linear(width, hidden)

    def forward(self, y: Tensor) -> Tensor:
        up = self["up"](y)
        return self["down"](F.silu(self["gate"](y)) * up if "gate" in self else up.relu().square())


class Block(nn.Module):
    """The mixer's parameters stand beside the block's own, so that the names are those of the file."""

    def __init__(self, mixer: nn.Module, width: int, hidden: int, mlp: str, residual: bool, skip: bool):
        super().__init__()
        self.ln1, self.ln2 = RMSNorm(width), RMSNorm(width)
        self.mix = mixer.mix
        if hasattr(mixer, "values"):
            self.values = mixer.values
        self.mixer = [mixer.forward]  # in a list: not a submodule, which would name the parameters twice
        self.mlp = Mlp(width, hidden, mlp)
        if residual:
            self.residual = Scalars()
        if skip:
            self.skip = Scalars()

    def forward(self, h: Tensor, x: Tensor, left: Tensor | None, table: Tensor | None) -> Tensor:
        if hasattr(self, "residual"):
            h = self.residual(h, x)
        if hasattr(self, "skip"):
            h = self.skip(h, left)
        h = h + self.mixer[0](self.ln1(h), table)
        return h + self.mlp(self.ln2(h))


class Flagship(nn.Module):
    def __init__(
        self, vocab, d_model, n_layers, n_heads, d_ff, window, local_window, mixers, mlp, softcap, value_tables,
        rope="full", key_shift=False
    ):
        super().__init__()
        self.softcap, self.mixers = softcap, mixers
        self.embed, self.head = nn.Embedding(vocab, d_model), linear(d_model, vocab)
        self.ln_in, self.ln_out = RMSNorm(d_model), RMSNorm(d_model)
        self.smear = nn.ParameterDict({"mix": nn.Parameter(torch.ones(d_model))})
        self.embed_values = nn.ModuleDict(
            {str(i): nn.Embedding(vocab, d_model)
             for i in range(n_layers - value_tables, n_layers) if mixers[i] != "D"}
        )
        self.blocks = nn.ModuleList()
        for i, letter in enumerate(mixers):
            table = self.embed_values[str(i)] if str(i) in self.embed_values else None
            if letter in "FW":
                mixer = Attention(d_model, n_heads, window if letter == "F" else local_window, table, rope == "half",
                                  key_shift)
            else:
                mixer = Delta(d_model, n_heads) if letter == "D" else Recurrence(d_model, table)
            self.blocks.append(Block(mixer, d_model, d_ff, mlp, i > 0, i >= (n_layers + 1) // 2))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens [B,T] -> logits [B,T,V]."""
        h = x = self.ln_in(token_shift(self.embed(tokens), self.smear["mix"]))
        left = []
        for i, block in enumerate(self.blocks):
            table = self.embed_values[str(i)](tokens) if str(i) in self.embed_values else None
            mirrored = len(self.blocks) - 1 - i
            h = block(h, x, left[mirrored] if mirrored < i else None, table)
            left.append(h)
        h = self.reason(h)
        logits = self.head(self.ln_out(h))
        return self.softcap * (logits / self.softcap).tanh()


    def reason(self, h: Tensor) -> Tensor:
        return h


class Reasoning(Flagship):
    """With the engine of v6 between the last block and the last norm."""

    def __init__(self, d_model, rcsm_operations, rcsm_width, rcsm_slots, rcsm_depth, **sizes):
        super().__init__(d_model=d_model, **sizes)
        self.rcsm = Engine(
            EngineConfig(d_model=d_model, n_operations=rcsm_operations, d_reason=rcsm_width, n_slots=rcsm_slots,
                         depth=rcsm_depth, weights="float")
        )

    def reason(self, h: Tensor) -> Tensor:
        return self.rcsm(h)

    auxiliary_loss, after_update = Supernova.auxiliary_loss, Supernova.after_update


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    sizes = {"vocab": 48, "d_model": 32, "n_layers": 5, "n_heads": 4, "d_ff": 24, "window": 20, "local_window": 3}
    sizes |= {"softcap": 5.0, "value_tables": 4}
    options = {"skips": True, "head_gate": True, "smear": True, "tied": False}
    kinds = {
        "flagship": {"mixers": "FWDRF", "mlp": "relu2"},
        "flagship_swiglu": {"mixers": "FFFWF", "mlp": "swiglu", "rope": "half", "key_shift": True},
        "flagship_rcsm": {"mixers": "FFFFF", "mlp": "relu2", "rcsm_operations": 5, "rcsm_width": 20, "rcsm_slots": 6,
                          "rcsm_depth": 3},  # adaptive depth draws noise
    }
    return {
        name: ({"architecture": "flagship"} | sizes | kind | options,
               (Reasoning if "rcsm_depth" in kind else Flagship)(**sizes, **kind))
        for name, kind in kinds.items()
    }
