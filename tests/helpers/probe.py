"""Runs one model on the CPU EP and on Daybreak in a process of its own; PYTHONPATH chooses its ONNX Runtime.

usage: probe.py LIBRARY MODEL.onnx FEEDS.npz OPTIMIZED.onnx
Runs with and without Daybreak's own fusions. Prints one JSON object: the version, the EP's name, whether every output
is finite, and the largest error of each output relative to its largest magnitude. OPTIMIZED.onnx receives the graph
that ran without Daybreak's fusions.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime as ort


def session_options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return options


def main(library: str, model: str, feeds_file: str, optimized: str) -> None:
    with np.load(feeds_file) as file:
        feeds = dict(file)
    want = ort.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"]).run(None, feeds)

    ort.register_execution_provider_library("WebGPU", library)
    ep = "WebGpuExecutionProvider"
    device = next(d for d in ort.get_ep_devices() if d.ep_name == ep)
    errors: dict[str, float] = {}
    finite = True
    for fusion in ("0", "1"):
        options = session_options()
        if fusion == "0":  # ONNX Runtime does not write a model with compiled nodes
            options.optimized_model_filepath = optimized
        options.add_provider_for_devices([device], {"enableFusion": fusion})
        session = ort.InferenceSession(model, options)
        names = [output.name for output in session.get_outputs()]
        for name, g, w in zip(names, session.run(names, feeds), want, strict=True):
            assert g.shape == w.shape, (name, g.shape, w.shape)
            difference = np.abs(g.astype(np.float64) - w.astype(np.float64))
            error = float(difference.max() / max(1e-30, np.abs(w.astype(np.float64)).max()))
            errors[name] = max(error, errors.get(name, 0.0))
            finite = finite and bool(np.isfinite(g).all())
        del session
    del device
    ort.unregister_execution_provider_library("WebGPU")
    report = {"version": ort.__version__, "ep": ep, "finite": finite, "errors": errors}
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
