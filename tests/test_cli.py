"""The `daybreak` command as a user runs it: a process, its output, its exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import gguf_files
from helpers.gguf_files import Model, Shape
from onnx import TensorProto, helper
from onnxruntime_ep_daybreak.convert import convert

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "onnxruntime_ep_daybreak"]
COMMANDS = ["info", "convert", "generate", "chat", "run", "explain", "bench", "profile", "tune"]
PROVIDERS = ["cpu", "daybreak"]


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    def fails(self, *reasons: str) -> None:
        """One line on stderr says why, the exit code is not 0, and there is no traceback."""
        assert self.code not in (0, -signal.SIGABRT, -signal.SIGSEGV), self.out
        assert "Traceback" not in self.err
        (line,) = [x for x in self.err.splitlines() if x.startswith("error: ")]
        for reason in reasons:
            assert re.search(reason, line), line

    def succeeds(self) -> Result:
        assert self.code == 0, f"{self.out}\n{self.err}"
        return self


Daybreak = Callable[..., Result]


def environment(library: Path, **more: str) -> dict[str, str]:
    paths = {"PYTHONPATH": str(ROOT / "python"), "DAYBREAK_LIBRARY": str(library)}
    return {**os.environ, **paths, "COLUMNS": "200", **more}


@pytest.fixture
def daybreak_command(library: Path) -> Daybreak:
    def call(*arguments: object, **more: str) -> Result:
        command = [*COMMAND, *map(str, arguments)]
        env = environment(library, **more)
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_files.write(Model(shape=Shape(context=4096)), tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def model(gguf: Path) -> Path:
    """A tiny model folder with random weights; f32, so that greedy tokens do not depend on the provider."""
    convert(gguf, gguf.parent / "model", dtype="f32")
    return gguf.parent / "model"


@pytest.fixture(scope="module")
def onnx_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = softmax(a b), and u = the distinct values of n squared, where only the CPU finds the distinct ones."""
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["c"], name="product"),
        helper.make_node("Softmax", ["c"], ["y"], name="softmax", axis=-1),
        helper.make_node("Cast", ["n"], ["f"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Unique", ["f"], ["d"], name="distinct"),
        helper.make_node("Mul", ["d", "d"], ["u"], name="square"),
    ]
    inputs = [
        info("a", TensorProto.FLOAT, ["rows", 8]),
        info("b", TensorProto.FLOAT, [8, 5]),
        info("n", TensorProto.INT64, ["count"]),
    ]
    outputs = [info("y", TensorProto.FLOAT, ["rows", 5]), info("u", TensorProto.FLOAT, ["distinct"])]
    graph = helper.make_graph(nodes, "small", inputs, outputs)
    data = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    ).SerializeToString()
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str, daybreak_command: Daybreak) -> None:
    assert "Usage:" in daybreak_command(name, "--help").succeeds().out


def test_usage_errors(daybreak_command: Daybreak) -> None:
    daybreak_command("fly").fails("No such command 'fly'")
    daybreak_command("generate").fails("Missing argument 'MODEL_DIR'")
    daybreak_command("info", "--colour").fails("--colour")


def test_info(library: Path, daybreak_command: Daybreak) -> None:
    shown = daybreak_command("info").succeeds().out
    assert str(library.resolve()) in shown
    assert "WebGpuExecutionProvider" in shown
    facts = json.loads(daybreak_command("info", "--json").succeeds().out)
    assert facts["devices"][0]["metadata"]["name"]
    assert facts["devices"][0]["metadata"]["software"] in ("0", "1")
    assert facts["WebGPU"].startswith(("Dawn", "wgpu"))


def test_info_of_a_model(tmp_path: Path, daybreak_command: Daybreak) -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [300, 100], np.zeros(30_000, np.float32))
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 300])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 100])
    graph = helper.make_graph([node], "weights", [x], [y], [weight])
    path = tmp_path / "weights.onnx"
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    facts = json.loads(daybreak_command("info", path, "--json").succeeds().out)
    assert 120_000 <= facts["memory"]["weights"] <= 130_000
    assert facts["memory"]["peak"] <= facts["memory"]["reserved"]
    assert "GPU memory of weights.onnx" in daybreak_command("info", path).succeeds().out
    daybreak_command("info", path, "-o", "memoryFile=/no/such/folder/x").succeeds()
    daybreak_command("info", tmp_path / "none.onnx").fails("none.onnx")


def test_missing_libraries(onnx_model: Path, daybreak_command: Daybreak) -> None:
    daybreak_command("info", DAYBREAK_LIBRARY="/nowhere/x.so").fails("/nowhere/x.so, which does not exist")
    daybreak_command("info", DAYBREAK_LIBRARY=str(onnx_model)).fails("cannot register")
    daybreak_command("info", DAYBREAK_WEBGPU_LIBRARY="/nowhere/dawn.so").fails("/nowhere/dawn.so")


def test_convert(gguf: Path, tmp_path: Path, daybreak_command: Daybreak) -> None:
    out = tmp_path / "new" / "model"
    shown = daybreak_command("convert", gguf, out).succeeds()
    assert "F32: 15 tensors, largest error" in shown.err
    assert (out / "genai_config.json").is_file()
    daybreak_command("convert", gguf, out).fails("exists already")
    daybreak_command("convert", gguf, out, "--force", "--dtype", "f32").succeeds()
    daybreak_command("convert", gguf, tmp_path / "x", "--dtype", "f64").fails("--dtype")
    daybreak_command("convert", gguf, tmp_path / "x", "--context", 5000).fails("between 1 and 4096")


def test_convert_leaves_nothing_of_a_broken_file(
    gguf: Path, tmp_path: Path, daybreak_command: Daybreak
) -> None:
    (tmp_path / "part.gguf").write_bytes(gguf.read_bytes()[:-5000])
    daybreak_command("convert", tmp_path / "part.gguf", tmp_path / "out").fails("truncated")
    daybreak_command("convert", tmp_path / "none.gguf", tmp_path / "out").fails("does not exist")
    assert [p.name for p in tmp_path.iterdir()] == ["part.gguf"]


def test_generate_on_both_providers(model: Path, daybreak_command: Daybreak) -> None:
    """The same greedy answer from either, and the speed and the device's name on stderr."""
    shown = {
        ep: daybreak_command("generate", model, "-p", "hello world", "-n", 12, "--ep", ep).succeeds()
        for ep in PROVIDERS
    }
    assert shown["cpu"].out == shown["daybreak"].out
    assert len(shown["cpu"].out) > 12
    for ep, result in shown.items():
        line = result.err.splitlines()[-1]
        assert re.search(r"prefill \d+ tokens, [\d.]+ tokens/s; decode 12 tokens, [\d.]+ tokens/s; ", line)
        assert line.endswith("CPU") == (ep == "cpu")


def test_generate_with_capture(model: Path, daybreak_command: Daybreak) -> None:
    """A model with an attention mask is captured through onnxruntime-genai, and answers the same."""
    command = ["generate", model, "-p", "hello world", "-n", 12]
    plain = daybreak_command(*command).succeeds()
    captured = daybreak_command(*command, "-o", "enableGraphCapture=1").succeeds()
    assert captured.out == plain.out
    assert "cannot be captured" not in captured.err


def test_generate_reads_a_prompt_and_samples_by_seed(
    model: Path, library: Path, daybreak_command: Daybreak
) -> None:
    command = [*COMMAND, "generate", str(model), "--ep", "cpu", "--raw", "-n", "8", "-p"]
    env = environment(library)
    piped = subprocess.run(
        [*command, "-"], input="hello", env=env, capture_output=True, text=True, timeout=60
    )
    given = subprocess.run([*command, "hello"], env=env, capture_output=True, text=True, timeout=60)
    assert piped.returncode == 0
    assert piped.stdout == given.stdout
    sampled = [
        daybreak_command(
            "generate", model, "--ep", "cpu", "-p", "hello", "-n", 8, "--temperature", 3, "--seed", s
        ).out
        for s in (1, 1, 2)
    ]
    assert sampled[0] == sampled[1] != sampled[2]


@pytest.mark.parametrize("ep", PROVIDERS)
def test_prompt_longer_than_the_context(ep: str, model: Path, daybreak_command: Daybreak) -> None:
    result = daybreak_command("generate", model, "--ep", ep, "-p", "1" * 5000)
    result.fails(r"the prompt has 50\d\d tokens; the model's context holds 4096")


def test_generate_errors(model: Path, tmp_path: Path, daybreak_command: Daybreak) -> None:
    daybreak_command("generate", tmp_path, "-p", "x", "--ep", "cpu").fails("no genai_config.json")
    daybreak_command("generate", model, "-p", "", "--raw", "--ep", "cpu").fails("the prompt is empty")
    daybreak_command("generate", model, "-p", "x", "--ep", "tpu").fails("--ep")
    daybreak_command("generate", model, "-p", "x", "--ep", "cpu", "-o", "a=1").fails("for Daybreak only")
    daybreak_command("generate", model, "-p", "x", "-o", "a").fails("KEY=VALUE")
    daybreak_command("generate", model, "-p", "x", "-o", "fastMode=1").fails("fastMode.*enableGraphCapture")
    daybreak_command("generate", model, "-p", "x", "-o", "enableGraphCapture=maybe").fails(
        "enableGraphCapture"
    )
    (tmp_path / "genai_config.json").write_text("{")
    daybreak_command("generate", tmp_path, "-p", "x", "--ep", "cpu").fails("cannot be read")


class Terminal:
    """`daybreak` in a pseudo-terminal."""

    def __init__(self, library: Path, *arguments: object) -> None:
        self.output = ""
        command = [*COMMAND, *map(str, arguments)]
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs in the background may have it ignored
            os.execvpe(command[0], command, environment(library, TERM="dumb"))

    def until(self, pattern: str, seconds: float = 60) -> str:
        """Reads until the output since the last call matches."""
        os.set_blocking(self.fd, False)
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output, re.S)):
            assert time.monotonic() < end, f"no {pattern!r} in {self.output!r}"
            try:
                self.output += os.read(self.fd, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
        text, self.output = self.output[: found.end()], self.output[found.end() :]
        return text

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def close(self) -> int:
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("ep", PROVIDERS)
def test_chat_in_a_terminal(ep: str, model: Path, library: Path) -> None:
    """An answer streams, Ctrl-C stops it and nothing else, the next question is answered, Ctrl-D ends."""
    terminal = Terminal(library, "chat", model, "--ep", ep, "-n", 3500)
    terminal.until("> ")
    terminal.send("hello\n")
    terminal.until("hello\r\n.{20}")
    terminal.send("\x03")
    terminal.until("\n> ")
    terminal.send("\x03")
    terminal.until("/clear starts anew.*> ")
    terminal.send("/clear\n")  # how much of an answer came before Ctrl-C would decide how the next one goes
    terminal.until("> ")
    terminal.send("hello\n")
    terminal.until("hello\r\n.{20}")
    terminal.send("\x03")
    terminal.until("\n> ")
    terminal.send("\x04")
    assert terminal.close() == 0


def test_chat_remembers(model: Path, daybreak_command: Daybreak, library: Path) -> None:
    """The second answer, computed from the rewound cache, equals the one to the whole conversation."""
    command = [*COMMAND, "chat", str(model), "--ep", "cpu", "-n", "6"]
    text = "hello\nworld\n"
    done = subprocess.run(
        command, input=text, env=environment(library), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, second = [line.removeprefix("> ") for line in done.stdout.splitlines()[-3:-1]]
    turns = f"<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n{first}<|im_end|>\n"
    turns += "<|im_start|>user\nworld<|im_end|>\n<|im_start|>assistant\n"
    whole = daybreak_command("generate", model, "--ep", "cpu", "--raw", "-n", 6, "-p", turns).succeeds()
    assert whole.out.rstrip("\n") == second


@pytest.mark.parametrize("ep", PROVIDERS)
def test_run(ep: str, onnx_model: Path, tmp_path: Path, daybreak_command: Daybreak) -> None:
    arguments = ["run", onnx_model, "--ep", ep, "--dim", "rows=7", "--dim", "count=9", "--tolerance", "1e-5"]
    shown = daybreak_command(*arguments, "--save", tmp_path / "out.npz").succeeds().out
    assert re.search(r"y\s+│ float32\s+│ 7x5", shown)
    own = "WebGpu" if ep == "daybreak" else "CPU"
    assert re.search(rf"{own}: \d nodes \(.*MatMul 1", shown)
    assert re.search(r"CPU: \d nodes \(.*Unique 1", shown)
    assert np.load(tmp_path / "out.npz")["y"].sum() == pytest.approx(7, rel=1e-5)


def test_run_with_given_inputs(onnx_model: Path, tmp_path: Path, daybreak_command: Daybreak) -> None:
    a, b = np.ones((2, 8), np.float32), np.zeros((8, 5), np.float32)
    n = np.array([3, 1, 3], np.int64)
    file = tmp_path / "in.npz"
    command = ["run", onnx_model, "--ep", "cpu", "-i", file]
    np.savez(file, a=a, b=b, n=n)
    daybreak_command(*command).succeeds()
    np.savez(file, a=a, b=b)
    daybreak_command(*command).fails("lacks the input 'n'")
    np.savez(file, a=a, b=b, n=n, m=n)
    daybreak_command(*command).fails("no input 'm'")
    np.savez(file, a=a.astype(np.float64), b=b, n=n)
    daybreak_command(*command).fails("'a' is float64")
    file.write_text("no archive")
    daybreak_command(*command).fails("cannot be read")


@pytest.mark.parametrize("ep", PROVIDERS)
def test_input_of_the_wrong_shape(
    ep: str, onnx_model: Path, tmp_path: Path, daybreak_command: Daybreak
) -> None:
    n, a, b = np.ones(1, np.int64), np.ones((2, 8), np.float32), np.ones((7, 5), np.float32)
    np.savez(tmp_path / "in.npz", n=n, a=a, b=b)
    daybreak_command("run", onnx_model, "--ep", ep, "-i", tmp_path / "in.npz").fails("b.*[Gg]ot: 7")


def test_run_errors(onnx_model: Path, tmp_path: Path, daybreak_command: Daybreak) -> None:
    daybreak_command("run", tmp_path / "none.onnx").fails("does not exist")
    daybreak_command("run", onnx_model, "--ep", "cpu", "--dim", "width=3").fails(
        "'width'; there are: count, rows"
    )
    daybreak_command("run", onnx_model, "--ep", "cpu", "--dim", "rows=x").fails("'rows' is 'x'")
    daybreak_command("run", onnx_model, "--device", 99).fails("there is no device 99")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(onnx_model.read_bytes()[:-40])
    daybreak_command("run", broken, "--ep", "cpu").fails("broken.onnx")


def test_run_fails_beyond_the_tolerance(onnx_model: Path, daybreak_command: Daybreak) -> None:
    """The comparison is a real one: GPU and CPU round differently, so a tolerance of 0 does not hold."""
    arguments = ["run", onnx_model, "--dim", "rows=1000", "--dim", "count=2"]
    daybreak_command(*arguments, "--tolerance", 0).fails("the outputs differ by")


def test_explain(onnx_model: Path, daybreak_command: Daybreak) -> None:
    shown = daybreak_command("explain", onnx_model).succeeds().out
    assert re.search(r"CPU\s+│ Unique\s+│ 1\s+│ distinct\s+│ no kernel", shown)
    nodes = [
        json.loads(line)
        for line in daybreak_command("explain", onnx_model, "--json").succeeds().out.splitlines()
    ]
    assert {n["op"]: n["ep"] for n in nodes} == {
        **dict.fromkeys(["MatMul", "Softmax", "Cast", "Mul"], "WebGpuExecutionProvider"),
        "Unique": "CPUExecutionProvider",
    }
    listed = (
        daybreak_command("explain", onnx_model, "--nodes", "-o", "forceCpuNodeNames=softmax").succeeds().out
    )
    assert re.search(r"softmax\s+│ Softmax\s+│ CPU\s+│ .*forceCpuNodeNames", listed)


@pytest.mark.parametrize("ep", PROVIDERS)
def test_bench(ep: str, model: Path, onnx_model: Path, daybreak_command: Daybreak) -> None:
    arguments = ["bench", model, "--ep", ep, "--prompt-tokens", 16, "--new-tokens", 8, "-r", 1, "--json"]
    rows = json.loads(daybreak_command(*arguments).succeeds().out)
    assert rows["prefill_tokens_per_s"] > 0
    assert rows["decode_tokens_per_s"] > 0
    arguments = ["bench", onnx_model, "--ep", ep, "--dim", "rows=4", "--dim", "count=4"]
    shown = daybreak_command(*arguments).succeeds().out
    assert re.search(r"run ms\s+│ [\d.]+", shown)


def test_bench_errors(model: Path, onnx_model: Path, daybreak_command: Daybreak) -> None:
    daybreak_command("bench", model, "--ep", "cpu", "--prompt-tokens", 4096).fails(
        "do not fit the context of 4096"
    )
    daybreak_command("bench", model, "--ep", "cpu", "--dim", "a=1").fails("for ONNX models")
    daybreak_command("bench", model, "--device", 1).fails("runs on the first device")
    daybreak_command("bench", onnx_model.parent / "none", "--ep", "cpu").fails("does not exist")
