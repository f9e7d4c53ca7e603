"""GroupQueryAttention over quantised caches (option kvCacheQuantizationBits)."""

import dataclasses
import functools

import numpy as np
from helpers.kv_format import pack, packing_error, row_elements, unpack

from cases import BY_NAME, DTYPES, TOLERANCES, Arg, case, data, gqa


def add(bits: int, dtype: str, *sizes: int, capacity: int = 0, outliers: float = 0.0, **rest) -> None:
    """A case of gqa.add whose caches are packed; `outliers` lie in the past."""
    numpy_type = np.dtype(DTYPES[dtype][1])

    def packed(cache: Arg) -> Arg:
        dims = (*cache.shape[:3], row_elements(cache.shape[3], bits, numpy_type))
        through = functools.partial(pack, bits=bits)
        return dataclasses.replace(cache, through=through, dims=dims, outliers=outliers)

    check = functools.partial(judge, bits=bits, shared=bool(capacity))
    gqa.add(dtype, *sizes, capacity=capacity, remake=packed, numpy=True, judge=check,
            ref=functools.partial(shapes, bits=bits, dtype=numpy_type),
            options={"kvCacheQuantizationBits": str(bits)}, **rest)  # fmt: skip


def shapes(q, k, v, past_k, past_v, *rest, bits, dtype, **a):
    """Outputs of the right shapes; `judge` says what their values are."""
    heads = a["num_heads"] + (2 * a["kv_num_heads"] if k is None else 0)
    pasts = (np.zeros((*x.shape[:3], q.shape[2] // heads)) for x in (past_k, past_v))
    out, *present, scores = (*gqa.gqa(q, k, v, *pasts, *rest, **a), None)[:4]
    packed = [np.zeros((*x.shape[:3], row_elements(x.shape[3], bits, dtype))) for x in present]
    return (out, *packed) if scores is None else (out, *packed, scores)


def judge(inputs, outputs, *, bits, shared, **a) -> str:
    """Rows of the caches that are not new keep their bits, new ones are packed as well as can be, and the other outputs
    are float64 attention over what the caches then hold."""
    past = inputs[3:5]
    q, k, v, seqlens, total, *rest = (
        x if x is None or x.dtype.kind == "i" else x.astype(np.float64) for x in (*inputs[:3], *inputs[5:])
    )
    old, held = ([unpack(x, bits) for x in caches] for caches in (past, outputs[1:3]))
    plain = gqa.gqa(q, k, v, *old, seqlens, total, *rest, shared=shared, **a)
    seq, lengths = q.shape[1], seqlens.reshape(-1) + 1
    kv_seq = seq if k is None else k.shape[1]
    for name, before, want, got in zip("kv", past, plain[1:3], outputs[1:3], strict=True):
        for b, length in enumerate(lengths):
            rows = np.arange(got.shape[2])
            new = (rows >= max(length - seq, 0)) & (rows < max(length - seq, 0) + kv_seq)
            kept = before.shape[2] if shared else length - min(kv_seq, length)
            expected = np.zeros_like(got[b])
            expected[:, :kept] = before[b][:, :kept]
            if got[b][:, ~new].tobytes() != expected[:, ~new].tobytes():
                return f"{name}: rows of entry {b} that are not new have other bits"
            if error := packing_error(got[b][:, new], want[b][:, new], bits):
                return f"{name}: new rows of entry {b}: {error}"
    head = old[0].shape[3]
    nothing = np.zeros((len(q), 0, a["kv_num_heads"] * head))
    own = q[..., : a["num_heads"] * head]
    want = gqa.gqa(own, nothing, nothing, *held, seqlens, total, *rest, shared=True, **a)
    for i in range(0, len(outputs), 3):
        name = "f16" if outputs[i].dtype == np.float16 else "f32"
        tol, atol = TOLERANCES[name]
        excess = np.abs(outputs[i] - want[i]) / (tol * np.abs(want[i]) + atol)
        if not (excess <= 1).all():
            return f"output {i} is off by up to {excess.max():.3g} times the tolerance"
    return ""


ROPE = {"do_rotary": 1}
for bits in (4, 8):
    for t in ("f32", "f16"):
        # Head and group sizes; prompt, decode and continuation; growing and shared caches.
        odd = [(3, 1, 96), (3, 1, 40)] if bits == 8 else []  # 4 bits need a power of two
        for heads, kv_heads, head in [(2, 1, 8), (2, 1, 16), (8, 1, 32), (6, 2, 128), (2, 2, 256), *odd]:
            rope = ROPE if head % 16 == 0 else {}
            for seq, past in [(1, 7), (4, 8), (33, 0)]:
                add(bits, t, heads, kv_heads, head, seq, past, **rope)
        for seq, past in [(1, 0), (70, 0), (33, 32), (1, 300), (1, 1), (70, 130), (2, 1)]:
            add(bits, t, 9, 3, 64, seq, past, **ROPE)
            add(bits, t, 9, 3, 64, seq, past, capacity=512, packed=seq % 2 == 0, **ROPE)
        # Right-padded batches: a prompt, then single tokens.
        for lengths in ([20, 12, 33], [4, 2, 6]):
            for packed in (False, True):
                add(bits, t, 2, 1, 16, max(lengths), 0, lengths=lengths, packed=packed, **ROPE)
                add(bits, t, 2, 1, 16, 1, max(lengths) - 1, lengths=lengths, packed=packed, **ROPE)
            add(bits, t, 9, 3, 64, 1, 0, lengths=lengths, capacity=128, **ROPE)
            add(bits, t, 9, 3, 64, max(lengths), 0, lengths=lengths, capacity=128, smooth_softmax=1, **ROPE)
        if (bits == 8) == (t == "f16"):  # the rest, for one type each
            continue
        # Every extra term, in prompt, continuation and decode.
        for seq, past in [(40, 0), (6, 70), (1, 70)]:
            add(bits, t, 4, 2, 32, seq, past, rotary_interleaved=1, half=8, packed=True, **ROPE)
            add(bits, t, 4, 2, 32, seq, past, local_window_size=5)
            add(bits, t, 4, 2, 32, seq, past, sink=True, local_window_size=9, softcap=2.0, **ROPE)
            add(bits, t, 4, 2, 32, seq, past, bias=(1, 4))
            add(bits, t, 4, 2, 64, seq, past, norms=True, **ROPE)
            add(bits, t, 4, 2, 64, seq, past, norms=True, capacity=128)
            add(bits, t, 4, 2, 32, seq, past, causal=0)
            add(bits, t, 4, 2, 32, seq, past, scale=2.0, outliers=100.0)
            add(bits, t, 4, 2, 32, seq, past, qk_output=2, **ROPE)
        # Layers that share another layer's cache bring no new keys.
        for seq, lengths in [(1, [30]), (40, [64]), (1, [20, 12, 33])]:
            add(bits, t, 4, 2, 32, seq, 0, lengths=lengths, capacity=64, kv_seq=0, **ROPE)

# What no kernel takes.
f16 = BY_NAME["f16"]
for bits, head, row, why in [
    (8, 16, 16, "need 10 elements, not 16"),
    (4, 16, 16, "need 6 elements, not 16"),
    (4, 24, 8, "heads of a power of two from 8 elements on, not of 24"),
]:
    case("GroupQueryAttention", f16(1, 1, 4 * head), *[f16(1, 1, 2 * head)] * 2, *[f16(1, 2, 4, row)] * 2,
         data([4], "i32"), data([5], "i32"), out=3, num_heads=4, kv_num_heads=2,
         options={"kvCacheQuantizationBits": str(bits)}, declined=why)  # fmt: skip
case("GroupQueryAttention", f16(1, 1, 64, dims=("b", "s", "hidden")), *[f16(1, 1, 32)] * 2, *[f16(1, 2, 4, 6)] * 2,
     data([4], "i32"), data([5], "i32"), out=3, num_heads=4, kv_num_heads=2,
     options={"kvCacheQuantizationBits": "4"}, declined="the size of 'query' must be known")  # fmt: skip
