"""The one exception type of the converter."""

from ..errors import DaybreakError


class ConversionError(DaybreakError):
    """A GGUF file cannot be converted; the message says why."""
