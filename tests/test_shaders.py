"""Every shader that the case table renders compiles with tint, independently of the WebGPU library in use."""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cases import all_cases
from helpers.again import run_table
from helpers.run import Daybreak
from test_variants import FORCED

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def dumped(
    library: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """The text of every shader that a run of the table compiles: this run, if the whole table is part of it."""
    if sum(getattr(item, "originalname", "") == "test_op" for item in request.session.items) == len(
        all_cases()
    ):
        return sorted(Path(os.environ["DAYBREAK_SHADER_DUMP"]).glob("*.wgsl"))
    folder = tmp_path_factory.mktemp("shaders")
    run_table(library, {"DAYBREAK_SHADER_DUMP": str(folder)})
    return sorted(folder.glob("*.wgsl"))


def errors_of(shader: Path) -> str:
    """What tint says about a shader; "" when it compiles."""
    run = subprocess.run(["tint", shader, "-f", "wgsl", "-o", os.devnull], capture_output=True, text=True)
    return "" if run.returncode == 0 else f"{shader.name}: {run.stderr.strip()[:500]}"


@pytest.mark.skipif(shutil.which("tint") is None, reason="tint is not on PATH")
def test_every_shader_compiles(dumped: list[Path]) -> None:
    assert len(dumped) > 100, f"the table compiled only {len(dumped)} shaders"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [error for error in pool.map(errors_of, dumped) if error]
    assert not wrong, "\n".join(wrong[:20])


def test_every_entry_shader_has_a_case(dumped: list[Path], daybreak: Daybreak) -> None:
    """A shader that no case reaches is not tested at all. Those of matrix units, and what sums them up, are reached
    where there are some; elsewhere the unit tests compile them. Packed products are for GPUs; tests/test_variants.py
    forces them."""
    reached = {re.sub(r"-\d+$", "", path.stem) for path in dumped}
    texts = {p.stem: p.read_text() for p in (ROOT / "src/ops").glob("*.wgsl")}
    entries = {name for name, text in texts.items() if "@compute" in text}
    # Those that only a forced variant reaches are named as it is.
    entries -= {name for variant, _ in FORCED for name in variant.split(",")}
    if not daybreak.device.ep_metadata["subgroup_matrices"]:
        on_units = {name for name, text in texts.items() if "subgroup_matrix" in text}
        entries = {name for name in entries if not any(name.startswith(unit) for unit in on_units)}
    entries -= {
        "matmul_nbits_chain"
    }  # of a fused node, which tests/test_chain.py and nbits_chain_test.cc reach
    if daybreak.device.ep_metadata["software"] == "1":
        entries -= {"matmul_nbits_dot"}
    assert not entries - reached, f"no case of the table runs {sorted(entries - reached)}"
