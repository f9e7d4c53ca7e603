"""The rules that keep the code easy to live in: who sees what, how long things get, what no file names."""

import re
import subprocess
from pathlib import Path

import lizard
import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LIMIT = {".cc": 400, ".h": 250, ".wgsl": 250, ".py": 400, ".sh": 400, ".cmake": 400}
FUNCTION_LIMIT = 60  # lines of code, without blank lines and comments

# What each folder of src may include with quotes (the standard library and the C APIs use angle brackets).
LAYERS = {
    "core": {"core"},
    "gpu": {"core", "gpu"},
    "ops": {"core", "ops"},
    "ep": {"core", "gpu", "ops", "ep"},
}


def tracked(*patterns: str) -> list[Path]:
    """Files of this repository that git tracks or would track, matching any of the patterns."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def show(path: Path) -> str:
    return str(path.relative_to(ROOT))


SOURCES = tracked("src/*.cc", "src/*.h")
SHADERS = tracked("src/ops/*.wgsl")


def test_there_is_something_to_check():
    assert len(SOURCES) > 20
    assert len(SHADERS) > 5


def test_layers_include_only_what_lies_below():
    wrong = []
    for path in SOURCES:
        layer = path.relative_to(ROOT / "src").parts[0]
        for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M):
            if header.split("/")[0] not in LAYERS[layer]:
                wrong.append(f"{show(path)} includes {header}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("header", "layer"),
    [(r"webgpu(/webgpu)?\.h", "gpu"), (r"onnxruntime\w*\.h", "ep")],
)
def test_one_layer_alone_sees_each_api(header: str, layer: str):
    pattern = re.compile(rf'^\s*#\s*include\s+[<"]([^>"]*/)?{header}[>"]', re.M)
    users = {path for path in SOURCES if pattern.search(path.read_text())}
    assert users, f"no file includes {header}: the pattern of this test is out of date"
    outside = sorted(show(path) for path in users if path.relative_to(ROOT / "src").parts[0] != layer)
    assert not outside, f"only src/{layer} may include {header}: {outside}"


def test_shader_text_lives_in_wgsl_files():
    wrong = [show(path) for path in SOURCES if "@compute" in path.read_text()]
    assert not wrong, wrong


def test_every_shader_is_used():
    """An entry shader is named by a string of some .cc, a snippet by an #include of some shader."""
    code = "\n".join(path.read_text() for path in tracked("src/*.cc"))
    text = "\n".join(path.read_text() for path in SHADERS)
    unused = []
    for path in SHADERS:
        name = path.relative_to(ROOT / "src/ops").with_suffix("").as_posix()
        mention = (f'"{name}.wgsl"', text) if name.startswith("lib/") else (f'"{name}"', code)
        if mention[0] not in mention[1]:
            unused.append(show(path))
    assert not unused, unused


def test_file_length():
    over = []
    for path in tracked("src/*", "python/*", "tests/*", "bench/*", "examples/*", "tools/*", "cmake/*"):
        limit = FILE_LIMIT.get(path.suffix)
        lines = len(path.read_text().splitlines()) if limit else 0
        if limit and lines > limit:
            over.append(f"{show(path)}: {lines} lines, limit {limit}")
    assert not over, "\n".join(over)


def test_function_length():
    over = []
    for path in [*SOURCES, *tracked("python/*.py", "tests/*.py", "tests/*.cc", "bench/*.py", "examples/*")]:
        if path.suffix not in (".cc", ".h", ".py"):
            continue
        for function in lizard.analyze_file(str(path)).function_list:
            if function.nloc > FUNCTION_LIMIT:
                over.append(f"{show(path)}:{function.start_line} {function.name}: {function.nloc} lines")
    assert not over, "\n".join(over)


def test_no_machine_path_and_no_registry_address():
    """Nothing that one machine or one mirror happens to have may land in a file."""
    machine = re.compile(r"(?<![\w.~$}/-])/(home|root|mnt|w[o]rk)/\w")
    registry = re.compile(r"\b(pypi|pythonhosted|crates|npmjs|debian|maven)\.(org|io|com)/", re.I)
    wrong = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if machine.search(line) or registry.search(line):
                wrong.append(f"{show(path)}:{number}: {line.strip()[:100]}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_for_later():
    marker = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    places = ("src/*", "python/*", "tests/*", "bench/*", "examples/*", "docs/*", "tools/*", "cmake/*")
    wrong = [
        f"{show(path)}:{number}"
        for path in tracked(*places)
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if marker.search(line)
    ]
    assert not wrong, wrong


def test_variables_in_blocks_have_initialisers():
    # Some implementations zero a variable of an inner block once, not each time the block is entered.
    bare = re.compile(r"^ {4,}var \w+: [^=;]*;")
    wrong = [
        f"{show(path)}:{number}: {line.strip()}"
        for path in SHADERS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if bare.match(line)
    ]
    assert not wrong, "Give these an initialiser, for example array<f32, N>():\n" + "\n".join(wrong)
