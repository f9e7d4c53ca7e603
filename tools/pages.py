"""Writes docs/operators.md and docs/options.md from what the plugin's sources say.

usage: tools/pages.py [DAYBREAK_PAGES]     the built program, build/release/daybreak_pages by default
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

HEADER = """# Operators

What Daybreak has kernels for, generated from the rows of `src/ops` by `tools/pages.py`. Versions are the operator's
schema versions; an open end means every later version that ONNX Runtime knows. A type constraint that is not named
takes every tensor type (f32, f16, bf16, f64, all integers from 8 bits, bool; i4 and u4 where the schema has them).
Inputs marked "on the CPU" are small values that decide shapes; they are read before the GPU is told. A kernel may
decline a combination of attributes or shapes: `daybreak explain MODEL` says which node, and why.
"""


def read(pages: Path, what: str) -> str:
    return subprocess.run([pages, what], check=True, capture_output=True, text=True).stdout


def versions(row: dict[str, Any]) -> str:
    if row["until"] is None:
        return f"{row['since']}+"
    return f"{row['since']}" if row["since"] == row["until"] else f"{row['since']}-{row['until']}"


def notes(row: dict[str, Any]) -> str:
    parts = []
    if row["host"]:
        parts.append(f"on the CPU: {row['host'].replace(' ', ', ')}")
    if row["host_eager"]:
        parts.append(f"on the CPU unless captured: {row['host_eager'].replace(' ', ', ')}")
    if row["alias"]:
        parts.append("renames only, no copy")
    return "; ".join(parts)


def operators_page(rows: list[dict[str, Any]]) -> str:
    text = [HEADER]
    for domain in sorted({row["domain"] for row in rows}):
        own = sorted(
            (r for r in rows if r["domain"] == domain), key=lambda r: (r["name"], r["since"], r["types"])
        )
        count = len({row["name"] for row in own})
        text.append(f"## {domain or 'ai.onnx'} ({count} operators)\n")
        if domain == "daybreak":
            text.append("No model has these: Daybreak makes them of several nodes (option `enableFusion`).\n")
        text.append("| Operator | Versions | Types | Inputs |\n|---|---|---|---|")
        text += [f"| {r['name']} | {versions(r)} | {r['types'] or 'any'} | {notes(r)} |" for r in own]
        text.append("")
    return "\n".join(text)


def pages(program: Path) -> dict[str, str]:
    """The generated pages by their path below the root."""
    rows = [json.loads(line) for line in read(program, "rows").splitlines()]
    return {"docs/operators.md": operators_page(rows), "docs/options.md": read(program, "options")}


def main() -> None:
    program = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/release/daybreak_pages"
    for path, text in pages(program).items():
        (ROOT / path).write_text(text)


if __name__ == "__main__":
    main()
