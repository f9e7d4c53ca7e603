"""MultiHeadAttention and Attention of com.microsoft, Attention of ONNX 23 and 24."""

import numpy as np

from cases import BY_NAME, case, data

ROUNDED = {
    "tol": 5e-3,
    "atol": 5e-3,
    "why": "query, key and value are rounded to f16 once their bias is added",
}


def attend(q, k, v):
    """Attention of [batch, rows, heads, size], as [batch, rows, heads * size]."""
    scores = np.einsum("bsnh,btnh->bnst", q, k) / np.sqrt(q.shape[-1])
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bnst,btnh->bsnh", p / p.sum(-1, keepdims=True), v).reshape(*q.shape[:2], -1)


def packed_qkv(x, num_heads):
    return attend(x[:, :, :, 0], x[:, :, :, 1], x[:, :, :, 2])


def packed_kv(q, kv, num_heads):
    return attend(q.reshape(*q.shape[:2], num_heads, -1), kv[:, :, :, 0], kv[:, :, :, 1])


def lengths(*values: int):
    return data(list(values), "i32")


def padding(batch: int, keys: int):
    """[batch, keys], 1 where a key counts: the last ones of each entry do not."""
    return data([[int(t < keys - 2 * b - 1) for t in range(keys)] for b in range(batch)], "i32")


for t in ("f32", "f16"):
    x = BY_NAME[t]
    rounded = ROUNDED if t == "f16" else {}
    # --- MultiHeadAttention: self and cross attention, heads of every size, a value head of its own size.
    for heads, size, v_size, seq, keys in [(2, 40, 40, 5, 5), (4, 32, 32, 3, 70), (2, 16, 16, 1, 9), (1, 8, 8, 40, 33),
                                           (2, 16, 8, 6, 6), (3, 6, 10, 4, 5), (2, 64, 64, 66, 66)]:  # fmt: skip
        q, k, v = x(2, seq, heads * size), x(2, keys, heads * size), x(2, keys, heads * v_size)
        case("MultiHeadAttention", q, k, v, num_heads=heads)
        case(
            "MultiHeadAttention",
            q,
            k,
            v,
            x(heads * (2 * size + v_size)),
            num_heads=heads,
            scale=0.3,
            **rounded,
        )
    q, k = x(2, 4, 64), x(2, 6, 64)
    case("MultiHeadAttention", q, k, k, None, lengths(6, 3), num_heads=4)
    case("MultiHeadAttention", q, k, k, None, padding(2, 6), num_heads=4)
    case(
        "MultiHeadAttention",
        q,
        k,
        k,
        None,
        padding(2, 6),
        x(1, 4, 4, 6),
        num_heads=4,
        mask_filter_value=-500.0,
    )
    for bias in [(2, 4), (1, 4), (2, 1), (1, 1)]:
        case("MultiHeadAttention", q, k, k, None, None, x(*bias, 4, 6), num_heads=4)
    case("MultiHeadAttention", q, q, q, num_heads=4, unidirectional=1)
    for seq, keys in [(3, 5), (1, 5), (5, 3), (70, 90)]:  # the last query sees every key
        case(
            "MultiHeadAttention", x(2, seq, 32), x(2, keys, 32), x(2, keys, 32), num_heads=4, unidirectional=1
        )
    case("MultiHeadAttention", x(2, 5, 2, 3, 16), num_heads=2, ref=packed_qkv)
    case("MultiHeadAttention", x(2, 4, 32), x(2, 5, 2, 2, 16), num_heads=2, ref=packed_kv)
    case("MultiHeadAttention", x(2, 4, 32), x(2, 2, 5, 16), x(2, 2, 5, 16), num_heads=2)
    for seq, past in [(1, 7), (3, 40), (2, 0)]:
        new, old = x(2, seq, 64), x(2, 4, past, 16)
        case("MultiHeadAttention", new, new, new, x(192), None, None, old, old, num_heads=4, out=3, **rounded)
        case(
            "MultiHeadAttention",
            new,
            new,
            new,
            None,
            None,
            x(1, 4, seq, seq + past),
            old,
            old,
            num_heads=4,
            out=3,
        )
    case("MultiHeadAttention", x(1, 3, 32), x(1, 3, 32), x(1, 3, 32), num_heads=2, out=3)
    # --- Attention (com.microsoft): the projection, masks, and a value size of its own.
    for seq, hidden, heads in [(3, 32, 2), (40, 48, 4)]:
        w, b = x(hidden, 3 * hidden, low=-0.3, high=0.3), x(3 * hidden)
        args = (x(2, seq, hidden), w, b)
        case("Attention", *args, domain="com.microsoft", num_heads=heads, **rounded)
        case("Attention", *args, lengths(seq, seq - 2), domain="com.microsoft", num_heads=heads, **rounded)
        case(
            "Attention",
            *args,
            padding(2, seq) if seq > 5 else lengths(2, 3),
            domain="com.microsoft",
            num_heads=heads,
            **rounded,
        )
        case(
            "Attention",
            *args,
            None,
            None,
            x(1, heads, seq, seq),
            domain="com.microsoft",
            num_heads=heads,
            **rounded,
        )
        case("Attention", *args, domain="com.microsoft", num_heads=heads, **rounded, unidirectional=1)
    case("Attention", x(1, 4, 16), x(16, 72, low=-0.3, high=0.3), x(72), domain="com.microsoft", num_heads=2,
         qkv_hidden_sizes=[32, 32, 8])  # fmt: skip
    # --- Attention (ONNX): three or four dimensions, groups, masks, past.
    for opset in (23, 24):
        case("Attention", x(2, 4, 5, 16), x(2, 4, 7, 16), x(2, 4, 7, 16), domain="", opset=opset)
        case(
            "Attention",
            x(2, 5, 64),
            x(2, 7, 32),
            x(2, 7, 16),
            domain="",
            opset=opset,
            q_num_heads=4,
            kv_num_heads=2,
        )
        case("Attention", x(1, 6, 9, 32), x(1, 2, 9, 32), x(1, 2, 9, 32), domain="", opset=opset, is_causal=1,
             softcap=2.0)  # fmt: skip
        case("Attention", x(1, 2, 40, 64), x(1, 2, 40, 64), x(1, 2, 40, 64), domain="", opset=opset, is_causal=1,
             scale=0.2)  # fmt: skip
    q, k = x(2, 4, 5, 16), x(2, 4, 7, 16)
    for mask in [(5, 7), (2, 1, 5, 7), (1, 4, 5, 7)]:
        case("Attention", q, k, k, x(*mask), domain="")
        case("Attention", q, k, k, data(np.indices(mask).sum(0) % 3 != 0, "bool"), domain="")
    for seq, past in [(1, 6), (3, 40)]:
        new, old = x(2, 4, seq, 16), x(2, 4, past, 16)
        case("Attention", new, new, new, None, old, old, domain="", out=3)
        case("Attention", new, new, new, None, old, old, domain="", out=3, is_causal=1)
        case("Attention", new, new, new, x(seq, seq + past), old, old, domain="", out=3)
    case("Attention", q, k, k, None, None, None, data([7, 3]), domain="", opset=24)

    # --- Scores of MultiHeadAttention: scaled products plus bias and masks; hidden by causality: the lowest f32.
    q, k, qk = x(2, 4, 64), x(2, 6, 64), {"num_heads": 4, "out": (1, 0, 0, 1)}
    for score_type in ("f32", "f16"):
        qk["types"] = {3: score_type}
        qk["oracle"] = "f32"
        case("MultiHeadAttention", q, k, k, **qk)
        case("MultiHeadAttention", q, k, k, None, None, x(2, 1, 4, 6), scale=0.4, **qk)
        case("MultiHeadAttention", q, k, k, None, lengths(6, 3), **qk)
        case(
            "MultiHeadAttention", q, k, k, None, padding(2, 6), x(1, 4, 4, 6), mask_filter_value=-500.0, **qk
        )
        case("MultiHeadAttention", q, q, q, None, lengths(4, 3), unidirectional=1, **qk)
        case("MultiHeadAttention", x(2, 70, 24), x(2, 133, 24), x(2, 133, 40), **qk)
        for seq, past in [(1, 7), (3, 40)]:
            new, old = x(2, seq, 64), x(2, 4, past, 16)
            args = (new, new, new, None, None, None, old, old)
            case("MultiHeadAttention", *args, **{**qk, "out": 4}, unidirectional=1)
    # --- Scores of Attention (ONNX): product, softcap, mask, softmax.
    q, k, old = x(2, 4, 5, 16), x(2, 4, 7, 16), x(2, 4, 3, 16)
    some = data([[(s + t) % 3 != 0 and s != 2 for t in range(7)] for s in range(5)], "bool")
    infinite = data([[-np.inf if (s + t) % 3 == 0 else 0.25 * t for t in range(7)] for s in range(5)], t)
    for mode in range(4):
        qk = {"domain": "", "out": (1, 0, 0, 1), "qk_matmul_output_mode": mode}
        for opset in (23, 24):
            case("Attention", q, k, k, opset=opset, **qk)
            case("Attention", q, k, k, x(5, 7), softcap=0.5, opset=opset, **qk)
        case("Attention", q, k, k, x(2, 1, 5, 7), softcap=1.5, scale=0.6, **qk)
        case("Attention", q, k, k, infinite, **qk)
        case("Attention", x(1, 70, 48), x(1, 133, 24), x(1, 133, 10), q_num_heads=4, kv_num_heads=2, **qk)
        case("Attention", q, q, q, None, old, old, **{**qk, "out": 4}, softcap=2.0)
        # What hides keys is -infinity in ONNX and the lowest value in the CPU EP.
        qk |= {"declined": "qk_matmul_output"} if mode == 2 else {}
        case("Attention", q, k, k, some, softcap=0.5, **qk)
        case("Attention", q, k, k, some, is_causal=1, **qk)
        case("Attention", q, q, q, None, old, old, **{**qk, "out": 4}, is_causal=1, softcap=2.0)
        case("Attention", q, k, k, None, None, None, data([7, 3]), **qk)
        case("Attention", q, k, k, some, None, None, data([7, 3]), **qk)

x = BY_NAME["f32"]
# More heads than a grid has workgroups along one axis.
case("MultiHeadAttention", x(33000, 1, 16), x(33000, 3, 16), x(33000, 3, 16), num_heads=2)
case("MultiHeadAttention", x(33000, 1, 16), x(33000, 3, 16), x(33000, 3, 16), num_heads=2, out=(1, 0, 0, 1),
     types={3: "f32"})  # fmt: skip
case("Attention", x(1, 2, 16), x(16, 48), x(48), None, x(2, 1, 2, 3, 8), domain="com.microsoft", num_heads=2, out=2,
     declined="a past state is not supported")  # fmt: skip
q, qk = x(1, 1, 2, 8), {"domain": "", "out": (1, 0, 0, 1)}
case("Attention", q, q, q, qk_matmul_output_mode=4, declined="qk_matmul_output_mode", **qk)
