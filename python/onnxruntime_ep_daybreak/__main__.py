"""`python -m onnxruntime_ep_daybreak` is the `daybreak` command."""

from .cli import app

if __name__ == "__main__":
    app()
