"""Profiles of models: record a run, attribute its time, and show it as tables, a trace and a page."""

from __future__ import annotations

from .events import Kernel, Profile, Run, read
from .record import Recording, record_folder, record_model

__all__ = ["Kernel", "Profile", "Recording", "Run", "read", "record_folder", "record_model"]
