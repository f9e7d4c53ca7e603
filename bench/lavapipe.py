"""Speed of a model folder on the software device, beside ONNX Runtime's CPU provider, as JSON.

usage: python bench/lavapipe.py MODEL_DIR [--repeat 3] [--json bench/results/lavapipe-smollm2.json]

Runs `daybreak bench` for each provider in a process of its own. The load average before and after is part of the
result: other programs share the cores that a software device computes on.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CASES = {"daybreak": [], "daybreak, graph capture": ["-o", "enableGraphCapture=1"], "cpu": []}


def measure(model: Path, case: str, prompt: int, new: int, repeat: int) -> dict[str, Any]:
    """One line of results: prefill and decode in tokens/s."""
    command = [str(ROOT / "tools/daybreak"), "bench", str(model), "--json", "--ep", case.split(",")[0]]
    command += ["--prompt-tokens", str(prompt), "--new-tokens", str(new), "-r", str(repeat), *CASES[case]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    facts = json.loads(done.stdout.splitlines()[-1])
    rates = {k: round(facts[k], 2) for k in ("prefill_tokens_per_s", "decode_tokens_per_s")}
    return {"ep": case, "device": facts["device"], **rates}


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), platform.machine()
    )
    return f"{os.cpu_count()} cores of {model}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    import onnxruntime
    import onnxruntime_genai

    before = os.getloadavg()[0]
    rows = [measure(a.model, case, a.prompt_tokens, a.new_tokens, a.repeat) for case in CASES]
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "versions": {
            "onnxruntime": onnxruntime.__version__,
            "onnxruntime-genai": onnxruntime_genai.__version__,
        },
        "command": f"bench/lavapipe.py MODEL --prompt-tokens {a.prompt_tokens} --new-tokens {a.new_tokens} "
        f"--repeat {a.repeat}",
        "load_before": round(before, 1),
        "load_after": round(os.getloadavg()[0], 1),
        "results": rows,
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if a.json:
        a.json.write_text(text)


if __name__ == "__main__":
    main()
