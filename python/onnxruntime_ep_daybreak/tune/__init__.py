"""Finds the fastest kernels for the problems that models pose on a device, and keeps them for later sessions."""

from __future__ import annotations

from .measure import Outcome, Settings, tune
from .store import Kept, load, store
from .workloads import Workload, known, of_folder, of_model

__all__ = [
    "Kept",
    "Outcome",
    "Settings",
    "Workload",
    "known",
    "load",
    "of_folder",
    "of_model",
    "store",
    "tune",
]
