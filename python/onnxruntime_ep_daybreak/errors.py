"""The base of every error that the package raises on purpose."""


class DaybreakError(Exception):
    """Something the user can act on; the message is one line."""
