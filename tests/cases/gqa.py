"""GroupQueryAttention: prompt, continuation and decode; growing and shared caches; every extra term of the scores."""

import functools
from collections.abc import Callable

import numpy as np

from cases import BY_NAME, Arg, case, data, on_cpu


def rotate(x, cos, sin, positions, interleaved):
    """x [batch, seq, heads, head] rotated by positions [batch, seq]."""
    half = cos.shape[1]
    c, s = cos[positions][:, :, None], sin[positions][:, :, None]
    y = x.copy()
    if interleaved:
        a, b = x[..., 0 : 2 * half : 2], x[..., 1 : 2 * half : 2]
        y[..., 0 : 2 * half : 2], y[..., 1 : 2 * half : 2] = a * c - b * s, b * c + a * s
    else:
        a, b = x[..., :half], x[..., half : 2 * half]
        y[..., :half], y[..., half : 2 * half] = a * c - b * s, b * c + a * s
    return y


def norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def gqa(q, k, v, past_k, past_v, seqlens, total, *rest, num_heads, kv_num_heads, shared=False, **a):
    """float64 GroupQueryAttention with present outputs; `shared` keeps what the past held beyond the new rows."""
    cos, sin, ids, bias, sink, _, _, q_weight, k_weight = [*rest, *[None] * (9 - len(rest))]
    batch, seq, _ = q.shape
    heads = num_heads if k is not None else num_heads + 2 * kv_num_heads
    q = q.reshape(batch, seq, heads, -1)
    if k is None:
        q, k, v = np.split(q, [num_heads, num_heads + kv_num_heads], axis=2)
    k, v = (x.reshape(batch, x.shape[1], kv_num_heads, q.shape[-1]) for x in (k, v))
    if q_weight is not None:
        q, k = (norm(x, w, a.get("qk_norm_epsilon", 1e-6)) for x, w in ((q, q_weight), (k, k_weight)))
    lengths = seqlens.reshape(-1) + 1
    pasts = np.maximum(lengths - seq, 0)
    if a.get("do_rotary"):
        positions = pasts[:, None] + np.arange(seq) if ids is None else ids
        turn = functools.partial(rotate, cos=cos, sin=sin, positions=positions,
                                 interleaved=a.get("rotary_interleaved", 0))  # fmt: skip
        q, k = turn(q), turn(k) if k.shape[1] else k
    capacity = max(int(np.ravel(total)[0]), past_k.shape[2] if past_k is not None else 0)
    out = np.zeros_like(q)
    scores = np.zeros((batch, num_heads, seq, int(np.ravel(total)[0])))
    present = np.zeros((2, batch, kv_num_heads, capacity, q.shape[-1]))
    for b in range(batch):
        for i, (old, new) in enumerate(((past_k, k), (past_v, v))):
            kept = capacity if shared else lengths[b] - min(k.shape[1], lengths[b])
            if old is not None:
                present[i, b, :, :kept] = old[b, :, :kept]
            rows = slice(pasts[b], pasts[b] + k.shape[1])
            present[i, b, :, rows] = new[b].transpose(1, 0, 2)
        for h in range(num_heads):
            extra = sink[h] if sink is not None else 0.0 if a.get("smooth_softmax") == 1 else None
            line = None if bias is None else bias[b % len(bias), h % bias.shape[1]]
            keys, values = present[:, b, h // (num_heads // kv_num_heads), : lengths[b]]
            before, p = softmax(q[b, :, h], keys, pasts[b], line, extra, a)
            out[b, :, h] = p @ values
            scores[b, h, :, : len(keys)] = before if a.get("qk_output") == 1 else p
    outputs = out.reshape(batch, seq, -1), present[0], present[1]
    return (*outputs, scores) if a.get("qk_output") else outputs


def softmax(q, keys, past, bias, extra, a):
    """Scores before softmax, 0 where they are masked, and probabilities."""
    scores = q @ keys.T * (a.get("scale") or q.shape[-1] ** -0.5)
    if a.get("softcap"):
        scores = a["softcap"] * np.tanh(scores / a["softcap"])
    if bias is not None:
        scores = scores + bias[:, : len(keys)]
    position, t = past + np.arange(len(q))[:, None], np.arange(len(keys))
    visible = np.ones_like(scores, bool) if a.get("causal", 1) == 0 else t <= position
    if a.get("local_window_size", -1) > 0:
        visible &= t > position - a["local_window_size"]
    scores = np.where(visible, scores, -np.inf)
    before = np.where(visible, scores, 0)
    if extra is not None:
        scores = np.concatenate([scores, np.full((len(q), 1), extra)], axis=1)
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return before, (p / p.sum(axis=1, keepdims=True))[:, : len(keys)]


def add(dtype: str, heads: int, kv_heads: int, head: int, seq: int, past: int, *, capacity: int = 0,
        lengths: list[int] | None = None, packed: bool = False, half: int = -1, ids: Arg | None = None,
        bias: tuple[int, int] | None = None, sink: bool = False, norms: bool = False, kv_seq: int = -1,
        scale: float = 1.0, numpy: bool = False, remake: Callable[[Arg], Arg] = lambda cache: cache,
        **rest) -> None:  # fmt: skip
    """One case: `lengths` are the keys of each batch entry, `capacity` > 0 a shared cache of that many rows; `rest` are
    attributes and keywords of `case`."""
    x = functools.partial(BY_NAME[dtype], low=-scale, high=scale)
    lengths = lengths or [past + seq]
    batch, total = len(lengths), max(lengths)
    new = seq if kv_seq < 0 else kv_seq
    cache = remake(x(batch, kv_heads, capacity or past, head))
    kv = (None, None) if packed else (x(batch, new, kv_heads * head),) * 2
    width = heads + 2 * kv_heads if packed else heads
    angles = x(max(total, 16), head // 2 if half < 0 else half)
    rotary = rest.get("do_rotary", 0)
    args = [x(batch, seq, width * head), *kv, cache, cache, data([n - 1 for n in lengths], "i32"),
            on_cpu(data([total], "i32")), angles if rotary else None, angles if rotary else None, ids,
            x(*bias, seq, total) if bias else None, x(heads) if sink else None,
            *([None, None, x(head), x(head)] if norms else [])]  # fmt: skip
    while args[-1] is None:
        args.pop()
    numpy = numpy or norms or bool(capacity) or rest.get("causal", 1) == 0
    oracle = functools.partial(rest.pop("ref", gqa), shared=bool(capacity)) if numpy else None
    case("GroupQueryAttention", *args, out=4 if "qk_output" in rest else 3, num_heads=heads, kv_num_heads=kv_heads,
         ref=oracle, shared={1: 3, 2: 4} if capacity else None, **rest)  # fmt: skip


ROPE = {"do_rotary": 1}
for t in ("f32", "f16"):
    # Head sizes and group sizes; prompt, decode and continuation; the caches' growth.
    for heads, kv_heads, head in [
        (2, 1, 8),
        (9, 3, 64),
        (2, 1, 16),
        (6, 2, 128),
        (8, 1, 32),
        (2, 2, 256),
        (3, 1, 96),
    ]:
        rope = ROPE if head % 16 == 0 else {}
        for seq, past in [(1, 0), (1, 7), (4, 8), (33, 0), (8, 24)]:
            add(t, heads, kv_heads, head, seq, past, **rope)
    for seq, past in [(96, 0), (1, 128), (33, 32), (1, 300), (96, 128), (1, 1), (130, 0)]:
        add(t, 2, 1, 16, seq, past, **ROPE)
        add(t, 9, 3, 64, seq, past, capacity=512, packed=seq % 2 == 0, **ROPE)
    # Right-padded batches: a prompt, then single tokens.
    for lengths in ([20, 12, 33], [20, 12, 96], [4, 2, 6]):
        for packed in (False, True):
            add(t, 2, 1, 16, max(lengths), 0, lengths=lengths, packed=packed, **ROPE)
            add(t, 2, 1, 16, 1, max(lengths) - 1, lengths=lengths, packed=packed, **ROPE)
        add(t, 9, 3, 64, 1, 0, lengths=lengths, capacity=128, **ROPE)
        add(t, 9, 3, 64, max(lengths), 0, lengths=lengths, capacity=128, smooth_softmax=1, **ROPE)
    # Rotation: interleaved, part of the head, given positions.
    for seq, past in [(5, 3), (1, 9)]:
        add(t, 4, 2, 32, seq, past, rotary_interleaved=1, **ROPE)
        add(t, 4, 2, 32, seq, past, half=8, **ROPE)
        add(t, 4, 2, 32, seq, past, half=8, rotary_interleaved=1, packed=True, **ROPE)
        add(t, 4, 2, 32, seq, past, ids=data([[(3 * i + 1) % 12 for i in range(seq)]]), **ROPE)
    # Extra terms of the scores, in prompt, continuation and decode.
    for seq, past in [(40, 0), (6, 70), (1, 70)]:
        for window in (1, 5, 64, 200):
            add(t, 4, 2, 32, seq, past, local_window_size=window)
        add(t, 4, 2, 32, seq, past, softcap=1.5, scale=3.0)
        add(t, 4, 2, 32, seq, past, smooth_softmax=1)
        add(t, 4, 2, 32, seq, past, sink=True)
        add(t, 4, 2, 32, seq, past, sink=True, local_window_size=9, softcap=2.0, **ROPE)
        for bias in [(1, 1), (1, 4)]:
            add(t, 4, 2, 32, seq, past, bias=bias, softcap=2.0, **ROPE)
        add(t, 4, 2, 64, seq, past, norms=True, **ROPE)
        add(t, 4, 2, 64, seq, past, norms=True, capacity=128, qk_norm_epsilon=1e-3, **ROPE)
        add(t, 4, 2, 32, seq, past, causal=0)
    add(t, 4, 2, 32, 3, 5, lengths=[3, 2], bias=(2, 4), numpy=True)
    # One new token of each entry over a shared cache, whose lengths need one and several rounds of keys.
    for extra in ({}, {"local_window_size": 300}, {"softcap": 2.0, "sink": True}, {"bias": (3, 4)},
                  {"rotary_interleaved": 1, "half": 8, "packed": True, "smooth_softmax": 1},
                  {"norms": True, "ids": data([[5], [12], [0]])}):  # fmt: skip
        add(t, 4, 2, 32, 1, 0, lengths=[600, 71, 1], capacity=612, **ROPE, **extra)
    # Layers that share another layer's cache bring no new keys.
    for seq, lengths in [(1, [30]), (7, [30]), (40, [64]), (1, [20, 12, 33])]:
        add(t, 4, 2, 32, seq, 0, lengths=lengths, capacity=64, kv_seq=0, **ROPE)
    # Scores as an output, before and after softmax: 0 where masked, and behind the keys of an entry.
    for stage in (1, 2):
        qk = {"qk_output": stage}
        for seq, past in [(1, 0), (5, 0), (1, 70), (6, 70), (130, 0)]:
            add(t, 4, 2, 32, seq, past, **qk, **ROPE)
        for seq, past in [(9, 0), (1, 20)]:
            add(t, 3, 1, 40, seq, past, packed=True, **qk)
            add(t, 4, 2, 32, seq, past, softcap=1.5, scale=3.0, **qk)
            add(t, 4, 2, 32, seq, past, local_window_size=4, **qk)
            add(t, 4, 2, 32, seq, past, local_window_size=4, sink=True, softcap=2.0, **qk, **ROPE)
            add(t, 4, 2, 32, seq, past, smooth_softmax=1, **qk)
            add(t, 4, 2, 32, seq, past, bias=(1, 4), softcap=2.0, **qk, **ROPE)
            add(t, 4, 2, 32, seq, past, causal=0, **qk)
            add(t, 4, 2, 64, seq, past, norms=True, **qk, **ROPE)
            add(t, 9, 3, 64, seq, past, capacity=64, **qk, **ROPE)
        add(t, 2, 1, 16, 12, 0, lengths=[5, 12, 9], numpy=True, **qk, **ROPE)
        add(t, 2, 1, 16, 1, 11, lengths=[5, 12, 9], numpy=True, **qk, **ROPE)
        add(t, 4, 2, 32, 7, 0, lengths=[30], capacity=64, kv_seq=0, **qk, **ROPE)
    # Products of queries and keys beyond the range of f16.
    add(t, 4, 2, 64, 20, 0, scale=100.0)
    add(t, 4, 2, 64, 1, 20, scale=100.0)

x = BY_NAME["f16"]
DECODE = (
    x(1, 1, 64),
    x(1, 1, 32),
    x(1, 1, 32),
    x(1, 2, 4, 16),
    x(1, 2, 4, 16),
    data([4], "i32"),
    data([5], "i32"),
)
# A cache that the model does not ask back.
case(
    "GroupQueryAttention",
    *DECODE,
    num_heads=4,
    kv_num_heads=2,
    ref=lambda *inputs, **attrs: gqa(*inputs, **attrs)[0],
)
case("GroupQueryAttention", *DECODE, out=3, num_heads=4, kv_num_heads=2, k_quant_type="PER_TENSOR",
     v_quant_type="PER_TENSOR", declined="a quantised KV cache")  # fmt: skip
case("GroupQueryAttention", *DECODE, out=3, num_heads=4, kv_num_heads=2, local_window_size=8,
     sliding_window_cache=1, declined="sliding_window_cache")  # fmt: skip
case("GroupQueryAttention", *DECODE, out=3, num_heads=4, kv_num_heads=2, qk_output=1, declined="output_qk")
case("GroupQueryAttention", *DECODE, out=4, num_heads=4, kv_num_heads=2, qk_output=3, declined="qk_output")
case("GroupQueryAttention", *DECODE, out=4, num_heads=4, kv_num_heads=2, qk_output=1,
     options={"enableGraphCapture": "1"}, declined="output_qk")  # fmt: skip
