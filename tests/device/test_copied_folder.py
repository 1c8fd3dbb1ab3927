"""`keras_resnet/device/` as a folder: it lists its commands, and needs nothing of what lies around it."""

import ast
import graphlib
import subprocess
import sys

import pytest
from edge import DEVICE, INT8, ROOT, python, run

from keras_resnet.device import commands
from keras_resnet.device.reader import Reader

MODULES = sorted(path.stem for path in DEVICE.glob("*.py"))


def test_only_the_three_libraries_are_loaded(folder, models, pictures):
    result = python(folder, "-X", "importtime", "-m", "device", "predict", models / INT8, pictures / "00.png")
    assert result.returncode == 0, result.stderr
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in result.stderr.splitlines() if "|" in line}
    assert {"ai_edge_litert", "numpy", "PIL", "tqdm"} <= loaded
    assert not loaded & {"tensorflow", "keras", "tf_keras", "keras_resnet", "export", "absl", "matplotlib", "h5py"}
    pinned = {line.split("==")[0] for line in (folder / "device" / "requirements.txt").read_text().split()}
    assert pinned == {"ai-edge-litert", "numpy", "pillow", "tqdm"}


def test_its_commands_are_listed(folder):
    for arguments, status in ((["--help"], 0), (["-h"], 0), ([], 2), (["classify", "model.tflite"], 2), ([""], 2)):
        result = run(folder, *arguments)
        said, silent = (result.stderr, result.stdout) if status else (result.stdout, result.stderr)
        assert result.returncode == status and not silent
        assert "usage: python -m device COMMAND" in said and "Traceback" not in said
        for command in commands.COMMANDS:
            assert f"\n  {command} " in said
    assert "'' is no command" in result.stderr


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_each_command_tells_of_its_flags(folder, command):
    result = run(folder, command, "--help")
    assert result.returncode == 0 and not result.stderr
    assert result.stdout.startswith(f"usage: python -m device {command} [-h]")


def imports(module):
    """Names that a module's file imports: `.name` of this folder (those inside functions aside), and others."""
    tree = ast.parse((DEVICE / f"{module}.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{module} imports of what lies around it"
            if node in tree.body:
                found |= {f".{node.module}"} if node.module else {f".{alias.name}" for alias in node.names}
    return found


def test_nothing_around_it_is_imported():
    for module in MODULES:
        others = {name.partition(".")[0] for name in imports(module)}
        assert not others & {"keras_resnet", "export", "tensorflow", "keras", "absl", "matplotlib"}, module


def test_imports_do_not_run_in_a_circle(folder):
    within = {module: {name[1:] for name in imports(module) if name[0] == "."} for module in MODULES}
    assert set().union(*within.values()) <= set(MODULES)
    assert "contract" in list(graphlib.TopologicalSorter(within).static_order())  # CycleError says where
    code = "import importlib, sys\n"
    code += "for module in sys.argv[1:]:\n"
    code += "    for name in [name for name in sys.modules if name.startswith('device')]: del sys.modules[name]\n"
    code += "    importlib.import_module(f'device.{module}')"
    result = python(folder, "-c", code, *(module for module in MODULES if module[0] != "_"))
    assert result.returncode == 0, result.stderr


def test_both_ways_to_import_give_the_same_reader(folder, models, pictures):
    code = "import sys; from {}.reader import Reader; _, m, p = sys.argv; print(Reader(m).predict(p).top)"
    arguments = (models / INT8, pictures / "04.png")
    answer = Reader(models / INT8).predict(pictures / "04.png").top
    for place, module in ((folder, "device"), (ROOT, "keras_resnet.device")):
        assert python(place, "-c", code.format(module), *arguments).stdout == f"{answer}\n"


@pytest.mark.slow
def test_requirements_can_be_had_for_a_pi(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary=:all:",
        "--no-deps",
        "--dest",
        str(tmp_path),
    ]
    platforms = ["--python-version=3.11", "--platform=manylinux_2_28_aarch64", "--platform=manylinux_2_27_aarch64"]
    wanted = ["--requirement", str(DEVICE / "requirements.txt")]
    result = subprocess.run(
        [*command, *platforms, "--platform=manylinux2014_aarch64", *wanted], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert len(list(tmp_path.glob("*.whl"))) == 4
