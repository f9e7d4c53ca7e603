"""Converts a GGUF model to the folder of an ONNX model that onnxruntime-genai loads."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import ModelProto, helper

from .architecture import read_decoder
from .decoder import DecoderBuilder, Options
from .errors import ConversionError
from .genai import MODEL_FILE, write_genai_config
from .graph import MS, Graph
from .report import Report
from .source import GgufSource
from .store import TensorStore
from .tokenizer import read_vocabulary, write_tokenizer

__all__ = ["ConversionError", "Report", "convert"]

_DTYPES: dict[str, type[np.floating]] = {"f16": np.float16, "f32": np.float32}
_OPSET, _IR_VERSION = 18, 9


def convert(
    model: Path | str,
    out_dir: Path | str,
    *,
    dtype: str = "f16",
    all_logits: bool = False,
    packed_qkv: bool = True,
    context: int | None = None,
    accuracy_level: int = 0,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Converts the GGUF file `model` to the folder `out_dir` and reports what became of the weights.

    dtype is the type of activations and KV cache, f16 or f32 (logits are f32). With `all_logits` the model
    returns the logits of every position instead of the last valid one of each row. `packed_qkv` joins the
    projections of attention where their formats agree. `context` shortens the context length;
    `accuracy_level` is MatMulNBits' attribute (4 lets a provider quantise activations to int8). `progress`
    is called with a tensor's name, the tensors done and their total.

    Raises ConversionError with the reason; then nothing is left behind, and an existing folder is unchanged.
    """
    source_path, target = Path(model), Path(out_dir)
    if dtype not in _DTYPES:
        raise ConversionError(f"the type '{dtype}' is not supported; f16 and f32 are")
    if target.exists() and (not overwrite or not target.is_dir()):
        raise ConversionError(f"{target} exists already")
    source = GgufSource(source_path)
    decoder = read_decoder(source, context)
    vocabulary = read_vocabulary(source)
    if len(vocabulary.tokens) > decoder.vocab:
        raise ConversionError(
            f"{len(vocabulary.tokens)} tokens do not fit an embedding of {decoder.vocab} rows"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as e:
        raise ConversionError(f"cannot write to {target.parent}: {e.strerror}") from e
    try:
        folder.chmod(0o755)
        report = Report()
        store = TensorStore(folder)
        graph = Graph(store, _DTYPES[dtype], accuracy_level)
        options = Options(all_logits=all_logits, packed_qkv=packed_qkv)
        total, done = source.count(), 0

        def advance(name: str) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(name, done, total)

        DecoderBuilder(source, decoder, graph, options, report, advance).build()
        unused = source.unused()
        if unused:
            raise ConversionError(
                f"the file has tensors that {decoder.architecture} models lack: {', '.join(unused[:5])}"
            )
        store.close()
        (folder / MODEL_FILE).write_bytes(_model(graph, decoder.architecture).SerializeToString())
        write_tokenizer(vocabulary, folder)
        write_genai_config(decoder, vocabulary, folder)
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    except OSError as e:
        raise ConversionError(f"cannot write {target}: {e.strerror or e}") from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _model(graph: Graph, name: str) -> ModelProto:
    return helper.make_model(
        helper.make_graph(graph.nodes, name, graph.inputs, graph.outputs, graph.store.initializers),
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(MS, 1)],
        ir_version=_IR_VERSION,
        producer_name="daybreak",
    )
