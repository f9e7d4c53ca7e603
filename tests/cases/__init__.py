"""The case table: one line is one node with its inputs. Tests, benchmarks and the operator page read it.

A family's cases lie in tests/cases/<family>.py, which is found by scanning:

    from cases import case, const, f16, f32, i64

    for rows, cols in [(1, 1), (7, 4096)]:
        case("Softmax", f16(rows, cols), axis=-1)
    case("Reshape", f32(2, 3), const([3, 2]))                       # const: an initialiser
    case("Clip", f32(5), None, const(f32(value=1.0)))               # None: an optional input that is absent
    case("Cast", f32(3, low=-300, high=300), to=FLOAT16, opset=[6, 13, NEWEST])
    case("MatMulNBits", f16(1, 64), const(u8(8, 2, 16)), const(f16(16)), K=64, N=8, bits=4, block_size=32)

Keywords of `case` are below; every other keyword is an attribute of the node (its name ends in `_` where a
keyword of `case` would hide it).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto as T

FLOAT, FLOAT16, BFLOAT16, DOUBLE = T.FLOAT, T.FLOAT16, T.BFLOAT16, T.DOUBLE
INT8, INT16, INT32, INT64 = T.INT8, T.INT16, T.INT32, T.INT64
UINT8, UINT16, UINT32, UINT64, BOOL = T.UINT8, T.UINT16, T.UINT32, T.UINT64, T.BOOL

NEWEST = 24  # opset of a case that does not name one; a list of opsets makes one case of each

# name: (ONNX type, NumPy type, default range of random values; None is the standard normal distribution)
DTYPES: dict[str, tuple[int, Any, tuple[int, int] | None]] = {
    "f32": (T.FLOAT, np.float32, None),
    "f16": (T.FLOAT16, np.float16, None),
    "bf16": (T.BFLOAT16, ml_dtypes.bfloat16, None),
    "f64": (T.DOUBLE, np.float64, None),
    "i8": (T.INT8, np.int8, (-128, 127)),
    "u8": (T.UINT8, np.uint8, (0, 255)),
    "i16": (T.INT16, np.int16, (-1000, 1000)),
    "u16": (T.UINT16, np.uint16, (0, 1000)),
    "i32": (T.INT32, np.int32, (-100, 100)),
    "u32": (T.UINT32, np.uint32, (0, 100)),
    "i64": (T.INT64, np.int64, (-100, 100)),
    "u64": (T.UINT64, np.uint64, (0, 100)),
    "bool": (T.BOOL, np.bool_, (0, 1)),
    "i4": (T.INT4, ml_dtypes.int4, (-8, 7)),
    "u4": (T.UINT4, ml_dtypes.uint4, (0, 15)),
}

# Default tolerances by the output's type: |got - want| <= tol * |want| + atol (* RMS of want, ACCUMULATES).
TOLERANCES = {"f32": (1e-4, 1e-5), "f16": (2e-3, 1e-3), "bf16": (1.6e-2, 8e-3), "f64": (1e-4, 1e-5)}
# Sums of products: elements cancel, so the absolute part scales with the output's root mean square above 1.
ACCUMULATES = {
    "MatMul", "Gemm", "MatMulNBits", "MatMulNBitsQkv", "MatMulNBitsMlp", "MatMulInteger", "FusedMatMul",
    "Einsum", "Conv", "ConvTranspose", "FusedConv", "ReduceSum", "ReduceSumSquare", "CumSum", "QMoE", "MoE",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Arg:
    """One input: random elements of a type and shape, or exact `value`s."""

    dtype: str
    shape: tuple[int, ...]
    low: float | None = None  # range of random values, both ends included for integers
    high: float | None = None
    outliers: float = 0.0  # magnitude put into about 1 of 50 elements, with random sign
    value: Any = None
    const: bool = False  # an initialiser of the model
    dims: tuple[str | int | None, ...] | None = None  # the declared shape; names are symbolic
    on_cpu: bool = False  # stays in CPU memory when the case binds device memory
    through: Callable[[np.ndarray], np.ndarray] | None = None  # what becomes of the elements; needs `dims`

    def make(self, rng: np.random.Generator) -> np.ndarray:
        x = self._draw(rng)
        return self.through(x) if self.through else x

    def _draw(self, rng: np.random.Generator) -> np.ndarray:
        _, numpy_type, default = DTYPES[self.dtype]
        if self.value is not None:
            return np.asarray(self.value).astype(numpy_type).reshape(self.shape)
        if self.dtype in TOLERANCES:
            if self.low is None and self.high is None:
                x = rng.standard_normal(self.shape)
            else:
                x = rng.uniform(self.low or 0.0, 1.0 if self.high is None else self.high, self.shape)
            if self.outliers:
                x = np.where(rng.random(self.shape) < 0.02, np.sign(x) * self.outliers, x)
        else:
            assert default is not None
            low = default[0] if self.low is None else int(self.low)
            high = default[1] if self.high is None else int(self.high)
            drawn = np.uint64 if numpy_type is np.uint64 else np.int64
            return rng.integers(low, high, self.shape, drawn, endpoint=True).astype(numpy_type)
        return np.asarray(x).astype(numpy_type)

    def __str__(self) -> str:
        if self.value is not None and np.size(self.value) <= 8:
            text = f"{self.dtype}={np.asarray(self.value).tolist()}".replace(" ", "")
        else:
            text = f"{self.dtype}[{','.join(map(str, self.shape))}]"
        if self.outliers:
            text += f"^{self.outliers:g}"
        return ("c:" if self.const else "") + text


def _arg(dtype: str, *shape: int, value: Any = None, **rest: Any) -> Arg:
    """An input: random elements of `shape`, or `value`, which also gives the shape unless there is one."""
    if value is not None and not shape:
        shape = np.shape(value)
    return Arg(dtype, tuple(shape), value=value, **rest)


f32 = functools.partial(_arg, "f32")
f16 = functools.partial(_arg, "f16")
bf16 = functools.partial(_arg, "bf16")
f64 = functools.partial(_arg, "f64")
i8 = functools.partial(_arg, "i8")
u8 = functools.partial(_arg, "u8")
i16 = functools.partial(_arg, "i16")
u16 = functools.partial(_arg, "u16")
i32 = functools.partial(_arg, "i32")
u32 = functools.partial(_arg, "u32")
i64 = functools.partial(_arg, "i64")
u64 = functools.partial(_arg, "u64")
bool_ = functools.partial(_arg, "bool")
i4 = functools.partial(_arg, "i4")  # initialisers only
u4 = functools.partial(_arg, "u4")
BY_NAME: dict[str, Callable[..., Arg]] = {n: functools.partial(_arg, n) for n in DTYPES}


def const(what: Arg | Sequence[Any] | int, dtype: str = "i64") -> Arg:
    """An initialiser: of a random input, or of exact values (`const([2, -1])` is int64)."""
    arg = what if isinstance(what, Arg) else _arg(dtype, value=what)
    return dataclasses.replace(arg, const=True)


def data(value: Any, dtype: str = "i64", **rest: Any) -> Arg:
    """A run-time input with exact values."""
    return _arg(dtype, value=value, **rest)


def on_cpu(arg: Arg) -> Arg:
    """Keeps the input in CPU memory when the case binds device memory (`bind`, `shared`)."""
    return dataclasses.replace(arg, on_cpu=True)


@dataclasses.dataclass
class Case:
    op: str
    args: tuple[Arg | None, ...]
    attrs: dict[str, Any]
    domain: str
    opset: int
    out: tuple[bool, ...]
    tol: float | None
    atol: float | None
    why: str
    ref: Callable[..., Any] | None
    judge: Callable[..., str] | None
    oracle: str
    shared: dict[int, int]
    bind: bool
    declined: str
    perf: bool
    symbolic: bool
    nodes: list[onnx.NodeProto] | None
    options: dict[str, str]
    types: dict[int, str]
    family: str = ""
    id: str = ""

    @property
    def seed(self) -> int:
        return zlib.crc32(self.id.encode())


_CASES: list[Case] = []


def case(
    op: str,
    *args: Arg | None,
    domain: str | None = None,  # by default "com.microsoft" for operators that ONNX lacks
    opset: int | Sequence[int] | None = None,
    out: int | Sequence[int] = 1,  # number of outputs, or a mask: (1, 0, 0, 1) omits two
    tol: float | None = None,  # relative and absolute part; see TOLERANCES
    atol: float | None = None,
    why: str = "",  # required when tol or atol is wider than the default
    ref: Callable[..., Any] | None = None,  # float64 oracle: ref(*inputs, **attributes) -> output(s)
    judge: Callable[..., str]
    | None = None,  # judge(inputs, outputs, **attributes) -> what is wrong; `ref` gives shapes
    oracle: str = "",  # the CPU EP "cpu": in the same types; "f32" (f16, bf16) and "f64": inputs widened
    shared: dict[int, int] | None = None,  # {output: input} that share one device buffer; implies bind
    bind: bool = False,  # inputs and outputs are bound in device memory
    declined: str = "",  # the EP must not take the node, and this is part of its reason
    perf: bool = False,  # also a benchmark
    symbolic: bool = False,  # every dimension of every input is declared as unknown
    nodes: list[onnx.NodeProto] | None = None,  # a graph from x0, x1, ... to y0, y1, ... instead
    options: dict[str, str] | None = None,  # provider options
    types: dict[int, str] | None = None,  # of outputs whose type ONNX Runtime cannot infer: {3: "f16"}
    id: str = "",
    **attrs: Any,
) -> None:
    """Adds one case per opset to the table."""
    frame = inspect.currentframe()
    assert frame and frame.f_back
    family = Path(frame.f_back.f_code.co_filename).stem
    if domain is None:
        domain = (
            "" if onnx.defs.has(op) or op in {"SimplifiedLayerNormalization"} or nodes else "com.microsoft"
        )
    mask = (True,) * out if isinstance(out, int) else tuple(bool(o) for o in out)
    attrs = {name.rstrip("_"): value for name, value in attrs.items()}
    widest = {"f32", "f16", "bf16"} & {a.dtype for a in args if a}
    default_tol = max((TOLERANCES[d][0] for d in widest), default=TOLERANCES["f16"][0])
    default_atol = max((TOLERANCES[d][1] for d in widest), default=TOLERANCES["f16"][1])
    if ((tol or 0) > default_tol or (atol or 0) > default_atol) and not why:
        raise ValueError(
            f"{op}: a tolerance wider than {default_tol:g}, {default_atol:g} needs a reason (why=...)"
        )
    oracle = oracle or ("f32" if widest & {"f16", "bf16"} else "cpu")
    for version in [opset] if opset is None or isinstance(opset, int) else opset:
        one = Case(op, args, attrs, domain, version or NEWEST, mask, tol, atol, why, ref, judge, oracle,
                   shared or {}, bind or bool(shared), declined, perf, symbolic, nodes,
                   options or {}, types or {}, family)  # fmt: skip
        one.id = id or _describe(one, explicit_opset=version is not None)
        _CASES.append(one)


def _describe(c: Case, explicit_opset: bool) -> str:
    parts = [c.op if c.domain in ("", "com.microsoft") else f"{c.domain}.{c.op}"]
    if c.domain == "com.microsoft" and onnx.defs.has(c.op):
        parts[0] = "ms." + c.op
    parts += ["-" if a is None else str(a) for a in c.args]
    for name, value in c.attrs.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(f"{name}={text}".replace(" ", "")[:40])
    if not all(c.out) or len(c.out) > 1:
        parts.append("out=" + "".join(str(int(o)) for o in c.out))
    parts += [f"y{i}:{t}" for i, t in c.types.items()]
    parts += [f"{k}={v}" for k, v in c.options.items()]
    parts += ["shared"] * bool(c.shared) + ["bind"] * (c.bind and not c.shared) + ["symbolic"] * c.symbolic
    parts += ["declined"] * bool(c.declined) + [f"opset{c.opset}"] * explicit_opset
    return " ".join(parts)


@functools.cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every family; ids are unique."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        importlib.import_module(f"{__name__}.{module.name}")
    seen: dict[str, int] = {}
    for c in _CASES:
        seen[c.id] = seen.get(c.id, 0) + 1
        if seen[c.id] > 1:
            c.id += f" #{seen[c.id]}"
    return tuple(_CASES)
