"""PagedAttention: prompts, single tokens and mixtures of them over blocks of a common cache; every extra term."""

import functools

import numpy as np

from cases import Arg, case, const, data, f16, f32, i8, on_cpu
from cases.gqa import norm, rotate, softmax


def turned(x, cos, sin, positions, first, interleaved):
    """x [tokens, heads, head] rotated from element `first` of each head on."""
    part = rotate(x[None, ..., first:], cos, sin, positions[None], interleaved)[0]
    return np.concatenate([x[..., :first], part], axis=-1)


def steps(x, scale):
    """Integers, by a product with the reciprocal in f32, as ONNX Runtime's CUDA kernel does it."""
    return np.clip(np.rint(np.float32(x) * (np.float32(1) / np.float32(scale))), -128, 127)


def paged(q, k, v, k_cache, v_cache, starts, pasts, table, *rest, num_heads, kv_num_heads, **a):
    """float64 PagedAttention with the caches that it leaves. A block outside the cache takes no key."""
    cos, sin, slots, sink, q_weight, k_weight, *scales = [*rest, *[None] * (9 - len(rest))]
    scales = [s if s is None or s.size == 1 else s.reshape(kv_num_heads, -1) for s in scales[:2]]
    latent = a.get("kv_cache_layout") == "LATENT"
    tokens, block = len(q), k_cache.shape[1]
    heads = num_heads if k is not None else num_heads + 2 * kv_num_heads
    q = q.reshape(tokens, heads, q.shape[1] // heads)
    if k is None:
        q, k, v = np.split(q, [num_heads, num_heads + kv_num_heads], axis=1)
    k = k.reshape(tokens, kv_num_heads, k_cache.shape[3])
    if q_weight is not None:
        q, k = (norm(x, w, a.get("qk_norm_epsilon", 1e-6)) for x, w in ((q, q_weight), (k, k_weight)))
    counts = np.diff(starts)
    entry = np.repeat(np.arange(len(counts)), counts)
    positions = np.asarray(pasts)[entry] + np.arange(tokens) - np.asarray(starts)[entry]
    if a.get("do_rotary"):
        turn = functools.partial(turned, cos=cos, sin=sin, positions=positions, first=a.get("rotary_offset", 0),
                                 interleaved=a.get("rotary_interleaved", 0))  # fmt: skip
        q, k = turn(q), turn(k)
    rows = table[entry, positions // block] * block + positions % block if tokens else np.zeros(0, int)
    written = rows if slots is None else np.asarray(slots)
    inside = (written >= 0) & (written < k_cache.shape[0] * block)
    caches = [c.copy() for c in ((k_cache,) if latent else (k_cache, v_cache))]
    for cache, new, scale in zip(caches, (k, v), scales, strict=False):
        line = new.reshape(k.shape)[inside]
        cache.reshape(-1, kv_num_heads, k.shape[2])[written[inside]] = (
            line if scale is None else steps(line, scale)
        )
    stored, caches = caches, [c if s is None else c * s for c, s in zip(caches, scales, strict=False)]
    out = np.zeros((tokens, num_heads, a.get("v_head_size") or q.shape[2]))
    a["causal"] = a.get("is_causal", 1)
    for b, n in enumerate(counts):
        own, length = slice(starts[b], starts[b] + n), pasts[b] + n
        keys, values = (
            c[table[b]].reshape(-1, kv_num_heads, k.shape[2])[:length] for c in (caches[0], caches[-1])
        )
        for h in range(num_heads if n else 0):
            group = h // (num_heads // kv_num_heads)
            extra = None if sink is None else sink[h]
            _, p = softmax(q[own, h], keys[:, group], pasts[b], None, extra, a)
            out[own, h] = p @ values[:, group, : out.shape[2]]
    return (out.reshape(tokens, num_heads * out.shape[2]), *stored)


def add(sequences: list[tuple[int, int]], heads: int = 4, kv_heads: int = 2, head: int = 32, *, block: int = 16,
        spare: int = 0, packed: bool = False, half: int = -1, sink: bool = False, norms: bool = False,
        slots: str = "", scales: tuple[str, str] | None = None, metadata: list[int] | None = None,
        alias: bool = True, scale_: float = 1.0, **attrs) -> None:  # fmt: skip
    """One case: `sequences` are (new tokens, keys before them); `spare` are columns of the table that nobody needs."""
    x = functools.partial(f16, low=-scale_, high=scale_)
    counts, pasts = (np.array(c, int).reshape(-1) for c in zip(*sequences, strict=True))
    tokens, longest = int(counts.sum()), int((counts + pasts).max())
    width = max(-(-longest // block), 1)
    pool = len(sequences) * width + 2
    blocks = np.random.default_rng(tokens).permutation(pool)[:-2].reshape(len(sequences), width)
    table = np.pad(blocks, ((0, 0), (0, spare)), constant_values=-1)
    entry = np.repeat(np.arange(len(counts)), counts)
    positions = pasts[entry] + np.arange(tokens) - (np.cumsum(counts) - counts)[entry]
    rows = blocks[entry, positions // block] * block + positions % block
    skipped = np.where(np.arange(tokens) % 3 == 1, -1, rows)
    slot = {
        "": None,
        "own": data(rows, "i32"),
        "skip": data(skipped, "i32"),
        "far": data(rows + 2**20, "i32"),
    }
    latent = attrs.get("kv_cache_layout") == "LATENT"
    cache = i8(pool, block, kv_heads, head) if scales else x(pool, block, kv_heads, head)
    amount = {
        "PER_TENSOR": f32(1, value=[scale_ / 100]),
        "PER_CHANNEL": f32(kv_heads, 1, head, low=0.005, high=0.02),
    }
    if scales:
        attrs |= {"k_quant_type": scales[0], "v_quant_type": scales[1]}
    wide = heads + 2 * kv_heads if packed else heads
    angles = x(max(longest, 1), head // 2 if half < 0 else half) if attrs.get("do_rotary") else None
    args: list[Arg | None] = [
        x(tokens, wide * head),
        None if packed else x(tokens, kv_heads * head),
        None if packed or latent else x(tokens, kv_heads * head),
        cache,
        None if latent else cache,
        data(np.concatenate([[0], np.cumsum(counts)]), "i32"),
        data(pasts, "i32"),
        data(table, "i32"),
        angles,
        angles,
        slot[slots],
        x(heads) if sink else None,
        *([x(head), x(head)] if norms else [None, None]),
        *([amount[s] for s in scales] if scales else [None, None]),
        on_cpu(data(metadata, "i32")) if metadata else None,
    ]
    while args[-1] is None:
        args.pop()
    shared = {1: 3} if latent else {1: 3, 2: 4}
    case("PagedAttention", *args, out=len(shared) + 1, num_heads=heads, kv_num_heads=kv_heads, ref=paged,
         shared=shared if alias else None, **attrs)  # fmt: skip


ROPE = {"do_rotary": 1}
DECODE = [(1, 5), (1, 40), (1, 0), (1, 16), (1, 15)]
PROMPT = [(33, 0), (7, 0), (64, 0)]
MIXED = [(1, 50), (40, 0), (1, 17), (0, 20), (23, 30), (1, 0)]
# Head and group sizes; prompts, single tokens and mixtures; keys that cross blocks.
for heads, kv_heads, head in [(9, 3, 64), (2, 2, 128), (8, 1, 16), (6, 2, 96), (2, 1, 8), (5, 1, 256)]:
    rope = ROPE if head % 16 == 0 else {}
    for sequences in (DECODE, PROMPT, MIXED, [(1, 31)], [(130, 0)], [(4, 29), (3, 14)]):
        add(sequences, heads, kv_heads, head, **rope)
for sequences in (DECODE, PROMPT, MIXED):
    for packed in (False, True):
        for interleaved in (0, 1):
            add(sequences, packed=packed, rotary_interleaved=interleaved, **ROPE)
            add(sequences, packed=packed, rotary_interleaved=interleaved, half=8, spare=3, **ROPE)
        add(sequences, packed=packed)
        add(sequences, packed=packed, norms=True, qk_norm_epsilon=1e-3, **ROPE)
        add(sequences, packed=packed, alias=False, **ROPE)
    for block in (1, 8, 24, 256):
        add(sequences, block=block, **ROPE)
    for window in (1, 5, 64):
        add(sequences, local_window_size=window, **ROPE)
        add(sequences, local_window_size=window, is_causal=0)
    add(sequences, is_causal=0, **ROPE)
    add(sequences, softcap=1.5, scale_=3.0)
    add(sequences, scale=0.3)
    add(sequences, sink=True)
    add(sequences, sink=True, softcap=2.0, local_window_size=9, norms=True, **ROPE)
    for slots in ("own", "skip", "far"):
        add(sequences, slots=slots, **ROPE)
    add(sequences, slots="skip", packed=True, norms=True, **ROPE)
    add(sequences, rotary_offset=16, half=8, **ROPE)
    add(sequences, rotary_offset=8, half=4, rotary_interleaved=1, norms=True, **ROPE)
    # Bounds of lengths that the host knows.
    for metadata in ([0, 0], [64, 80], [64, 0, 1]):
        add(sequences, metadata=metadata, **ROPE)
    # Values that are the beginnings of keys, and only these are rotated in part.
    mla = {"kv_cache_layout": "LATENT", "scale": 0.2}
    add(sequences, 4, 1, 48, v_head_size=32, rotary_offset=32, half=8, **mla, **ROPE)
    add(
        sequences,
        4,
        1,
        48,
        v_head_size=32,
        rotary_offset=32,
        half=8,
        alias=False,
        slots="skip",
        **mla,
        **ROPE,
    )
    add(sequences, 4, 1, 32, kv_cache_layout="LATENT")
    # Caches of bytes.
    for scales in (
        ("PER_TENSOR", "PER_TENSOR"),
        ("PER_CHANNEL", "PER_CHANNEL"),
        ("PER_TENSOR", "PER_CHANNEL"),
    ):
        add(sequences, scales=scales)
    add(sequences, 6, 2, 64, scales=scales, packed=True, norms=True, sink=True, slots="skip", **ROPE)
    add(
        sequences,
        3,
        3,
        40,
        scales=scales,
        alias=False,
        softcap=2.0,
        local_window_size=9,
        k_cache_dtype="int8",
    )
    # Products of queries and keys beyond the range of f16.
    add(sequences, head=64, scale_=100.0, scale=1e-3)
add(DECODE, metadata=[1, 41], **ROPE)
add(MIXED, 16, 1, 576, v_head_size=512, rotary_offset=512, half=32, **mla, **ROPE)
# Many keys, which workgroups share, and many sequences.
add([(1, 1500), (1, 3), (2, 700)], spare=1, **ROPE)
add([(1, 7 * i % 90) for i in range(70)], **ROPE)
add([(1, 300), (400, 0), (1, 1200)], 4, 1, 64, block=32, **ROPE)
# No tokens at all: the caches stay, or are copied.
for alias in (True, False):
    add([(0, 5), (0, 0)], alias=alias, **ROPE)


def attrs_of(**attrs):
    return {"num_heads": 4, "kv_num_heads": 2, **attrs}


x = functools.partial(f16, low=-1, high=1)
BATCH = (data([0, 1, 3], "i32"), data([20, 3], "i32"), data([[0, 3], [2, -1]], "i32"))
PLAIN = (x(3, 128), x(3, 64), x(3, 64), x(5, 16, 2, 32), x(5, 16, 2, 32), *BATCH)
# A cache that the model does not ask back is updated all the same, which tests/test_paged.py looks at.
case("PagedAttention", *PLAIN, **attrs_of(), ref=lambda *inputs, **attrs: paged(*inputs, **attrs)[0])
case("PagedAttention", *PLAIN, **attrs_of(), out=3, symbolic=True, ref=paged)
for attributes, reason in [
    ({"k_quant_type": "PER_TENSOR", "v_quant_type": "PER_TENSOR"}, "is PER_TENSOR for a KV cache of f16"),
    ({"k_cache_dtype": "int4"}, "'k_cache_dtype' is int4"),
    ({"v_head_size": 16}, "needs the layout LATENT"),
    ({"v_head_size": 12}, "v_head_size"),
    ({"do_rotary": 1}, "cos_cache"),
    ({"rotary_offset": 4}, "not a multiple of 8"),
    ({"is_causal": 2}, "'is_causal' is 2"),
    ({"num_heads": 5}, "not a multiple of 'kv_num_heads'"),
]:
    case("PagedAttention", *PLAIN, **attrs_of(**attributes), out=3, declined=reason)
case("PagedAttention", *PLAIN[:2], None, *PLAIN[3:], **attrs_of(), out=3, declined="'value_cache', is absent")
case("PagedAttention", *PLAIN, None, None, None, None, x(32), **attrs_of(), out=3, declined="k_norm_weight")
case(
    "PagedAttention",
    *PLAIN[:3],
    const(PLAIN[3]),
    const(PLAIN[4]),
    *BATCH,
    **attrs_of(),
    declined="is a constant",
)
case("PagedAttention", *PLAIN[:2], None, PLAIN[3], None, *BATCH, **attrs_of(kv_cache_layout="LATENT"), out=2,
     declined="one kv head")  # fmt: skip
BYTES = (*PLAIN[:3], i8(5, 16, 2, 32), i8(5, 16, 2, 32), *BATCH)
case("PagedAttention", *BYTES, **attrs_of(), out=3, declined="'k_quant_type' is NONE for a KV cache of i8")
QUANTISED = attrs_of(k_quant_type="PER_TENSOR", v_quant_type="PER_CHANNEL")
case("PagedAttention", *BYTES, **QUANTISED, out=3, declined="'k_scale' and 'v_scale'")
case("PagedAttention", x(3, 128), x(3, 32), None, i8(5, 16, 1, 32), None, *BATCH, *[None] * 6, f32(1), f32(1),
     **{**QUANTISED, "kv_num_heads": 1}, kv_cache_layout="LATENT", out=2, declined="LATENT")  # fmt: skip
