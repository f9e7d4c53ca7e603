"""Devices, and options that belong to a device and not to a session."""

from __future__ import annotations

from pathlib import Path

from helpers.process import run_python
from helpers.run import Daybreak


def test_metadata(daybreak: Daybreak) -> None:
    metadata = daybreak.device.ep_metadata
    assert daybreak.device.ep_vendor == "Daybreak"
    assert metadata["adapter_index"] == "0"
    assert metadata["name"] and metadata["backend"] and metadata["driver"]
    assert metadata["software"] in ("0", "1")
    assert metadata["webgpu_implementation"] in ("Dawn", "wgpu-native")
    assert Path(metadata["webgpu_library"]).name
    assert int(metadata["max_storage_binding"]) >= 128 << 20
    assert int(metadata["max_workgroup_invocations"]) >= 256


def test_the_first_open_session_decides_for_the_device(library: Path) -> None:
    run = run_python(
        """
        import gc
        ort.set_default_logger_severity(2)
        ort.register_execution_provider_library("WebGPU", LIBRARY)
        x = np.zeros(8, np.float32)

        def step(name, limit):
            print(name, file=sys.stderr, flush=True)
            device = [d for d in ort.get_ep_devices() if d.ep_name == "WebGpuExecutionProvider"][0]
            so = ort.SessionOptions()
            so.log_severity_level = 2
            so.add_provider_for_devices([device], {"gpuMemoryLimit": limit})
            made = ort.InferenceSession(chain(1, 8), so, enable_fallback=0)
            made.run(None, {"x": x})
            return made

        first = step("first", "100000000")
        second = step("second", "200000000")
        del first, second
        gc.collect()
        third = step("third", "300000000")
        """,
        library,
    )
    assert run.returncode == 0, run.stderr
    first, second = run.stderr.index("first\n"), run.stderr.index("second\n")
    third = run.stderr.index("third\n")
    warning = "Option gpuMemoryLimit has no effect"
    assert warning not in run.stderr[first:second]
    assert warning in run.stderr[second:third]
    assert warning not in run.stderr[third:]
