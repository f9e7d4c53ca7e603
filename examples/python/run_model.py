"""Runs an ONNX model on Daybreak, keeping its inputs and outputs on the GPU between runs.

usage: run_model.py MODEL.onnx   (inputs of type float; free dimensions become 1)
"""

from __future__ import annotations

import sys
import time

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_daybreak as daybreak


def main(model: str) -> None:
    daybreak.register()
    found = daybreak.devices()
    if not found:
        sys.exit("no WebGPU device was found")
    for index, device in enumerate(found):
        kind = "software" if daybreak.is_software(device) else "hardware"
        print(f"device {index}: {device.ep_metadata['name']} ({kind})")

    session = daybreak.create_session(model, device=0)
    memory = found[0].memory_info(ort.OrtDeviceMemoryType.DEFAULT)
    binding = session.io_binding()
    rng = np.random.default_rng(0)
    for arg in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in arg.shape]
        values = rng.standard_normal(shape).astype(np.float32)
        binding.bind_cpu_input(arg.name, values)
    for arg in session.get_outputs():
        binding.bind_output(arg.name, "gpu", memory.device_id)

    for run in ("first", "second"):
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        print(f"{run} run: {(time.perf_counter() - start) * 1e3:.2f} ms")
    for arg, value in zip(session.get_outputs(), binding.get_outputs(), strict=True):
        values = value.numpy()  # copies from the GPU
        print(f"{arg.name}: shape {values.shape}, mean {values.mean():.6f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
