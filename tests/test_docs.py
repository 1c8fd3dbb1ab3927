"""What the pages promise can be typed: every relative link leads somewhere, every command and flag is known."""

import functools
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted(p for p in ROOT.rglob("*.md") if not {".venv", "build", "runs"} & set(p.relative_to(ROOT).parts))
# What a command of a page is, and how its help is asked for here.
PROGRAMS = {
    r"python train\.py": ["train.py"],
    r"python -m export": ["-m", "export"],
    r"python -m keras_resnet\.evaluation": ["-m", "keras_resnet.evaluation"],
    r"keras-resnet (\w+)": [str(pathlib.Path(sys.executable).with_name("keras-resnet"))],
    r"python -m device (\w+)": ["-m", "keras_resnet.device"],
    r"python -m (benchmarks\.\w+)": ["-m"],
}
WITHOUT_FLAGS = ("models",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{page}: {target} is not there"
        if anchor:
            heads = re.findall(r"(?m)^#+ (.+)$", found.read_text(encoding="utf-8"))
            assert anchor in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads], target


@functools.cache
def help_of(*command):
    start = [] if command[0].startswith("/") else [sys.executable]
    result = subprocess.run([*start, *command, "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.returncode in (0, 1), result.stderr  # absl's ends with 1
    assert "Traceback" not in result.stderr, result.stderr
    return result.stdout + result.stderr


def typed(text):
    """Lines of a page's code, and what its prose and tables have in backticks with a flag."""
    code = r"(?ms)^ *```\n(.*?)^ *```"
    for block in re.findall(code, text):
        yield from (line.partition("  #")[0] for line in block.replace("\\\n", " ").splitlines())
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(code, "", text)) if "--" in span)


def commands(text):
    """(program and its command, flags) of all that calls one of ours, variables set before it or not."""
    for line in typed(text):
        for pattern, how in PROGRAMS.items():
            if called := re.match(rf"\s*(?:\w+=\S* )*{pattern}", line):
                yield (*how, *called.groups()), re.findall(r"--(\w+)", line)


def test_commands_and_their_flags_are_known():
    seen = set()
    for page in PAGES:
        for command, flags in commands(page.read_text(encoding="utf-8")):
            if command[-1] in WITHOUT_FLAGS:
                continue
            text = help_of(*command)
            seen.add(command)
            for flag in flags:
                assert re.search(rf"--(\[no\])?{flag}\b", text), f"{page.name}: {' '.join(command)} knows no --{flag}"
    named = {command[-1] for command in seen}
    assert {"train.py", "export", "predict", "serve", "verify", "benchmark"} <= named


def test_every_flag_is_on_a_page():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page.name != "CHANGELOG.md")
    program = PROGRAMS[r"keras-resnet (\w+)"]
    named = ("check", "compare", "evaluate", "predict", "serve", "verify", "benchmark")
    for command in (["train.py"], ["-m", "export"], *([*program, name] for name in named)):
        flags = re.findall(r"(?m)^ +--(?:\[no\])?(\w+)", help_of(*command))
        assert flags, command
        for flag in {*flags} - {"extends", "help"}:  # a larger --epochs sets the first by itself
            assert re.search(rf"--{flag}\b", text), f"{' '.join(command)} --{flag} is on no page"


@pytest.mark.parametrize(
    "text",
    [
        "```\npython train.py \\\n  --depth=8  # --no\n```",
        "```\nA=1 B= python train.py --depth=8\n```",
        "with `python train.py\n--depth=8`, or `python train.py`",
        "| a | `A=1 python train.py --depth=8` | --no |",
    ],
)
def test_commands_are_seen_wherever_they_stand(text):
    assert list(commands(text)) == [(("train.py",), ["depth"])]


def test_the_house_names_what_is_there():
    rows = re.findall(r"(?m)^\|.*", (ROOT / "docs" / "house.md").read_text(encoding="utf-8"))
    paths = set(re.findall(r"`([\w./]+(?:/|\.py)[\w.]*)`", "\n".join(rows)))
    assert len(paths) > 30
    assert not [path for path in paths if not (ROOT / path).exists() and not (ROOT / "keras_resnet" / path).exists()]


def test_make_targets_are_there():
    targets = re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text())
    for page in PAGES:
        for block in re.findall(r"(?ms)^```\n(.*?)^```", page.read_text(encoding="utf-8")):
            for asked in re.findall(r"(?m)^make ([\w -]+?)(?: *#.*)?$", block):
                assert set(asked.split()) <= set(targets), f"{page.name}: make {asked}"


def test_the_readmes_python_answers():
    (code,) = re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("3 ") and len(code.splitlines()) <= 10
