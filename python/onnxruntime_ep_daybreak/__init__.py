"""Daybreak, a WebGPU execution provider plugin for ONNX Runtime.

    import onnxruntime_ep_daybreak as daybreak

    daybreak.register()
    session = daybreak.create_session("model.onnx")

The functions of the official package onnxruntime-ep-webgpu (`get_library_path`, `get_ep_name`,
`get_ep_names`) are here under the same names, so that programs which register the library themselves keep
working.
"""

from .errors import DaybreakError
from .library import (
    create_session,
    device_label,
    devices,
    get_ep_name,
    get_ep_names,
    get_library_path,
    is_registered,
    is_software,
    register,
    unregister,
)

__all__ = [
    "DaybreakError",
    "create_session",
    "device_label",
    "devices",
    "get_ep_name",
    "get_ep_names",
    "get_library_path",
    "is_registered",
    "is_software",
    "register",
    "unregister",
]
