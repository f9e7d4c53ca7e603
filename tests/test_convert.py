"""GGUF to ONNX: weights keep their values, and each architecture computes what its file means."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from gguf import GGMLQuantizationType as Q
from helpers import gguf_files
from helpers.architectures import ARCHITECTURES, KINDS, convert_model, empty_cache, relative
from helpers.gguf_files import Model
from helpers.reference import Reference
from onnx import numpy_helper
from onnxruntime_ep_daybreak.convert import ConversionError, convert, quant


def session_of(folder: Path) -> ort.InferenceSession:
    return ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def logits_of(folder: Path, ids: np.ndarray) -> np.ndarray:
    session = session_of(folder)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), **empty_cache(session, len(ids))}
    return np.asarray(session.run(["logits"], feeds)[0])


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "separate"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture(name: str, packed: bool, tmp_path: Path) -> None:
    """Logits of all positions equal those of the numpy model; f32, so that only rounding differs."""
    model = ARCHITECTURES[name]
    folder = convert_model(model, tmp_path, dtype="f32", all_logits=True, packed_qkv=packed)
    ids = np.random.default_rng(1).integers(0, model.shape.vocab, 23)
    assert relative(logits_of(folder, ids[None])[0], Reference(model).logits(ids)) < 1e-5


def test_a_model_has_what_its_reference_ignores(tmp_path: Path) -> None:
    """The comparison above can fail: a window, a factor and a bias each change the logits."""
    ids = np.random.default_rng(1).integers(0, 320, 23)
    for name, plain in [
        ("phi3, window", "phi3"),
        ("llama, rotary factors", "llama, tied"),
        ("llama, biases", "llama, tied"),
    ]:
        other = dataclasses.replace(ARCHITECTURES[plain], output=ARCHITECTURES[name].output)
        a, b = Reference(ARCHITECTURES[name]).logits(ids), Reference(other).logits(ids)
        assert relative(a, b) > 1e-3, name


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", ["f32", "f16"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.name)
def test_quantisation(kind: Q, dtype: str, tied: bool, tmp_path: Path) -> None:
    """Every type runs, as matrix, embedding and head; f16 keeps the relative error of its own rounding."""
    model = Model(matrix=kind, embedding=kind, output=None if tied else kind)
    folder = convert_model(model, tmp_path, dtype=dtype, all_logits=True)
    ids = np.random.default_rng(2).integers(0, model.shape.vocab, 17)
    # An embedding with fractional zero points is re-quantised to 8 bits.
    limit = 2e-2 if dtype == "f16" or kind in (Q.Q4_1, Q.Q4_K) else 1e-5
    assert relative(logits_of(folder, ids[None])[0], Reference(model).logits(ids)) < limit


@pytest.mark.parametrize("kind", [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q8_0, Q.Q4_K, Q.Q6_K], ids=lambda k: k.name)
def test_blocks_keep_their_values(kind: Q) -> None:
    """Bit-exact without a zero point; with one (which is -offset/scale) to the rounding of f32."""
    rng = np.random.default_rng(3)
    data = gguf_files.quantised(rng, 48, 512, kind)
    weight = load(data, kind)
    assert isinstance(weight, quant.Blocks)
    want = gguf.dequantize(data, kind)
    if weight.zeros is None:
        np.testing.assert_array_equal(weight.dequantize(), want)
    else:
        np.testing.assert_allclose(weight.dequantize(), want, rtol=0, atol=3e-7 * np.abs(want).max())


def load(data: np.ndarray, kind: Q) -> quant.Weight:
    columns = data.shape[1] // gguf.GGML_QUANT_SIZES[kind][1] * gguf.GGML_QUANT_SIZES[kind][0]
    tensor = gguf.ReaderTensor("t", kind, np.array([columns, data.shape[0]]), 0, 0, 0, data, None)  # type: ignore[arg-type]
    truth, weight = quant.load(tensor)
    assert truth is weight
    return weight


def test_blocks_without_a_scale() -> None:
    """Q4_1 blocks with d = 0 are constant: m, also where m is negative or zero."""
    for m in (0.75, -0.3125, 0.0):
        raw = np.random.default_rng(4).integers(0, 256, (2, 20), np.uint8)
        raw[:, :4] = np.array([0, m], np.float16).view(np.uint8)
        weight = load(raw, Q.Q4_1)
        np.testing.assert_array_equal(weight.dequantize(), np.full((2, 32), m, np.float32))  # type: ignore[union-attr]


def test_f16_scales_keep_offsets() -> None:
    """Rounding a scale of Q4_K to f16 moves the zero point along, so that only the step is rounded."""
    data = gguf_files.quantised(np.random.default_rng(5), 16, 512, Q.Q4_K)
    weight = load(data, Q.Q4_K)
    assert isinstance(weight, quant.Blocks)
    rounded = weight.rounded(np.float16)
    want = gguf.dequantize(data, Q.Q4_K)
    steps = 15 * np.repeat(weight.scales, 32, axis=1) * 2.0**-11
    assert (np.abs(rounded.dequantize() - want) <= steps + 1e-6 * np.abs(want).max()).all()
    np.testing.assert_array_equal(rounded.scales, rounded.scales.astype(np.float16).astype(np.float32))


def test_error_of_requantised_types_is_reported(tmp_path: Path) -> None:
    source = gguf_files.write(Model(matrix=Q.Q5_K, embedding=Q.Q8_0), tmp_path / "model.gguf")
    report = convert(source, tmp_path / "out", dtype="f32")
    q5 = report.types["Q5_K"]
    assert q5.tensors == q5.requantised == q5.changed == 14
    assert 1e-4 < q5.max_error < 1 / 254 + 1e-6  # half a step of 1/127 of a block's largest value
    assert report.types["Q8_0"].changed == 0
    assert any("re-quantised to 8 bits" in line for line in report.lines())


def test_rotary_rows_are_moved_with_their_blocks(tmp_path: Path) -> None:
    """Quantised Q and K rows of llama files are put in rotary halves without a change of their values."""
    model = Model(matrix=Q.Q4_0)
    folder = convert_model(model, tmp_path, dtype="f32", packed_qkv=False)
    tensors = gguf_files.tensors_of(model)
    want = (
        gguf.dequantize(*tensors["blk.0.attn_q.weight"])
        .reshape(4, 32, 2, 256)
        .swapaxes(1, 2)
        .reshape(256, 256)
    )
    got = initializers(folder)
    base = "/model/layers.0/attn/q_proj/MatMulNBits"
    blocks = quant.Blocks(4, 32, got[base + ".weight"], got[base + ".scales"])
    np.testing.assert_array_equal(blocks.dequantize(), want)


def initializers(folder: Path) -> dict[str, np.ndarray]:
    model = onnx.load(folder / "model.onnx")
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize("kind", [Q.Q8_0, Q.F16], ids=lambda k: k.name)
def test_tied_embeddings_are_stored_once(kind: Q, tmp_path: Path) -> None:
    folder = convert_model(Model(embedding=kind), tmp_path)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    users = [n.op_type for n in model.graph.node if "model.embed_tokens.weight" in n.input]
    assert users == (["GatherBlockQuantized", "MatMulNBits"] if kind == Q.Q8_0 else ["Gather", "Gemm"])


def test_last_position_of_padded_rows(tmp_path: Path) -> None:
    """The short head gives each row's last valid position, in a prefill, a decode step and a second prompt."""
    model = Model()
    gguf_files.write(model, tmp_path / "model.gguf")
    for name, every in (("all", True), ("last", False)):
        convert(tmp_path / "model.gguf", tmp_path / name, dtype="f32", all_logits=every)
    full, short = session_of(tmp_path / "all"), session_of(tmp_path / "last")
    rng = np.random.default_rng(6)
    lengths = np.array([4, 9, 1])
    ids = rng.integers(3, model.shape.vocab, (3, 9))
    mask = (np.arange(9) < lengths[:, None]).astype(np.int64)
    caches = []
    for session in (full, short):
        outputs = session.run(None, {"input_ids": ids, "attention_mask": mask, **empty_cache(session, 3)})
        caches.append(outputs[1:])
        if session is full:
            want = outputs[0][np.arange(3), lengths - 1]
        else:
            assert outputs[0].shape == (3, 1, model.shape.vocab)
            np.testing.assert_array_equal(outputs[0][:, 0], want)
    step = rng.integers(3, model.shape.vocab, (3, 1))
    mask = np.concatenate([mask, np.ones((3, 1), np.int64)], axis=1)
    got = []
    for session, cache in zip((full, short), caches, strict=True):
        names = list(empty_cache(session, 3))
        feeds = {"input_ids": step, "attention_mask": mask, **dict(zip(names, cache, strict=True))}
        got.append(session.run(["logits"], feeds)[0])
    np.testing.assert_array_equal(got[0], got[1])


def test_last_position_with_a_mask_as_long_as_the_cache(tmp_path: Path) -> None:
    """Graph capture gives a mask of the cache's length; the position follows from its ones."""
    folder = convert_model(Model(), tmp_path, dtype="f32")
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    index = "/model/last_position/Max/output_0"
    wanted: set[str] = {index}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            nodes.insert(0, node)
            wanted |= set(node.input)
    constants = [t for t in graph.initializer if t.name in wanted]
    output = onnx.helper.make_tensor_value_info(index, onnx.TensorProto.INT64, None)
    small = onnx.helper.make_graph(nodes, "index", list(graph.input)[:2], [output], constants)
    opsets = [onnx.helper.make_opsetid("", 18)]
    data = onnx.helper.make_model(small, ir_version=9, opset_imports=opsets).SerializeToString()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    mask = np.zeros((1, 64), np.int64)
    mask[0, :40] = 1
    for steps in (40, 7, 1):  # a first prompt, a later one, one token
        (row,) = session.run(None, {"input_ids": np.zeros((1, steps), np.int64), "attention_mask": mask})
        assert row.tolist() == [[-1]]  # counted from the end


def test_genai_config(tmp_path: Path) -> None:
    folder = convert_model(Model("qwen2", qkv_bias=True), tmp_path, context=64)
    config = json.loads((folder / "genai_config.json").read_text())["model"]
    assert config["type"] == "qwen2"
    assert config["context_length"] == 64
    assert config["eos_token_id"] == [2, 0]
    assert initializers(folder)["cos_cache"].shape == (64, 32)
    assert (folder / "chat_template.jinja").read_text() == gguf_files.TEMPLATE


def test_tokenizer(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    folder = convert_model(Model(), tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    text = "hello world 12<|im_end|>"
    encoded = tokenizer.encode(text)
    assert encoded.tokens == ["hello", "Ġwor", "l", "d", "Ġ", "1", "2", "<|im_end|>"]
    assert encoded.ids[-1] == 2
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text


def test_sentencepiece(tmp_path: Path) -> None:
    """Pieces by score, bytes where there is none, and the same tokens from onnxruntime-genai."""
    from onnxruntime_ep_daybreak.generation import LanguageModel
    from tokenizers import Tokenizer

    folder = convert_model(Model(sentencepiece=True), tmp_path, dtype="f32")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoded = tokenizer.encode("hello  world é")
    assert encoded.tokens == ["<s>", "▁hello", "▁", "▁world", "▁", "<0xC3>", "<0xA9>"]
    lm = LanguageModel(folder, "cpu")
    for text in ("hello  world é", " hello\nworld", "12 hello<|end|>", "<s>hello"):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert lm.tokens(text) == (ids if text.startswith("<s>") else [1, *ids])


def refused(model: Model, tmp_path: Path, reason: str, **options: Any) -> None:
    source = gguf_files.write(model, tmp_path / "model.gguf")
    refuse(source, tmp_path, reason, **options)


def refuse(source: Path, tmp_path: Path, reason: str, **options: Any) -> None:
    """The conversion fails with the reason and leaves nothing behind."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConversionError, match=reason):
        convert(source, tmp_path / "out", **options)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"arch": "mamba"}, "architecture 'mamba' is not supported; supported are gemma2"),
        ({"meta": {"expert_count": 8}}, "mixture-of-experts"),
        ({"meta": {"rope.scaling.type": "yarn"}}, "rotary scaling of the kind 'yarn'"),
        ({"meta": {"attention.value_length": 32}}, "values are longer or shorter"),
        ({"meta": {"block_count": None}}, "'llama.block_count' is None"),
        ({"meta": {"block_count": 3}}, "lacks the tensor 'blk.2"),
        ({"meta": {"block_count": 1}}, "tensors that llama models lack: blk.1"),
        ({"meta": {"embedding_length": 512}}, "'token_embd.weight' has the shape"),
        ({"meta": {"attention.head_count_kv": 3}}, "cannot share"),
        ({"extra": {"blk.0.attn_q.scale": np.ones(3, np.float32)}}, "models lack: blk.0.attn_q.scale"),
    ],
    ids=lambda v: str(v)[:40] if isinstance(v, dict) else None,
)
def test_unsupported(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    refused(dataclasses.replace(Model(), **change), tmp_path, reason)


def test_not_finite(tmp_path: Path) -> None:
    model = Model(extra={"rope_freqs.weight": np.full(32, np.nan, np.float32)})
    refused(model, tmp_path, "'rope_freqs.weight' holds values that are not finite")


def test_context_beyond_the_model(tmp_path: Path) -> None:
    refused(Model(), tmp_path, "between 1 and 128 tokens; 129", context=129)


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    source = gguf_files.write(Model(), tmp_path / "model.gguf")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").write_text("x")
    refuse(source, tmp_path, "exists already")
    assert (tmp_path / "out/precious").read_text() == "x"
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(source.read_bytes()[:-1000])
    refuse(broken, tmp_path, "truncated", overwrite=True)
    assert (tmp_path / "out/precious").exists()
    convert(source, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out/precious").exists()


@pytest.mark.parametrize("keep", [0, 3, 10, 23, 24, 60, 200, 3000, 9000, 40_000, -1])
def test_truncated(keep: int, tmp_path: Path) -> None:
    """Wherever a file ends early, in the header, metadata, tensor list or data."""
    whole = gguf_files.write(Model(matrix=Q.Q4_0), tmp_path / "whole.gguf").read_bytes()
    source = tmp_path / "part.gguf"
    source.write_bytes(whole[:keep])
    refuse(source, tmp_path, "truncated|not a GGUF file")


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"PK\x03\x04" + bytes(100), "is not a GGUF file"),
        (struct.pack("<4sIQQ", b"GGUF", 7, 0, 0), "version 7"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "big-endian"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1 << 60, 1), "announces"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 0) + bytes(64), "lacks the metadata 'general.architecture'"),
    ],
)
def test_foreign_files(head: bytes, reason: str, tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(head)
    refuse(source, tmp_path, reason)


def test_damaged_bytes_never_crash(tmp_path: Path) -> None:
    """Random damage to header and metadata is refused with a ConversionError, or does not matter."""
    whole = gguf_files.write(Model(), tmp_path / "whole.gguf").read_bytes()
    rng = np.random.default_rng(8)
    refusals = 0
    for i in range(40):
        data = bytearray(whole)
        for at in rng.integers(8, 12_000, 6):
            data[at] = rng.integers(0, 256)
        source = tmp_path / f"{i}.gguf"
        source.write_bytes(data)
        try:
            convert(source, tmp_path / f"out{i}")
        except ConversionError:
            refusals += 1
            assert not (tmp_path / f"out{i}").exists()
        source.unlink()
    assert refusals > 10
    assert not list(tmp_path.glob(".out*"))
