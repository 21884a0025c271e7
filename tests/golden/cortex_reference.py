"""CORTEX-VIII in PyTorch, written from the specification and independent of the C++ engine.

A development tool: `make_golden.py` uses it to make the parity files beside it and
`bench/pytorch_yardstick.py` to measure what PyTorch reaches on the same model. The engine never needs it.

The model predicts the next token at every position and is causal. Dimensions: B batch, T time, C width, H heads,
D head width, W window, M memory width per head, F hidden, V vocabulary, L layers.

    h = RMS_in(E[x])
    block:  u = RMS_1(h), w = RMS_delta(h), gamma = sigmoid(W_gamma u)
            h <- h + W_c(gamma * SWA(u) + (1 - gamma) * MEM(w))
            y = RMS_2(h);  h <- h + drop(W_O(SiLU(W_G y) * W_U y))
            v = a . h                                               (value head, one per layer)
    logits = E RMS_out(h)

Run this file to check that the plain recurrences and their parallel forms agree, that the model is causal and that
the parameter counts are the published ones.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Config:
    """The defaults are the preset v8.3."""

    vocab: int = 4096
    d_model: int = 256
    n_layers: int = 6
    n_heads: int = 4
    d_head: int = 64
    window: int = 32
    d_mem: int = 32
    d_ff: int = 512
    memory: str = "linear"  # "delta" (gated delta rule) or "linear" (decayed linear attention)
    rope: bool = False
    dropout: float = 0.0
    # How to compute, not what: every choice gives the same numbers up to rounding.
    recurrence: str = "loop"  # "loop" (one token after the other) or "chunked"
    chunk: int = 64
    attention: str = "dense"  # "dense" (T x T scores, masked), "sdpa" (the same, by PyTorch) or "banded" (2W keys per query)


@dataclasses.dataclass(frozen=True)
class Objective:
    entropy_weight: float = 0.01
    value_weight: float = 0.01
    value_horizon: int = 8


def at_least_f32(x: Tensor) -> Tensor:
    """Decays, norms of keys and the memory state lose too much in bf16; float64 stays float64."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


# --- memory: plain recurrences -------------------------------------------------------------------------------------
# q, k: [B,H,T,M] of unit length; v: [B,H,T,M]; log_alpha, beta: [B,H,T]. All return o: [B,H,T,M].


def linear_loop(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """S_t = (1-b_t) S_{t-1} + k_t v_t^T;  o_t = S_t^T q_t / sqrt(M) + b_t v_t."""
    b, h, t, m = k.shape
    state = k.new_zeros(b, h, m, m)  # [B,H,key,value]
    out = []
    for i in range(t):
        k_i, v_i, q_i, beta_i = k[:, :, i], v[:, :, i], q[:, :, i], beta[:, :, i, None]
        state = (1 - beta_i)[..., None] * state + k_i[..., :, None] * v_i[..., None, :]
        out.append((state * q_i[..., :, None]).sum(-2) / math.sqrt(m) + beta_i * v_i)
    return torch.stack(out, dim=2)


def delta_loop(q: Tensor, k: Tensor, v: Tensor, log_alpha: Tensor, beta: Tensor) -> Tensor:
    """e_t = v_t - a_t S_{t-1}^T k_t;  S_t = a_t S_{t-1} + b_t k_t e_t^T;  o_t = S_t^T q_t / sqrt(M) + b_t v_t."""
    b, h, t, m = k.shape
    alpha = log_alpha.exp()
    state = k.new_zeros(b, h, m, m)  # [B,H,key,value]
    out = []
    for i in range(t):
        k_i, v_i, q_i, beta_i = k[:, :, i], v[:, :, i], q[:, :, i], beta[:, :, i, None]
        decayed = alpha[:, :, i, None, None] * state
        error = v_i - (decayed * k_i[..., :, None]).sum(-2)
        state = decayed + (beta_i * k_i)[..., :, None] * error[..., None, :]
        out.append((state * q_i[..., :, None]).sum(-2) / math.sqrt(m) + beta_i * v_i)
    return torch.stack(out, dim=2)


# --- memory: parallel forms ----------------------------------------------------------------------------------------


def split_chunks(x: Tensor, chunk: int) -> Tensor:
    """[B,H,T,...] -> [B,H,N,chunk,...], zero-padded at the end (the past never sees the padding)."""
    t = x.shape[2]
    missing = -t % chunk
    if missing:
        x = torch.cat([x, x.new_zeros(*x.shape[:2], missing, *x.shape[3:])], dim=2)
    return x.reshape(*x.shape[:2], (t + missing) // chunk, chunk, *x.shape[3:])


def decay_matrix(log_decay_sum: Tensor) -> Tensor:
    """exp(c_t - c_s) for s <= t, else 0. Masked before exp: c_t - c_s > 0 above the diagonal may overflow."""
    c = log_decay_sum.shape[-1]
    lower = torch.ones(c, c, dtype=torch.bool, device=log_decay_sum.device).tril()
    difference = log_decay_sum[..., :, None] - log_decay_sum[..., None, :]
    return difference.masked_fill(~lower, -math.inf).exp()


def linear_chunked(q: Tensor, k: Tensor, v: Tensor, log_keep: Tensor, beta: Tensor, chunk: int) -> Tensor:
    """Decayed linear attention; log_keep = log(1-b). Masked matmul inside a chunk, a state between chunks."""
    t, m = q.shape[2:]
    scale = 1 / math.sqrt(m)
    direct = beta[..., None] * v
    q, k, v, log_keep = (split_chunks(x, chunk) for x in (q, k, v, log_keep))
    total = log_keep.cumsum(-1)  # [B,H,N,c]
    out = ((q @ k.transpose(-1, -2)) * (decay_matrix(total) * scale)) @ v  # [B,H,N,c,M]
    n_chunks = q.shape[2]
    if n_chunks > 1:
        to_end = (total[..., -1:] - total).exp()
        written = (k * to_end[..., None]).transpose(-1, -2) @ v  # [B,H,N,M,M] what each chunk adds to the state
        kept = total[..., -1].exp()  # [B,H,N]
        states = [torch.zeros_like(written[:, :, 0])]
        for n in range(n_chunks - 1):
            states.append(kept[:, :, n, None, None] * states[-1] + written[:, :, n])
        out = out + (q * (total.exp() * scale)[..., None]) @ torch.stack(states, dim=2)
    return out.flatten(2, 3)[:, :, :t] + direct


def delta_chunked(q: Tensor, k: Tensor, v: Tensor, log_alpha: Tensor, beta: Tensor, chunk: int) -> Tensor:
    """Gated delta rule in WY form.

    With g_t the decay since the start of the chunk and S the state there, the errors of a chunk solve
        e_t + sum_{s<t} (g_t/g_s) b_s <k_t,k_s> e_s = v_t - g_t S^T k_t,
    a unit lower triangular system: E = U - Y S, where U and Y do not depend on S and are solved for all chunks at
    once. Only S itself passes from chunk to chunk.
    """
    t, m = q.shape[2:]
    scale = 1 / math.sqrt(m)
    direct = beta[..., None] * v
    q, k, v, log_alpha, beta = (split_chunks(x, chunk) for x in (q, k, v, log_alpha, beta))
    total = log_alpha.cumsum(-1)  # [B,H,N,c]
    decay = decay_matrix(total)  # [B,H,N,c,c]
    from_start = total.exp()[..., None]  # g_t
    weighted_k = k * beta[..., None]
    key_t = weighted_k.transpose(-1, -2)
    system = ((k @ key_t) * decay).tril(-1)  # the solver takes the diagonal as 1
    solved = torch.linalg.solve_triangular(
        system, torch.cat([v, k * from_start], dim=-1), upper=False, unitriangular=True
    )
    u, y = solved[..., :m], solved[..., m:]
    scores = (q @ key_t) * (decay * scale)  # lower triangle with its diagonal
    q_start = q * (from_start * scale)
    k_end = (weighted_k * (total[..., -1:] - total).exp()[..., None]).transpose(-1, -2)
    kept = total[..., -1].exp()[..., None, None]
    state = None
    out = []
    for n in range(q.shape[2]):
        if state is None:
            error = u[:, :, n]
            out.append(scores[:, :, n] @ error)
            state = k_end[:, :, n] @ error
        else:
            error = u[:, :, n] - y[:, :, n] @ state
            out.append(scores[:, :, n] @ error + q_start[:, :, n] @ state)
            state = kept[:, :, n] * state + k_end[:, :, n] @ error
    return torch.cat(out, dim=2)[:, :, :t] + direct


# --- sliding-window attention --------------------------------------------------------------------------------------


def rope_half(x: Tensor) -> Tensor:
    """Rotates the pairs (i, i + D/2) of [B,H,T,D] by t * 10000^(-2i/D), t = 0..T-1."""
    t, d = x.shape[2:]
    exact = {"dtype": torch.float64, "device": x.device}
    inv_freq = 10000.0 ** (-torch.arange(0, d, 2, **exact) / d)
    angle = torch.arange(t, **exact)[:, None] * inv_freq  # [T,D/2]
    x = at_least_f32(x)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def dense_attention(q: Tensor, k: Tensor, v: Tensor, window: int, dropout: float, fused: bool) -> Tensor:
    """Query t sees keys s with 0 <= t-s < window. q, k, v: [B,H,T,D]."""
    t, d = q.shape[2:]
    position = torch.arange(t, device=q.device)
    distance = position[:, None] - position[None, :]
    seen = (distance >= 0) & (distance < window)
    if fused:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout)
    scores = (q @ k.transpose(-1, -2)) / math.sqrt(d)
    return F.dropout(scores.masked_fill(~seen, -math.inf).softmax(-1), dropout) @ v


def banded_attention(q: Tensor, k: Tensor, v: Tensor, window: int, dropout: float) -> Tensor:
    """The same, with queries in blocks of W against the keys of their own block and the one before it."""
    t, d = q.shape[2:]
    window = min(window, t)
    q, k, v = (split_chunks(x, window) for x in (q, k, v))  # [B,H,N,W,D]

    def with_previous(x: Tensor) -> Tensor:
        return torch.cat([F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x], dim=3)  # [B,H,N,2W,D]

    blocks = q.shape[2]
    i = torch.arange(window, device=q.device)[:, None]
    j = torch.arange(2 * window, device=q.device)[None, :]
    band = (j > i) & (j <= i + window)  # t - s = W + i - j
    exists = (torch.arange(blocks, device=q.device)[:, None, None] > 0) | (j >= window)  # block 0 has none before it
    scores = (q @ with_previous(k).transpose(-1, -2)) / math.sqrt(d)  # [B,H,N,W,2W]
    weights = scores.masked_fill(~(band & exists), -math.inf).softmax(-1)
    return (F.dropout(weights, dropout) @ with_previous(v)).flatten(2, 3)[:, :, :t]


# --- modules (parameter names are the published ones) -------------------------------------------------------------


class RMSNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.weight


def linear(d_in: int, d_out: int, bias: bool = False) -> nn.Linear:
    return nn.Linear(d_in, d_out, bias=bias)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B,T,H*D] -> [B,H,T,D]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B,H,T,D] -> [B,T,H*D]"""
    return x.transpose(1, 2).flatten(2)


class SlidingWindowAttention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.qkv = linear(c.d_model, 3 * c.n_heads * c.d_head)
        self.out = linear(c.n_heads * c.d_head, c.d_model)

    def forward(self, u: Tensor) -> Tensor:
        c = self.c
        q, k, v = (split_heads(x, c.n_heads) for x in self.qkv(u).chunk(3, dim=-1))  # [B,H,T,D]
        if c.rope:
            q, k = rope_half(q).to(v.dtype), rope_half(k).to(v.dtype)
        dropout = c.dropout if self.training else 0.0
        if c.attention == "banded":
            mixed = banded_attention(q, k, v, c.window, dropout)
        else:
            mixed = dense_attention(q, k, v, c.window, dropout, fused=c.attention == "sdpa")
        return self.out(join_heads(mixed))


class Memory(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        width = c.n_heads * c.d_mem
        self.k_proj = linear(c.d_model, width)
        self.v_proj = linear(c.d_model, width)
        self.q_proj = linear(c.d_model, width)
        self.beta_proj = linear(c.d_model, c.n_heads)
        if c.memory == "delta":
            self.alpha_proj = linear(c.d_model, c.n_heads, bias=True)
        self.mem_out = linear(width, c.d_model)

    def forward(self, w: Tensor) -> Tensor:
        c = self.c
        k, v, q = (
            at_least_f32(split_heads(p(w), c.n_heads)) for p in (self.k_proj, self.v_proj, self.q_proj)
        )  # [B,H,T,M]
        k, q = (F.normalize(x, dim=-1, eps=1e-12) for x in (k, q))
        beta_logit = at_least_f32(self.beta_proj(w)).transpose(1, 2)  # [B,H,T]
        beta = beta_logit.sigmoid()
        if c.memory == "linear":
            if c.recurrence == "loop":
                mixed = linear_loop(q, k, v, beta)
            else:
                mixed = linear_chunked(q, k, v, F.logsigmoid(-beta_logit), beta, c.chunk)
        else:
            log_alpha = F.logsigmoid(at_least_f32(self.alpha_proj(w)).transpose(1, 2))
            if c.recurrence == "loop":
                mixed = delta_loop(q, k, v, log_alpha, beta)
            else:
                # The triangular solve has no bf16 form, and errors in it would be carried from chunk to chunk.
                with torch.autocast(w.device.type, enabled=False):
                    mixed = delta_chunked(q, k, v, log_alpha, beta, c.chunk)
        return self.mem_out(F.dropout(join_heads(mixed), c.dropout, self.training))


class Block(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.dropout = c.dropout
        self.ln1 = RMSNorm(c.d_model)
        self.ln_delta = RMSNorm(c.d_model)
        self.swa = SlidingWindowAttention(c)
        self.delta = Memory(c)
        self.combine_gate = linear(c.d_model, c.d_model)
        self.combine_out = linear(c.d_model, c.d_model)
        self.ln2 = RMSNorm(c.d_model)
        self.Wg = linear(c.d_model, c.d_ff)
        self.Wu = linear(c.d_model, c.d_ff)
        self.Wo = linear(c.d_ff, c.d_model)

    def forward(self, h: Tensor) -> Tensor:
        u = self.ln1(h)
        gate = self.combine_gate(u).sigmoid()
        h = h + self.combine_out(gate * self.swa(u) + (1 - gate) * self.delta(self.ln_delta(h)))
        y = self.ln2(h)
        return h + F.dropout(self.Wo(F.silu(self.Wg(y)) * self.Wu(y)), self.dropout, self.training)


class ValueHead(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.head = linear(width, 1)


class Cortex(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.embed = nn.Embedding(c.vocab, c.d_model)
        self.ln_in = RMSNorm(c.d_model)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.n_layers))
        self.lookahead_heads = nn.ModuleList(ValueHead(c.d_model) for _ in range(c.n_layers))
        self.ln_out = RMSNorm(c.d_model)
        self.initialise()

    def initialise(self) -> None:
        for name, p in self.named_parameters():
            if name.endswith("alpha_proj.bias"):
                nn.init.constant_(p, 4.0)  # sigmoid(4) = 0.982: a slow decay to start from
            elif p.dim() == 2:
                nn.init.normal_(p, std=0.01 if name.startswith("lookahead_heads") else 0.02)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B,T] -> logits [B,T,V], values [L,B,T]."""
        h = self.ln_in(self.embed(tokens))
        values = []
        for block, value in zip(self.blocks, self.lookahead_heads, strict=True):
            h = block(h)
            values.append(value.head(h).squeeze(-1))
        return F.linear(self.ln_out(h), self.embed.weight), torch.stack(values)


# --- objective -----------------------------------------------------------------------------------------------------


def pearson(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.flatten() - x.mean(), y.flatten() - y.mean()
    norm = x.square().mean().sqrt(), y.square().mean().sqrt()
    if min(norm) <= 1e-8:
        return x.new_zeros(())
    return (x * y).mean() / (norm[0] * norm[1])


def value_targets(ce: Tensor, horizon: int) -> Tensor:
    """ce [B,T] -> mean(ce_t .. ce_{t+horizon-1}) [B,T-horizon+1]; needs T >= horizon."""
    return ce.detach().unfold(1, horizon, 1).mean(-1)


def losses(logits: Tensor, values: Tensor | None, targets: Tensor, objective: Objective) -> dict[str, Tensor]:
    """The total to minimise and its parts; targets [B,T] are the tokens that follow."""
    log_p = at_least_f32(logits).log_softmax(-1)
    ce = F.nll_loss(log_p.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)  # [B,T]
    entropy = -(log_p.exp() * log_p).sum(-1).mean()
    if values is not None and targets.shape[1] >= objective.value_horizon:
        tau = value_targets(ce, objective.value_horizon)
        value_loss = (at_least_f32(values)[:, :, : tau.shape[1]] - tau).square().mean()
    else:
        value_loss = ce.new_zeros(())
    total = ce.mean() - objective.entropy_weight * entropy + objective.value_weight * value_loss
    return {"total": total, "ce": ce.mean(), "entropy": entropy, "value_loss": value_loss, "per_token_ce": ce}


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Decay matrices, but no token table, output head, value head or memory slots, and nothing of one or three
    dimensions."""
    exempt = ("embed", "head.", "out_head.", "second_head.", "lookahead_heads.")
    decayed, free = [], []
    for name, p in model.named_parameters():
        loose = p.dim() != 2 or name.startswith(exempt) or name.endswith(".slots")
        (free if loose else decayed).append(p)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def golden_states() -> dict[str, tuple[dict, nn.Module]]:
    """Small states of both memory modes; T of make_golden.py is no multiple of the window, on purpose."""
    small = Config(vocab=48, d_model=32, n_layers=2, n_heads=4, d_head=8, window=5, d_mem=4, d_ff=24, dropout=0.0)
    states = {}
    for memory, rope in (("delta", True), ("linear", False)):
        c = dataclasses.replace(small, memory=memory, rope=rope)
        names = ("vocab", "d_model", "n_layers", "n_heads", "d_head", "window", "d_mem", "d_ff", "memory", "rope")
        config = {"architecture": "cortex-viii"} | {name: getattr(c, name) for name in names}
        config |= {"value_heads": True, "dropout": 0.0}
        states[f"cortex_{memory}"] = (config, Cortex(c))
    return states


# --- checks --------------------------------------------------------------------------------------------------------


def difference(base: Config, **changes) -> float:
    """Largest difference of logits, values and gradients between a configuration and one with changes."""
    outcomes = []
    for config in (base, dataclasses.replace(base, **changes)):
        torch.manual_seed(1)
        model = Cortex(config).double()
        for p in model.parameters():
            p.data += 0.3 * torch.randn_like(p)
        tokens = torch.randint(base.vocab, (2, 78))
        logits, values = model(tokens[:, :-1])
        losses(logits, values, tokens[:, 1:], Objective())["total"].backward()
        outcomes.append([logits, values, *(p.grad for p in model.parameters())])
    return max((a - b).abs().max().item() for a, b in zip(*outcomes, strict=True))


def first_changed_logit(config: Config, position: int, length: int = 40) -> int:
    torch.manual_seed(2)
    model = Cortex(config).double()
    tokens = torch.randint(config.vocab, (1, length))
    changed = tokens.clone()
    changed[0, position] = (changed[0, position] + 1) % config.vocab
    with torch.no_grad():
        rows = (model(tokens)[0] != model(changed)[0]).any(-1)[0]
    return int(rows.nonzero()[0])


def check() -> None:
    small = Config(vocab=48, d_model=32, n_layers=2, n_heads=4, d_head=8, window=5, d_mem=4, d_ff=24, rope=True)
    for memory in ("linear", "delta"):
        base = dataclasses.replace(small, memory=memory)
        for chunk in (16, 32, 64, 77):
            gap = difference(base, recurrence="chunked", chunk=chunk)
            print(f"{memory:6s}  loop against chunks of {chunk:2d}: {gap:.1e}")
            assert gap < 1e-5
        assert all(first_changed_logit(base, p) == p for p in (0, 7, 20, 39)), "a logit before the change moved"
    for attention in ("sdpa", "banded"):
        gap = difference(small, attention=attention)
        print(f"attention  dense against {attention}: {gap:.1e}")
        assert gap < 1e-5
    assert difference(small, rope=False) > 1e-3, "rotary positions have no effect"
    for memory, count in (("linear", 6_566_400), ("delta", 6_566_400 + 6 * (4 * 256 + 4))):
        assert sum(p.numel() for p in Cortex(Config(memory=memory)).parameters()) == count
    print("parameter counts and causality: as specified")


if __name__ == "__main__":
    check()
