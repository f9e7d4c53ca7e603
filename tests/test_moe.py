"""Mixtures of experts inside a model: routing that follows the data, with graph capture and without."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.run import Daybreak, cpu_session
from helpers.small_models import MS, Builder

HIDDEN, INTER, EXPERTS, TOP, LAYERS = 64, 96, 8, 2, 2


def model() -> bytes:
    """Layers of norm, router and experts (4 bits in blocks of 32) with a residual sum."""
    b = Builder(np.float32)
    hidden = b.add_input("x", ["tokens", HIDDEN])
    for layer in range(LAYERS):
        name = f"{layer}/"
        ones = b.constant(name + "ones", np.ones(HIDDEN, np.float32))
        normed = b.node("SimplifiedLayerNormalization", [hidden, ones], name + "normed", epsilon=1e-5)
        logits = b.node("MatMul", [normed, b.weight(name + "gate", HIDDEN, EXPERTS)], name + "logits")
        inputs = [normed, logits]
        for kind, rows, k in [("fc1", 2 * INTER, HIDDEN), ("fc2", HIDDEN, INTER)]:
            packed = b.rng.integers(0, 256, (EXPERTS, rows, k // 2), np.uint8)
            scales = b.rng.uniform(0.005, 0.03, (EXPERTS, rows, k // 32)).astype(np.float32)
            inputs += [b.constant(name + kind, packed), b.constant(name + kind + "_scales", scales)]
            inputs.append(b.weight(name + kind + "_bias", EXPERTS, rows))
        mixed = b.node("QMoE", inputs, name + "mixed", MS, k=TOP, expert_weight_bits=4, block_size=32,
                       activation_type="swiglu", swiglu_fusion=1, activation_alpha=1.702, activation_beta=1.0,
                       swiglu_limit=7.0, normalize_routing_weights=1)  # fmt: skip
        hidden = b.node("Add", [hidden, mixed], "y" if layer == LAYERS - 1 else name + "sum")
    b.add_output("y", ["tokens", HIDDEN])
    return b.serialize()


@pytest.mark.parametrize("capture", [False, True], ids=["plain", "capture"])
@pytest.mark.parametrize("tokens", [1, 50])
def test_layers_of_experts(daybreak: Daybreak, tokens: int, capture: bool) -> None:
    """Each run takes other experts; with capture, the later runs replay the first."""
    data = model()
    oracle = cpu_session(data)
    session = daybreak.session(data, {"enableGraphCapture": "1"} if capture else {})
    x = daybreak.upload(np.zeros((tokens, HIDDEN), np.float32))
    y = daybreak.upload(np.zeros((tokens, HIDDEN), np.float32))
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", x)
    binding.bind_ortvalue_output("y", y)
    rng = np.random.default_rng(tokens)
    for _ in range(3):
        fresh = rng.standard_normal((tokens, HIDDEN), np.float32)
        x.update_inplace(fresh)
        session.run_with_iobinding(binding)
        want = oracle.run(None, {"x": fresh})[0]
        np.testing.assert_allclose(y.numpy(), want, rtol=1e-4, atol=1e-4)
