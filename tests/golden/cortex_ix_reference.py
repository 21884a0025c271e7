"""v7.5 (docs/spec/cortex.md) in PyTorch: linear memory, no value heads, trained with two more losses.

    U      = mean over all positions of -log(1 - min(p_t[x_t], 0.99) + 1e-8), 0 where x_t is the target x_{t+1}
    second = mean over all positions but the last of the cross-entropy of x_{t+2}, by a head of its own on the same state
    total  = ce - entropy_weight * entropy + 0.25 * U + 0.5 * second
"""

import torch.nn.functional as F
from cortex_reference import Config, Cortex, linear
from torch import Tensor, nn

UNLIKELIHOOD_WEIGHT, SECOND_TOKEN_WEIGHT = 0.25, 0.5


class CortexIX(Cortex):
    def __init__(self, c: Config):
        super().__init__(c)
        del self.lookahead_heads
        self.second_head = linear(c.d_model, c.vocab)

    def hidden(self, tokens: Tensor) -> Tensor:
        h = self.ln_in(self.embed(tokens))
        for block in self.blocks:
            h = block(h)
        return self.ln_out(h)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(self.hidden(tokens), self.embed.weight)

    def extra_losses(self, tokens: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Of predicting tokens[:, 1:] from tokens[:, :-1]: name -> (weight, value)."""
        hidden = self.hidden(tokens[:, :-1])
        current, target = tokens[:, :-1], tokens[:, 1:]
        p = F.linear(hidden, self.embed.weight).softmax(-1).gather(-1, current[..., None]).squeeze(-1)  # [B,T]
        u = -(1 - p.clamp(max=0.99) + 1e-8).log()
        u = u * (current != target)
        second = F.cross_entropy(self.second_head(hidden[:, :-1]).flatten(0, 1), tokens[:, 2:].flatten())
        return {"unlikelihood": (UNLIKELIHOOD_WEIGHT, u.mean()), "second_token": (SECOND_TOKEN_WEIGHT, second)}


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    c = Config(vocab=48, d_model=32, n_layers=2, n_heads=4, d_head=8, window=5, d_mem=4, d_ff=24)
    names = ("vocab", "d_model", "n_layers", "n_heads", "d_head", "window", "d_mem", "d_ff", "memory", "rope")
    config = {"architecture": "cortex-viii"} | {name: getattr(c, name) for name in names}
    config |= {"value_heads": False, "second_head": True, "dropout": 0.0}
    return {"cortex_ix": (config, CortexIX(c))}
