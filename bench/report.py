"""Writes docs/performance.md and its plot from the files in bench/results.

usage: python bench/report.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
STREAM_GB_S = 3030  # streaming read of an H100 through Dawn
NAMES = {"smol135": "135M (30 layers)", "llama1b": "1B (16 layers)", "phi4mini": "3.8B (32 layers)"}

HEAD = """# Performance

Made by `python bench/report.py` from `bench/results/`. Figures are medians of one run on one machine; ratios compare
runs of the same call. "Peer" is `onnxruntime-ep-webgpu` 0.4.0, the official plugin.

Run it yourself: `python bench/llm.py LIBRARY --size 1b [--capture]` (any WebGPU plugin), `build/matmul_bench` and
`build/attention_bench` (kernels), `daybreak bench MODEL` (your own model).
"""

LIMITS = """## What limits it, and where others are ahead

- **Decode with capture** is bound by the GPU: a dispatch that waits for the one before costs about 3 µs, and what it
  reads first another. So a product of 9.4 MB takes 7.9 µs where merely reading as much takes 7.2, and products behind
  a layer's attention are one dispatch, whose parts wait for single words: 10.6 instead of 17.5 µs a layer of the 135M
  model, 22.3 instead of 24.9 of the 1B one, 29.9 instead of 33.3 of the 3.8B one (in a laboratory). Products with a
  norm in front became 4 to 6 % slower with the order of weights that others gain from. llama.cpp's Vulkan backend
  reaches 675 tokens/s on the 1B model and 322 on the 3.8B one.
- **Decode without capture** is bound by the CPU for small models. Dawn and the driver take 6 to 9 µs a dispatch on that
  host (Dawn's encoding 2.0 to 3.4, its submit 1.4, the driver 2.7); they run on a thread of their own beside planning,
  which takes 5.5 to 7 µs a node and far less for one that repeats what it did in the run before. Of 1.78 ms a token of
  the 1B model, 0.22 went into making and binding inputs in Python, 0.14 passed before the GPU had its first commands,
  and 0.13 went into reading the logits, now 0.035. Hosts of the same kind, and minutes on one host, differ by a third.
- **Submits** cost the CPU 20 µs each, and the GPU a pause of about 30: replays of the 1B model take 1.13 ms a token in
  three submits and 1.23 in six. One long wait for the GPU would end 0.2 to 0.3 ms late; waits of 0.2 ms at a time are
  as exact as asking all the time.
- **Prefill**: products of many tiles run at 300 to 320 TFLOP/s in f16, with 4 and with 8 bits; without loads and
  staging the same tiles reach 450 to 500. The driver ends loads at barriers and gives the workgroups of a core 48 KiB
  of workgroup memory, so that neither deeper prefetching nor two stages gain. Those of 512 rows and 2,048 columns have
  too few tiles, and reach 132.
- **Few rows**: 8 rows take 1.7 (8192x2048) to 2.3 times (2048x8192) as long as one: 13.4 and 18.5 µs, 22.9 and 31
  before weights were packed.
- **First run without any cache**: 0.53 s for the prompt of the 1B model, 0.005 s for the first token; 1.06 and 0.45 s
  before the kernels compiled from the start of session creation, side by side. The first prompt waits for one
  kernel: attention on matrix units takes the driver 0.9 to 1.1 s, beside others or alone, and all others are done in
  half of that. With the cache 0.03 s. The software device compiles kernels when it first dispatches them, so there it
  is as slow as before.
- **Clock**: an H100 that is not kept busy drops to 0.8 GHz. `matmul_bench` replays for 0.4 s first; decode figures
  include what the clock does between tokens.
"""


def load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return data


def source(data: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in data["versions"].items())
    notes = "".join(f" Note: {note}." for note in data.get("notes", []))
    return f"{data['machine']}, {data['date']}; {versions}. `{data['command']}`{notes}\n"


def language_models(data: dict[str, Any]) -> str:
    rows = {(r["model"], r["ep"], r["capture"]): r for r in data["results"]}
    lines = ["| model | | Daybreak | peer | ratio |", "|---|---|---|---|---|"]
    for model, name in NAMES.items():
        for what, key, capture in [
            ("prefill, 512 tokens", "prefill_tok_s", False),
            ("decode", "decode_tok_s", False),
            ("decode, graph capture", "decode_tok_s", True),
        ]:
            ours, peer = rows[model, "daybreak", capture][key], rows[model, "peer", capture][key]
            lines.append(f"| {name} | {what} | {ours:,.0f} | {peer:,.0f} | {ours / peer:.2f} |")
    masked = rows.get(("llama1b_d0", "daybreak", True))
    text = "\n".join(lines) + "\n"
    if masked:
        speed = masked["decode_tok_s"]
        text += (
            f"\nWith an `attention_mask` input, the 1B model decodes at {speed:.0f} tokens/s in capture.\n"
        )
    return text


def packed_weights(data: dict[str, Any]) -> str:
    """Models before and after weights are packed, and products of many rows with packed weights."""
    lines = ["| model | weights | | prefill | decode, median | decode, best |", "|---|---|---|---|---|---|"]
    for r in data["models"]:
        prefill = f"{r['prefill_tok_s']:,}" if r["prefill_tok_s"] else "-"
        what = "capture" if r["capture"] else ""
        speeds = f"{r['decode_tok_s']:.0f} | {r['decode_best']:.0f}"
        lines.append(f"| {NAMES[r['model']]} | {r['state']} | {what} | {prefill} | {speeds} |")
    lines += ["", "| | rows | N | K | weights | time | rate |", "|---|---|---|---|---|---|---|"]
    for r in data["products"]:
        weights = "f16" if r["bits"] == 16 else f"{r['bits']} bits, block 32"
        weights += ", zero points" if r.get("zero_points") else ""
        columns = r["n"] * (2 if r["op"] == "MatMulNBitsMlp" else 1)
        rate = 2e-6 * r["m"] * columns * r["k"] / r["us"]
        shape = f"{r['m']} | {columns} | {r['k']}"
        lines.append(f"| {r['op']} | {shape} | {weights} | {r['us']:.1f} µs | {rate:.0f} TFLOP/s |")
    return "\n".join(lines) + "\n"


def products(data: dict[str, Any]) -> str:
    lines = ["| | rows | N | K | weights | time | rate | of the limit |", "|---|---|---|---|---|---|---|---|"]
    for r in data["results"]:
        m, n, k, bits = r["m"], r["n"], r["k"], r["bits"]
        weights = "f16" if bits == 16 else f"{bits} bits, block {r['block']}"
        if r["op"] == "MatMulNBitsQkv":  # N is that of the queries
            lines.append(f"| {r['op']} | {m} | {n} | {k} | {weights} | {r['us']:.1f} µs | - | - |")
            continue
        n *= 2 if r["op"] == "MatMulNBitsMlp" else 1
        if m > 8:
            rate, share = f"{2e-6 * m * n * k / r['us']:.0f} TFLOP/s", "-"
        else:
            count = n * k
            size = 2 * count if bits == 16 else count * bits / 8 + 2 * count / r["block"]
            speed = size / r["us"] / 1e3
            rate, share = f"{speed:,.0f} GB/s", f"{100 * speed / STREAM_GB_S:.0f} %"
        lines.append(f"| {r['op']} | {m} | {n} | {k} | {weights} | {r['us']:.1f} µs | {rate} | {share} |")
    return "\n".join(lines) + "\n"


def attention(data: dict[str, Any]) -> str:
    lines = [
        "| shape | dispatches, each timed alone | in a chain | cold | reading the cache | rate |",
        "|---|---|---|---|---|---|",
    ]
    for r in data["results"]:
        if "cache, " in r["shape"]:
            continue
        parts = ", ".join(f"{name.removeprefix('attention_')} {us:.1f} µs" for name, us in r["us"].items())
        decode = "decode" in r["shape"]
        cold, floor = (f"{r[key]:.1f} µs" if decode and key in r else "-" for key in ("us_cold", "floor_us"))
        rate = f"{r['tflops']:.0f} TFLOP/s" if not decode and "tflops" in r else "-"
        lines.append(f"| {r['shape']} | {parts} | {r['us_in_a_chain']:.1f} µs | {cold} | {floor} | {rate} |")
    return "\n".join(lines) + "\n"


def packed_caches(found: list[dict[str, Any]]) -> str:
    rows = {r["shape"]: r for data in found for r in data["results"]}
    lines = ["| 32 heads, 8 of keys, of 64 elements | f16 | 8 bits | 4 bits |", "|---|---|---|---|"]
    for case in ("decode 512", "decode 4096", "decode 8000", "prefill 512", "prefill 2048"):
        key = "us_cold" if case.startswith("decode") else "us_in_a_chain"
        plain = rows.get(f"f16 cache, {case}") or rows[f"llama1b {case}"]
        times = [plain[key]] + [rows[f"{bits}-bit cache, {case}"][key] for bits in (8, 4)]
        lines.append(f"| {case} | " + " | ".join(f"{us:.1f} µs" for us in times) + " |")
    return "\n".join(lines) + "\n"


def paged(found: list[dict[str, Any]]) -> str:
    lines = [
        "| sequences x new+past tokens | PagedAttention | keys and values | products | GroupQueryAttention |",
        "|---|---|---|---|---|",
    ]
    for r in (r for data in found for r in data["results"]):
        other = f"{r['gqa_ms']:.3f} ms" if "gqa_ms" in r else "-"
        lines.append(
            f"| {r['batch']} | {r['ms']:.3f} ms | {r['gb_s']:,.0f} GB/s | {r['tflop_s']:.0f} TFLOP/s | {other} |"
        )
    return "\n".join(lines) + "\n"


def experts(data: dict[str, Any]) -> str:
    rows = {(r["tokens"], r["ep"]): r for r in data["results"]}
    lines = [
        "| tokens | Daybreak | peer | ratio | largest difference, Daybreak and peer |",
        "|---|---|---|---|---|",
    ]
    for tokens in sorted({r["tokens"] for r in data["results"]}):
        ours, peer = rows[tokens, "daybreak"], rows[tokens, "peer"]
        lines.append(
            f"| {tokens} | {ours['ms']:.2f} ms | {peer['ms']:.2f} ms | {peer['ms'] / ours['ms']:.1f} "
            f"| {ours['difference']:.4f}, {peer['difference']:.4f} |"
        )
    return "\n".join(lines) + "\n"


def software(data: dict[str, Any]) -> str:
    lines = ["| runs on | prefill | decode |", "|---|---|---|"]
    for r in data["results"]:
        lines.append(f"| {r['ep']} | {r['prefill_tokens_per_s']:.1f} | {r['decode_tokens_per_s']:.1f} |")
    load = f"{data['load_before']} to {data['load_after']}"
    return (
        "\n".join(lines)
        + f"\n\nThe load average was {load}. Above the number of cores, other programs took a "
        "share of them, and the figures are lower bounds that do not compare with each other.\n"
    )


def named(kind: str) -> list[dict[str, Any]]:
    """The results of a kind: every file whose name has `kind` in it."""
    return [load(path.name) for path in sorted(RESULTS.glob(f"*-{kind}*.json"))]


def sources(found: list[dict[str, Any]]) -> str:
    lines = []
    for data in found:
        load = f" Load average {data['load_average']}." if "load_average" in data else ""
        lines.append(f"- {source(data).strip()}{load}")
    return "\n".join(lines) + "\n"


def where(data: dict[str, Any]) -> str:
    plugin = "Daybreak" if "daybreak" in data["library"] else "peer"
    return f"{data['machine'].split(', ', 1)[1]} | {data['model']} | {plugin}"


def loading(found: list[dict[str, Any]]) -> str:
    lines = [
        "| device | model | | load | rate | host memory | mapped file | GPU memory | weights and cache |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for data in found:
        m = data["median"]
        host = (m["anonymous_peak_bytes"] - m["anonymous_before_bytes"]) / 2**20
        needed = (m["file_bytes"] + m["cache_bytes"]) / 2**20
        gpu = m["gpu_bytes"] / 2**20
        lines.append(
            f"| {where(data)} | {m['load_s']:.2f} s | {m['gb_s']:.2f} GB/s | +{host:.0f} MiB | "
            f"{m['mapped_peak_bytes'] / 2**20:,.0f} MiB | {gpu:,.0f} MiB | {needed:,.0f} MiB |"
        )
    return (
        "\n".join(lines)
        + "\n\nHost memory is the peak of anonymous memory above what the process had before; "
        "GPU memory is what is in use after a prompt and a token. A software device keeps GPU memory in RAM: "
        "its rate is bounded by how fast the machine hands out pages.\n"
    )


def first_runs(found: list[dict[str, Any]]) -> str:
    phases = ("session", "first", "second", "first_token", "second_token")
    lines = ["| device | model | | caches | session | first run | second | first token | second |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for data in found:
        for state, m in data["median"].items():
            times = " | ".join(f"{m[p]:.3f} s" if p in m else "-" for p in phases)
            lines.append(f"| {where(data)} | {state} | {times} |")
    return "\n".join(lines) + "\n"


def plot(data: dict[str, Any]) -> str:
    """Bars of decode speed with capture, Daybreak beside the peer, legible on light and dark pages."""
    rows = {(r["model"], r["ep"]): r["decode_tok_s"] for r in data["results"] if r["capture"]}
    top = max(rows[model, ep] for model in NAMES for ep in ("daybreak", "peer"))
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 200" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#444}@media(prefers-color-scheme:dark){text{fill:#ccc}}</style>",
        '<text x="8" y="18">Decode with graph capture, tokens/s (H100)</text>',
    ]
    y = 34
    for model, name in NAMES.items():
        parts.append(f'<text x="8" y="{y + 22}">{name}</text>')
        for ep, colour in (("daybreak", "#d9822b"), ("peer", "#7a8fa6")):
            width = 360 * rows[model, ep] / top
            label = "Daybreak" if ep == "daybreak" else "peer"
            parts.append(f'<rect x="140" y="{y}" width="{width:.0f}" height="18" fill="{colour}"/>')
            parts.append(f'<text x="{146 + width:.0f}" y="{y + 14}">{label} {rows[model, ep]:.0f}</text>')
            y += 22
        y += 10
    return "\n".join([*parts, "</svg>"]) + "\n"


def section(
    title: str, found: list[dict[str, Any]], table: Callable[[list[dict[str, Any]]], str]
) -> list[str]:
    return [title, sources(found), table(found)] if found else []


def main() -> None:
    llm, matmul, packed_order = load("h100-llm.json"), load("h100-matmul.json"), load("h100-packed.json")
    heads, pages = load("h100-attention.json"), named("paged")
    packed = [heads] if any("cache, " in r["shape"] for r in heads["results"]) else []
    moe, lavapipe = load("h100-moe.json"), load("lavapipe-smollm2.json")
    (ROOT / "docs" / "decode.svg").write_text(plot(llm))
    sections = [
        HEAD,
        "## Language models, tokens/s\n",
        source(llm),
        language_models(llm),
        "![Decode speed](decode.svg)\n",
        "## Packed weights, and a layer's products in one dispatch, tokens/s\n",
        source(packed_order),
        packed_weights(packed_order),
        "## Products\n",
        source(matmul),
        f"The limit of few rows is the streaming rate, {STREAM_GB_S:,} GB/s. Launches are included.\n",
        products(matmul),
        "## Attention\n",
        source(heads),
        attention(heads),
        *section("## Attention over quantised caches (`kvCacheQuantizationBits`)\n", packed, packed_caches),
        *section("## PagedAttention (32 heads, 8 of keys, of 128 elements, blocks of 16)\n", pages, paged),
        "## A mixture of experts (QMoE of gpt-oss-20b's sizes, 32 experts, 4 a token, 4 bits)\n",
        source(moe),
        experts(moe),
        "## SmolLM2-135M-Instruct on the software device, tokens/s\n",
        source(lavapipe),
        software(lavapipe),
        *section("## Loading a model\n", named("load"), loading),
        *section("## The first runs of a process\n", named("cold"), first_runs),
        LIMITS,
    ]
    (ROOT / "docs" / "performance.md").write_text("\n".join(sections))


if __name__ == "__main__":
    main()
