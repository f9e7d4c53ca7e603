"""Finds the plugin library and registers it with ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from .errors import DaybreakError

LIBRARY_NAME = "libonnxruntime_ep_daybreak.so"
LIBRARY_VARIABLE = "DAYBREAK_LIBRARY"
EP_NAME = "WebGpuExecutionProvider"
OWN_EP_NAME = "DaybreakExecutionProvider"
_MINIMUM_ORT = (1, 27)

_registered: set[str] = set()


def get_library_path() -> str:
    """The plugin library: the file that DAYBREAK_LIBRARY names, else the one beside this package (as in the
    wheel), else the newest one below build/ of the source tree.

    Raises DaybreakError with the places that were searched.
    """
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise DaybreakError(f"{LIBRARY_VARIABLE} names {named}, which does not exist")
        return str(Path(named).resolve())
    package = Path(__file__).resolve().parent
    beside = package / LIBRARY_NAME
    if beside.is_file():
        return str(beside)
    build = package.parent.parent / "build"
    built = [*build.glob(LIBRARY_NAME), *build.glob(f"*/{LIBRARY_NAME}")]
    if built:
        return str(max(built, key=lambda p: p.stat().st_mtime))
    raise DaybreakError(
        f"{LIBRARY_NAME} was not found beside {package} nor below {build}; "
        f"build it or let {LIBRARY_VARIABLE} name it"
    )


def get_ep_name() -> str:
    """The name that the execution provider has in sessions, unless it is registered under its own name."""
    return EP_NAME


def get_ep_names() -> list[str]:
    """All names of execution providers in the library; there is one."""
    return [EP_NAME]


def register(name: str = "WebGPU") -> None:
    """Registers the plugin library with ONNX Runtime under `name`; doing so again has no effect.

    The execution provider is called WebGpuExecutionProvider, and ONNX Runtime treats it like its own.
    Registered under the name DaybreakExecutionProvider it takes that name instead, so that the official
    plugin can live in the same process (without ONNX Runtime's fusions for WebGPU, and with the memory
    pattern to be turned off).

    Raises DaybreakError where the library is missing, ONNX Runtime is too old or refuses the library.
    """
    if name in _registered:
        return
    _check_runtime()
    path = get_library_path()
    try:
        ort.register_execution_provider_library(name, path)
    except Exception as e:
        # Another part of the process, such as onnxruntime-genai, may have registered the same file already.
        if not any(_library_of(device) == path for device in ort.get_ep_devices()):
            raise DaybreakError(f"ONNX Runtime cannot register {path}: {' '.join(str(e).split())}") from e
    _registered.add(name)


def unregister(name: str = "WebGPU") -> None:
    """Unregisters the library; sessions that use it have to be gone. A name that is not registered is
    ignored.
    """
    if name in _registered:
        ort.unregister_execution_provider_library(name)
        _registered.discard(name)


def is_registered() -> bool:
    """True where `register` has registered the library under any name."""
    return bool(_registered)


def devices() -> list[ort.OrtEpDevice]:
    """Daybreak's devices, hardware before software; registers the library under the default name if need be.

    Each has `ep_name`, `ep_metadata` (adapter, backend, limits, features) and `device` (vendor, type).
    """
    if not _registered:
        register()
    names = (EP_NAME, OWN_EP_NAME)
    path = get_library_path()
    found = [d for d in ort.get_ep_devices() if d.ep_name in names and _library_of(d) in ("", path)]
    return sorted(found, key=is_software)


def device_at(index: int) -> ort.OrtEpDevice:
    """One of `devices()`. Raises DaybreakError where there is none of that index."""
    found = devices()
    if not 0 <= index < len(found):
        raise DaybreakError(f"there is no device {index}; Daybreak found {len(found)}")
    return found[index]


def is_software(device: ort.OrtEpDevice) -> bool:
    """True for an adapter that computes on the CPU."""
    return device.ep_metadata.get("software", "0").lower() in ("1", "true", "yes")


def device_label(device: ort.OrtEpDevice) -> str:
    """One line that names a device, e.g. "llvmpipe (Vulkan, software)"."""
    data: dict[str, str] = device.ep_metadata
    details = [data["backend"]] if data.get("backend") else []
    if is_software(device):
        details.append("software")
    name = data.get("name") or device.device.vendor or "WebGPU device"
    return f"{name} ({', '.join(details)})" if details else name


def create_session(
    model: str | bytes | os.PathLike[str],
    *,
    device: int = 0,
    options: Mapping[str, str] | None = None,
    session_options: ort.SessionOptions | None = None,
) -> ort.InferenceSession:
    """An InferenceSession on one of `devices()`, by its index, with the provider options `options`.

    Nodes that Daybreak declines run on ONNX Runtime's CPU provider. `session_options` gets the device
    appended.
    """
    session_options = session_options or ort.SessionOptions()
    session_options.add_provider_for_devices([device_at(device)], dict(options or {}))
    # An error of the device or in the options is the caller's to see, not to be retried on the CPU.
    return ort.InferenceSession(model, session_options, enable_fallback=0)


def _library_of(device: ort.OrtEpDevice) -> str:
    path = device.ep_metadata.get("library_path", "")
    return str(Path(path).resolve()) if path else ""


def _check_runtime() -> None:
    version = tuple(int(part) for part in ort.__version__.split(".")[:2])
    if version < _MINIMUM_ORT:
        wanted = ".".join(str(part) for part in _MINIMUM_ORT)
        raise DaybreakError(f"onnxruntime {ort.__version__} is too old; Daybreak needs {wanted} or newer")
