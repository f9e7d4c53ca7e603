"""`daybreak profile`: its tables, its trace, and its page as headless Chromium shows it."""

from __future__ import annotations

import html
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from helpers import gguf_files
from helpers.gguf_files import Model, Shape
from helpers.run import Daybreak
from helpers.small import chain
from onnxruntime_ep_daybreak.convert import convert
from onnxruntime_ep_daybreak.profile.work import work

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,1500",
    "--virtual-time-budget=5000",
]


def profile(library: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "onnxruntime_ep_daybreak", "profile", *map(str, arguments)]
    paths = {"PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": str(library), "COLUMNS": "160"}
    return subprocess.run(command, env={**os.environ, **paths}, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module", autouse=True)
def _timestamps(daybreak: Daybreak) -> None:
    if daybreak.device.ep_metadata["timestamps"] != "1":
        pytest.skip("the device has no timestamps")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    convert(gguf_files.write(Model(shape=Shape(context=256)), path / "tiny.gguf"), path / "tiny")
    return path / "tiny"


@pytest.fixture(scope="module")
def made(folder: Path, library: Path) -> tuple[str, Path]:
    """The command's output on a model folder, and the name of its files."""
    name = folder.parent / "out" / "tiny"
    done = profile(library, folder, "--prompt-tokens", 12, "--new-tokens", 3, "--output", name)
    assert done.returncode == 0, done.stderr
    return done.stdout, name


def test_tables(made: tuple[str, Path]) -> None:
    text, _ = made
    assert re.search(r"prefill +│ +1 │", text)
    assert re.search(r"decode +│ +3 │", text)
    assert re.search(r"MatMulNBits +│ matmul\w* |MatMul +│ gemm\w*", text)
    assert re.search(r"GroupQueryAttention +│ attention_\w+", text)
    assert "lm_head" in text
    assert re.search(r"[\d.]+% of the wall time of [\d.]+ s is attributed to kernels", text)
    rates = re.search(r"this device: ([\d.]+) GB/s streaming, ([\d.]+) TFLOP/s MatMul f(16|32)", text)
    assert rates and float(rates[1]) > 0 and float(rates[2]) > 0


def test_trace(made: tuple[str, Path]) -> None:
    """The GPU has a process of its own, whose events neither overlap nor miss what they say."""
    events: list[dict[str, Any]] = json.loads(Path(f"{made[1]}.trace.json").read_text())["traceEvents"]
    gpu = next(e["pid"] for e in events if e["ph"] == "M" and e["args"]["name"] == "GPU")
    kernels = [e for e in events if e["ph"] == "X" and e["pid"] == gpu]
    assert kernels and all(e["args"]["shapes"] and e["args"]["grid"] for e in kernels)
    assert all(a["ts"] + a["dur"] <= b["ts"] + 1e-3 for a, b in itertools.pairwise(kernels))
    assert any(e["name"] == "model_run" and e["pid"] != gpu for e in events)


def test_onnx_model(library: Path, tmp_path: Path) -> None:
    (tmp_path / "chain.onnx").write_bytes(chain(2, 1000))
    done = profile(library, tmp_path / "chain.onnx", "-r", 2, "--no-ceilings", "--output", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    assert re.search(r"concat1 +│ Concat +│ +2 │", done.stdout)
    assert "@DATA@" not in (tmp_path / "c.html").read_text()


def test_folder_with_capture(folder: Path, library: Path, tmp_path: Path) -> None:
    """Replays are attributed like first runs."""
    done = profile(
        library, folder, "--prompt-tokens", 5, "--new-tokens", 4, "--no-ceilings", "-o",
        "enableGraphCapture=1", "--output", tmp_path / "c",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.search(r"decode +│ +4 │ +[1-9]\d+ │", done.stdout)


def test_errors(folder: Path, library: Path, tmp_path: Path) -> None:
    for arguments, reason in [
        ((folder, "--prompt-tokens", 300), "do not fit the context of 256"),
        ((tmp_path,), "no genai_config.json"),
        ((tmp_path / "none.onnx",), "does not exist"),
        ((folder, "--dim", "a=1"), "for ONNX models"),
    ]:
        done = profile(library, *arguments, "--output", tmp_path / "x")
        assert done.returncode == 1 and reason in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


def test_work_of_known_dispatches() -> None:
    """Bytes and operations, counted by hand."""
    product = "f16[1,64,576] u8[960,18,16] f16[960,18] f32[960,18] -> f16[1,64,960]"
    moved = 2 * 64 * 576 + 960 * 18 * (16 + 2 + 4) + 2 * 64 * 960
    assert work("MatMulNBits", "matmul_nbits_lane", product) == (moved, 2 * 64 * 576 * 960)
    assert work("Gemm", "gemm_tile", "f32[7,3] f32[7,5] -> f32[3,5]")[1] == 2 * 3 * 5 * 7
    assert work("Neg", "unary", "f32[2,3] -> f32[2,3]") == (48, 6)
    rows = work("Gather", "gather", "f16[1000,4] i64[2] -> f16[2,4]")
    assert rows == (8 * 2 + 2 * 8 + 8 * 2, 8)
    decode = "f16[1,1,64] f16[1,2,128,16] f16[1,2,128,16] i32[1,1] -> f16[1,1,64]"
    assert work("GroupQueryAttention", "attention_decode", decode, 50)[1] == 4 * 64 * 50
    prefill = "f16[1,8,64] f16[1,2,128,16] f16[1,2,128,16] i32[1,1] -> f16[1,8,64]"
    assert work("GroupQueryAttention", "attention_tile", prefill, 8)[1] == 4 * 64 * (8 * 9 / 2)


# --- The page in a browser


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium is not installed")
    return found


def browse(chromium: str, tmp_path: Path, url: str, *arguments: str) -> str:
    command = [chromium, *CHROMIUM, f"--user-data-dir={tmp_path / 'user'}", *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_page_is_whole_and_self_contained(made: tuple[str, Path], chromium: str, tmp_path: Path) -> None:
    page = Path(f"{made[1]}.html")
    assert not re.search(r"(src|href)=|@import|url\(|fetch\(|https?://(?!www\.w3\.org/)", page.read_text())
    dom = browse(chromium, tmp_path, page.as_uri(), "--dump-dom")
    shown = re.sub(r"<script.*?</script>", "", dom, flags=re.S)
    for text in ["Where the time goes", "prefill", "decode", "GroupQueryAttention", "streaming", "MatMul f"]:
        assert text in shown, f"the page does not show {text}"
    assert shown.count("<circle") > 5
    assert shown.count("<tr>") > 20


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_is_drawn(theme: str, made: tuple[str, Path], chromium: str, tmp_path: Path) -> None:
    """The picture has the theme's paper, and the kernels' colours on it."""
    picture = tmp_path / "page.png"
    browse(chromium, tmp_path, f"{Path(f'{made[1]}.html').as_uri()}#{theme}", f"--screenshot={picture}")
    width, pixels = read_png(picture)
    assert width == 1280
    colours = {p: pixels.count(p) for p in set(pixels)}
    paper = {"light": (255, 255, 255), "dark": (20, 24, 29)}[theme]
    assert max(colours, key=lambda c: colours[c]) == paper
    for kernel in [(0x2F, 0x7E, 0xD8), (0xD9, 0x73, 0x0D), (0x2E, 0x9D, 0x5B)]:
        assert colours.get(kernel, 0) > 3, f"nothing is drawn in {kernel}"


ACTIONS = """{
const c = document.getElementById("timeline"), box = c.getBoundingClientRect();
const at = (s) => ({ bubbles: true, cancelable: true, pointerId: 1,
  clientX: box.left + c.clientLeft + xOf(s.start + s.duration / 2),
  clientY: box.top + c.clientTop + 26 + rows.indexOf(s.kind.kernel, 2) * rowHeight + 10 });
const longest = spans.reduce((a, b) => a.duration > b.duration ? a : b);
view(longest.start - 1000, longest.start + 2000);
const whole = to - from;
c.dispatchEvent(new WheelEvent("wheel", { ...at(longest), deltaY: -100 }));
const zoomed = (to - from) / whole;
c.dispatchEvent(new PointerEvent("pointermove", at(longest)));
document.body.append(element("p", { id: "result" }, JSON.stringify({ zoomed, tip: tip.textContent,
  node: longest.node, shapes: longest.kind.shapes, grid: longest.kind.grid })));
}"""


def test_timeline_zooms_and_tells(made: tuple[str, Path], chromium: str, tmp_path: Path) -> None:
    """The wheel zooms in; the pointer on a kernel shows its node, shapes and grid."""
    page = tmp_path / "acted.html"
    text = Path(f"{made[1]}.html").read_text()
    page.write_text(text.replace("</body>", f"<script>{ACTIONS}</script></body>"))
    dom = browse(chromium, tmp_path, page.as_uri(), "--dump-dom")
    found = re.search(r'<p id="result">(.*?)</p>', dom, re.S)
    assert found, "the page's script failed"
    result = json.loads(html.unescape(found[1]))
    assert result["zoomed"] == pytest.approx(0.8)
    for part in (result["node"], result["shapes"], f"grid {result['grid']}", "FLOP/s"):
        assert part in result["tip"], result


def read_png(path: Path) -> tuple[int, list[tuple[int, ...]]]:
    """Width and every seventh pixel of each row of an 8-bit RGB or RGBA picture."""
    data, at, body = path.read_bytes(), 8, b""
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6)
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            body += data[at + 8 : at + 8 + length]
        at += length + 12
    step = 3 if kind == 2 else 4
    raw, previous, pixels = zlib.decompress(body), bytearray(width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        previous = unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + width * step]), previous, step)
        pixels += [tuple(previous[i : i + 3]) for i in range(0, len(previous), step * 7)]
    return width, pixels


def unfilter(kind: int, row: bytearray, above: bytearray, step: int) -> bytearray:
    """One row of a PNG without its filter (PNG specification, section 9)."""
    for i in range(len(row)):
        a = row[i - step] if i >= step else 0
        b, c = above[i], above[i - step] if i >= step else 0
        if kind == 1:
            add = a
        elif kind == 2:
            add = b
        elif kind == 3:
            add = (a + b) // 2
        elif kind == 4:
            p = a + b - c
            add = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        else:
            add = 0
        row[i] = (row[i] + add) & 255
    return row
