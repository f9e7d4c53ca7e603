"""Kernels that a device would not choose by itself give the same answers when they are forced."""

from pathlib import Path

import pytest
from helpers.again import run_table

# DAYBREAK_VARIANT (read once in a process), and the cases that run with it.
FORCED = [
    (
        "attention_tile",
        "(gqa: and f32 and (softcap or norms) and 71) or (paged: and [66 and (softcap or LATENT))",
    ),
    (
        "attention_unsplit",
        "(gqa: and f16 and (129 or 71 or (576 and not kvCache))) or (paged: and (1500 or ([5 and softcap)))",
    ),
    ("attention_row", "gqa: and f16 and (612 or 300 or (576 and not kvCache))"),
    (
        "attention_tile_staged",
        "(gqa: and f16 and 129) or (kvCache and f32 and 39) or (attention: and f32 and (70 or 66)) or (paged: and 402)",
    ),
    ("nbits_team,nbits_few,nbits_fused", "matmul_nbits: and ((f16 and 576) or (f32 and 93 and u8))"),
    ("nbits_dot,nbits_few,nbits_fused", "matmul_nbits: and ((f16 and (576 or 8192)) or (f32 and 93 and u8))"),
    ("nbits_dot,nbits_few,nbits_fused,dot_slices=16,dot_columns=8", "matmul_nbits: and f16 and 576"),
    ("nbits_dot,nbits_few,nbits_fused,dot_slices=2,dot_columns=64", "matmul_nbits: and f16 and 8192"),
    ("nbits_team,nbits_few,nbits_fused,team_lanes=64", "matmul_nbits: and f32 and 93 and u8"),
    ("attention_splits=3", "gqa: and f16 and 129"),
    ("nbits_tile", "matmul_nbits: and not Qkv and not Mlp and (1234 or 300)"),
    ("gemm_tile", "gemm: and (130 or 93 or FusedMatMul)"),
    ("gemm_each", "gemm: and f16 and (70 or 93)"),
    ("gemm_columns,gemm_slices", "gemm: and (512 or 66)"),
    ("moe_few,moe_team", "moe: and (37 or 1024)"),
    ("moe_few,moe_dot", "moe: and QMoE and (1024 or 130 or 36 or (128 and f16))"),
    ("moe_rows,moe_team", "moe: and (37 or 200)"),
    ("moe_tile", "moe: and (200 or 300 or 17 or 34)"),
]


@pytest.mark.parametrize(("variant", "cases"), FORCED, ids=[v for v, _ in FORCED])
def test_forced_variant(variant: str, cases: str, library: Path) -> None:
    run = run_table(library, {"DAYBREAK_VARIANT": variant}, "-k", cases)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-2000:]
