"""RotaryEmbedding of com.microsoft and of ONNX 23."""

import numpy as np

from cases import BY_NAME, case, data, f32

for t in ("f32", "f16"):
    x = BY_NAME[t]
    for interleaved in (0, 1):
        for head in (4, 6, 16, 64, 128):
            caches = (x(32, head // 2), x(32, head // 2))
            ids = data(np.arange(10).reshape(2, 5)[:, ::-1] + 3)
            case(
                "RotaryEmbedding",
                x(2, 5, 3 * head),
                ids,
                *caches,
                domain="com.microsoft",
                interleaved=interleaved,
            )
            case("RotaryEmbedding", x(2, 3, 5, head), data([7]), *caches, domain="com.microsoft",
                 interleaved=interleaved)  # fmt: skip
            case("RotaryEmbedding", x(2, 3, 5, head), *caches, ids, domain="", interleaved=interleaved)
            case("RotaryEmbedding", x(2, 5, 3 * head), x(2, 5, head // 2), x(2, 5, head // 2), domain="",
                 num_heads=3, interleaved=interleaved)  # fmt: skip
        # Only the first dimensions of each head are rotated.
        case("RotaryEmbedding", x(1, 4, 2 * 24), data([0]), x(16, 8), x(16, 8), domain="com.microsoft",
             num_heads=2, rotary_embedding_dim=16, interleaved=interleaved)  # fmt: skip
        case("RotaryEmbedding", x(1, 2, 4, 20), x(16, 3), x(16, 3), data([[3, 1, 0, 15]]), domain="",
             rotary_embedding_dim=6, interleaved=interleaved)  # fmt: skip
    case("RotaryEmbedding", x(1, 6, 32), data([[0, 1, 0, 1, 2, 3]]), x(4, 8), x(4, 8), domain="com.microsoft",
         is_packed_batching=1)  # fmt: skip
    case("RotaryEmbedding", x(0, 4, 32), data(np.zeros((0, 4))), x(8, 8), x(8, 8), domain="com.microsoft")
    case("RotaryEmbedding", x(1, 4, 32), data([0]), x(8, 8), x(8, 8), domain="com.microsoft", scale=2.0,
         declined="scale")  # fmt: skip

case("RotaryEmbedding", f32(2, 3, 5, 4), f32(32, 2), f32(32, 2), data([[0] * 5] * 2), interleaved=2,
     declined="interleaved is 2")  # fmt: skip
case("MRotaryEmbedding", f32(2, 5, 32), data(np.zeros((3, 2, 5))), f32(8, 8), f32(8, 8), num_heads=2,
     mrope_section=[2, 3, 3], declined="no kernel for this operator")  # fmt: skip
