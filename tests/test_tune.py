"""`daybreak tune`: what it keeps decides for later sessions on the device, and for nothing else."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from helpers.run import Daybreak, session_options
from helpers.small import one_node
from onnx import TensorProto, numpy_helper
from onnxruntime_ep_daybreak.tune import Settings, of_folder
from onnxruntime_ep_daybreak.tune.layer import IDS, Sizes, layer
from onnxruntime_ep_daybreak.tune.measure import _agree, _choices, _confirmed, _Sample, _survey, _winners
from onnxruntime_ep_daybreak.tune.store import parse
from onnxruntime_ep_daybreak.tune.workloads import _decoder

ROOT = Path(__file__).resolve().parent.parent
ROWS, COLUMNS, DEPTH = 64, 96, 80
PROBLEM = f"f32 m={ROWS} n={COLUMNS} k={DEPTH} batches=1 a_rows=1 b_rows=1"
ANY_OTHER = ["--margin", -1e6, "--rounds", 1]  # whatever differs from the default counts as faster


class Tool:
    """The `daybreak` command on one model, with a cache folder of its own."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library, self.cache, self.model = library, folder / "cache", folder / "product.onnx"
        weights = np.random.default_rng(0).standard_normal((DEPTH, COLUMNS)).astype(np.float32)
        constant = numpy_helper.from_array(weights, "w")
        self.model.write_bytes(
            one_node("MatMul", [(TensorProto.FLOAT, ["rows", DEPTH])], constants=[constant])
        )

    def __call__(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "onnxruntime_ep_daybreak", *map(str, arguments)]
        command += ["-o", f"cacheDir={self.cache}"]
        paths = {"PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": str(self.library), "COLUMNS": "220"}
        return subprocess.run(
            command, env={**os.environ, **paths, **more}, capture_output=True, text=True, timeout=200
        )

    def tune(self, *arguments: object, **more: str) -> str:
        done = self("tune", self.model, "--dim", f"rows={ROWS}", *arguments, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def show(self) -> str:
        done = self("tune", "--show")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kept(self) -> str:
        """The variants that are kept for the only problem."""
        (cell,) = re.findall(rf"{PROBLEM} +│ ([^│]+?) +│", self.show())
        return cell.replace(" ", ",")

    def kernel(self, rows: int = ROWS, *arguments: object, **more: str) -> str:
        """The kernel that a session takes, and the variant that the profile names."""
        output = self.model.with_name("profile")
        done = self("profile", self.model, "--dim", f"rows={rows}", "--no-ceilings", "--output", output,
                    *arguments, **more)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (found,) = re.findall(r"│ MatMul +│ (gemm_\w+ \S+)", done.stdout)
        return found

    def file(self) -> Path:
        (path,) = [p for p in self.cache.iterdir() if b"|tuning of " in p.read_bytes()]
        return path


@pytest.fixture
def tool(library: Path, tmp_path: Path, daybreak: Daybreak) -> Tool:
    if daybreak.device.ep_metadata["timestamps"] != "1":
        pytest.skip("the device has no timestamps")
    return Tool(library, tmp_path)


def test_later_sessions_take_what_was_fastest(tool: Tool) -> None:
    default = tool.kernel()
    table = tool.tune(*ANY_OTHER)
    assert PROBLEM in table and "1 of 1 problems" in table
    kept = tool.kept()
    chosen = tool.kernel()
    assert chosen != default and chosen == f"{kept.split(',')[0]} {kept}"
    assert tool.kernel(ROWS - 1) == chosen, "a problem of the same class"
    assert tool.kernel(2) == tool.kernel(2, "-o", "enableTuning=0"), "another problem"
    assert tool.kernel(ROWS, "-o", "enableTuning=0") == default
    other = next(n for n in ("gemm_tile", "gemm_each") if n != kept)
    assert tool.kernel(DAYBREAK_VARIANT=other) == f"{other} {other}", "the environment goes first"


def test_what_is_kept_can_be_reset(tool: Tool) -> None:
    default = tool.kernel()
    tool.tune(*ANY_OTHER)
    assert tool.kernel() != default
    assert "nothing is kept" in tool("tune", "--reset").stdout
    assert "nothing is kept" in tool.show()
    assert tool.kernel() == default


def test_the_default_stays_where_nothing_gains_enough(tool: Tool) -> None:
    tool.tune(*ANY_OTHER)
    assert "0 of 1 problems" in tool.tune("--margin", 99, "--rounds", 1)
    assert "nothing is kept" in tool.show(), "the problem was measured again, so the older result is gone"


def test_the_wall_clock_serves_without_timestamps(tool: Tool) -> None:
    assert "of the run" in tool.tune("--wall", *ANY_OTHER)
    kept = tool.kept()
    assert kept.startswith("gemm_") and tool.kernel().endswith(kept)


def fnv(data: bytes) -> int:
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % (1 << 64)
    return h


def test_damaged_and_foreign_results_are_ignored(tool: Tool) -> None:
    default = tool.kernel()
    tool.tune(*ANY_OTHER)
    path = tool.file()
    whole = path.read_bytes()
    key_size, value_size, checksum = struct.unpack("<QQQ", whole[8:32])
    body = whole[32:]
    assert len(body) == key_size + value_size and checksum == fnv(body)

    path.write_bytes(whole[:-1] + b"!")
    assert tool.kernel() == default, "the checksum is wrong"
    path.write_bytes(whole[:100])
    assert tool.kernel() == default, "it is cut off"
    foreign = b"Other" + body[5:]  # of another implementation, in the file where this one looks
    path.write_bytes(whole[:24] + struct.pack("<Q", fnv(foreign)) + foreign)
    assert tool.kernel() == default
    path.write_bytes(whole)
    assert tool.kernel() != default


@pytest.mark.parametrize(
    ("arguments", "reason", "variables"),
    [
        (["--dim", "rows=8"], "DAYBREAK_VARIANT", {"DAYBREAK_VARIANT": "gemm_tile"}),
        (["--show"], "stand alone", {}),
        (["--device", "99"], "no device 99", {}),
    ],
)
def test_errors(tool: Tool, arguments: list[str], reason: str, variables: dict[str, str]) -> None:
    done = tool("tune", tool.model, *arguments, **variables)
    assert done.returncode == 1 and reason in done.stderr, done.stderr


def test_nothing_is_kept_where_the_cache_is_off(tool: Tool) -> None:
    tool.cache = Path("off")
    done = tool("tune", "--reset")
    assert done.returncode == 1 and "cache folder is off" in done.stderr


def test_a_run_asks_for_variants(daybreak: Daybreak, tmp_path: Path) -> None:
    so = session_options()
    so.enable_profiling = True
    so.profile_file_prefix = str(tmp_path / "profile")
    model = one_node("MatMul", [(TensorProto.FLOAT, [ROWS, DEPTH]), (TensorProto.FLOAT, [DEPTH, COLUMNS])])
    session = daybreak.session(model, session_options_=so)
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((ROWS, DEPTH), (DEPTH, COLUMNS)))
    wanted = ["gemm_tile", "gemm:gemm_each", "attention:gemm_each", "nothing,gemm_columns,gemm_slices"]
    for variants in wanted:
        options = ort.RunOptions()
        options.add_run_config_entry("variants", variants)
        (y,) = session.run(None, {"x0": x, "x1": w}, options)
        np.testing.assert_allclose(y, x @ w, rtol=1e-4, atol=1e-4)
    events = [e["args"] for e in json_of(session.end_profiling()) if "kernel" in e.get("args", {})]
    assert [e["kernel"] for e in events[:2]] == ["gemm_tile", "gemm_each"]
    assert events[3]["variant"] == "gemm_columns,gemm_slices"
    assert {e["problem"] for e in events} == {f"gemm {PROBLEM}"}


def json_of(path: str) -> list[dict]:
    events: list[dict] = json.loads(Path(path).read_text())
    return events


def test_a_layer_poses_the_problems_of_a_model(daybreak: Daybreak) -> None:
    sizes = Sizes("tiny", 64, 128, 4, 2, 16, 96)
    data = layer(sizes, np.float32, 16)
    plans = _survey(_decoder("tiny", data, IDS, [16]), Settings(), print)
    assert [p.phase for p in plans] == ["prefill 16", "decode at 16"]
    shown = "\n".join(plans[1].applied[""])
    assert "nbits_fused f32 m=1 n=64 n1=32 n2=32 k=64 bits=4 block=32 gated=0 norm=1" in shown
    assert "nbits_fused f32 m=1 n=128 n1=128 n2=0 k=64 bits=4 block=32 gated=1 norm=1" in shown
    assert "nbits f32 m=1 n=64 k=128 bits=4 block=32" in shown
    assert "attention f32 rows=1 group=2 kv=2 keys=16 head=16 v_head=16 kv_bits=0" in shown
    assert plans[0].applied[""].keys() != plans[1].applied[""].keys()


def test_a_folder_must_be_a_model(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no genai_config"):
        of_folder(tmp_path, [16])


def test_winners_run_other_code_and_gain_more_than_the_margin() -> None:
    def times(code: str, *values: float) -> dict[str, list[_Sample]]:
        return {"p": [_Sample(v, (code,), "") for v in values]}

    default = times("a", 100, 101, 300)
    for others, winner in [
        ({"same": times("a", 50, 50, 50)}, {}),
        ({"close": times("b", 98, 99, 99)}, {}),
        ({"fast": times("b", 90, 91, 500)}, {"p": "fast"}),
        ({"fast": times("b", 90, 91, 92), "faster": times("c", 80, 80, 95)}, {"p": "faster"}),
        ({"absent": {}}, {}),
    ]:
        assert _winners({"": default, **others}, 0.03) == winner


def test_variants_are_confirmed_for_the_problem_that_they_won() -> None:
    def times(code: str, p: float, q: float) -> dict[str, list[_Sample]]:
        return {name: [_Sample(v, (code,), "")] for name, v in (("p", p), ("q", q))}

    measured = {"": times("a", 100, 100), "x": times("b", 50, 150), "y": times("c", 40, 40)}
    assert _confirmed("p", "x", measured, 0.03) == "x"
    assert _confirmed("q", "x", measured, 0.03) == "", "slower this time, whatever it gains elsewhere"
    assert _confirmed("q", "", measured, 0.03) == "", (
        "what did not win the first time does not win the second"
    )
    assert _confirmed("q", "failed", measured, 0.03) == ""


def test_outputs_agree_to_a_share_of_the_largest() -> None:
    reference = np.array([1.0, -100.0, np.inf], np.float16)
    assert _agree(np.array([3.0, -99.0, np.inf], np.float16), reference)
    assert not _agree(np.array([9.0, -99.0, np.inf], np.float16), reference)
    assert not _agree(np.array([1.0, np.nan, np.inf], np.float16), reference)
    assert not _agree(np.array([1.0, -100.0, 5.0], np.float16), reference)
    assert not _agree(np.array([1, 2]), np.array([1, 3]))


def test_the_file_of_a_session_is_read() -> None:
    state = parse(
        "try\ta\tx,y\ntry\ta\tz\ntry\tb\tw\nproblem\ta f32 m=1\tw\nkept\na f32 m=1\tx\t3 us\nbroken\n\tx\n"
    )
    assert state.choices == {"a": ["x,y", "z"], "b": ["w"]}
    assert state.problems == {"a f32 m=1": "w"}
    assert _choices(state, gpu=True) == ["x,y", "z"]
    assert _choices(state, gpu=False) == ["a:x,y", "a:z"]
    assert {p: (k.variants, k.note) for p, k in state.kept.items()} == {"a f32 m=1": ("x", "3 us")}
