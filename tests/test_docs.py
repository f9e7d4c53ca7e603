"""The generated pages say what the sources say, and documents point to files that exist."""

import re
import subprocess
import sys
from pathlib import Path

import cases
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import pages  # noqa: E402


@pytest.mark.parametrize("page", ["docs/operators.md", "docs/options.md"])
def test_generated_page(page: str, library: Path) -> None:
    program = library.parent / "daybreak_pages"
    assert program.exists(), f"{program} is not built"
    made = pages.pages(program)[page]
    assert (ROOT / page).read_text() == made, f"{page} is out of date: run 'make docs'"


@pytest.mark.parametrize(
    "document", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")])
)
def test_paths_exist(document: str) -> None:
    """Every path of the repository that a document names is there."""
    text = (ROOT / document).read_text()
    folders = "src|tests|docs|tools|cmake|python|bench|examples"
    named = set(re.findall(rf"(?<![\w./-])((?:{folders})/[\w./-]*\w)", text))
    named = {n for n in named if not re.search(r"/[A-Z]+\b", n)}  # NAME and the like stand for any
    links = set(re.findall(r"\]\((?!https?:|#)([^)#]+)", text))
    missing = [n for n in sorted(named) if not (ROOT / n).exists() and not list(ROOT.glob(n + ".*"))]
    missing += [n for n in sorted(links) if not ((ROOT / document).parent / n).exists()]
    assert not missing, f"{document} names {missing}"


def words_of(path: str) -> set[str]:
    return set(re.findall(r"\w+", (ROOT / path).read_text()))


def test_features_name_what_exists() -> None:
    """Tests, variants and functions that docs/features.md names are in the files that it names beside them."""
    rows = [
        line.split(" | ")
        for line in (ROOT / "docs/features.md").read_text().splitlines()
        if line[:3] == "| #"
    ]
    assert len(rows) > 50
    missing = []
    for row in rows:
        words: set[str] = set()
        for name in re.findall(r"`([^`]+)`", row[2]):
            if name.endswith((".py", ".cc")):
                words = words_of(name if "/" in name else f"tests/unit/{name}")
            elif name.split("[")[0] not in words:
                missing.append(f"{row[0]}: {name}")
        for names, file in re.findall(r"((?:`[^`]+`, )*`[^`]+`) in `(src/[^`]+)`", row[1]):
            missing += [
                f"{row[0]}: {n}" for n in re.findall(r"`(\w+)[^`/]*`", names) if n not in words_of(file)
            ]
    assert not missing, missing


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.S)


def test_the_example_operator_compiles() -> None:
    (code,) = blocks("docs/add-an-op.md", "cpp")
    command = ["c++", "-std=c++20", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-fsyntax-only"]
    command += [f"-I{ROOT / 'src'}", "-x", "c++", "-"]
    result = subprocess.run(command, input=code, capture_output=True, text=True)
    assert result.returncode == 0 and not result.stderr, result.stderr


def test_the_example_cases_run() -> None:
    (code,) = blocks("docs/add-an-op.md", "python")
    before = len(cases._CASES)
    exec(code, {})
    added = cases._CASES[before:]
    del cases._CASES[before:]
    assert [c.op for c in added] == ["Softmax"] * 6
