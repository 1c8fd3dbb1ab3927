"""The order of the rooms: who may import whom, read from the code of every module, and no circle between them."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "keras_resnet"
# Whom a room may import besides itself. The hall is what lies in keras_resnet/ itself.
MAY_IMPORT = {
    "device": set(),
    "hall": {"device"},
    "models": {"device", "hall"},
    "networks": {"hall"},
    "data": {"device", "hall"},
    "quantization": {"networks", "hall"},
    "tasks": {"networks", "data", "device", "hall"},
    "reports": {"tasks", "quantization", "data", "networks", "models", "device", "hall"},
    "training": {"reports", "tasks", "quantization", "data", "networks", "device", "hall"},
    "export": {"training", "reports", "tasks", "quantization", "data", "networks", "device", "hall"},
}
# What people start or import: they may import every room, and no room imports them.
DOORS = {"__init__", "api", "command_line", "evaluation", "preprocessing", "program"}
# Name -> path of every module; a package's name is that of its `__init__.py`.
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "export").glob("*.py")])
}


def room(name):
    """The room of a module: `hall`, `door`, or a folder's name."""
    if name.split(".")[0] == "export":
        return "export"
    first = (name.split(".")[1:] or ["__init__"])[0]
    return first if (PACKAGE / first).is_dir() else "door" if first in DOORS else "hall"


def imports(name, code, is_package=False):
    """(line, module) of all that a module imports of this project, some of it only when a function runs."""
    tree, package, found = ast.parse(code), name.split(".")[: None if is_package else -1], []
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}

    def named(node):
        """Submodules that `from … import …` names, else the module whose attributes they are."""
        base = node.module or ""
        if node.level:
            base = ".".join([*package[: len(package) + 1 - node.level], base]).rstrip(".")
        return [f"{base}.{a.name}" if f"{base}.{a.name}" in MODULES else base for a in node.names]

    def called(argument):
        """What `import_module` is given; where it is put together, any module of the package that a text names."""
        if isinstance(argument, ast.JoinedStr):
            return [m for m in MODULES if m.removeprefix(".".join([*package, ""])) in texts - {m}]
        return [argument.value] if isinstance(argument, ast.Constant) else []

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.lineno, module) for module in named(node)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [(node.lineno, module) for module in called(node.args[0])]
    return [one for one in found if one[1].split(".")[0] in ("keras_resnet", "export")]


def imports_of(name):
    path = MODULES[name]
    return imports(name, path.read_text(encoding="utf-8"), path.name == "__init__.py")


def broken(name, found):
    """Lines on what a module imports though the order of the rooms forbids it."""
    here = room(name)
    for line, module in found:
        said = f"{name}, line {line} ({here}) imports {module}"
        if here != "export" and (module.split(".")[0] == "export" or module.startswith("keras_resnet.export")):
            yield f"{said}: export is made of this package, which does not know it"
        elif here != "door" and module != "keras_resnet":
            may = {here} | MAY_IMPORT[here]
            if room(module) not in may:
                yield f"{said} ({room(module)}): {here} may import {', '.join(sorted(may))}"


def test_every_room_has_its_place_in_the_order():
    assert {room(name) for name in MODULES} == {*MAY_IMPORT, "door"}
    assert {f"{door}.py" for door in DOORS} <= {path.name for path in PACKAGE.iterdir()}


def test_imports_keep_the_order_of_the_rooms():
    lines = [line for name in MODULES for line in broken(name, imports_of(name))]
    assert not lines, "\n".join(["", *lines])


def test_no_modules_import_each_other_in_a_circle():
    needs = {name: sorted({module for _, module in imports_of(name)}) for name in MODULES}
    done, circles = set(), []

    def walk(name, way):
        if name in way:
            circles.append(" -> ".join([*way[way.index(name) :], name]))
        elif name not in done:
            for module in needs.get(name, ()):
                walk(module, [*way, name])
            done.add(name)

    for name in MODULES:
        walk(name, [])
    assert not circles, "\n".join(["", *circles])


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("device.reader", "from keras_resnet import files", "imports keras_resnet.files (hall): device may import"),
        ("device.reader", "from .. import files", "imports keras_resnet.files (hall): device may import device"),
        ("files", "def f():\n    from .data import order", "line 2 (hall) imports keras_resnet.data.order (data): "),
        ("data.order", "import keras_resnet.training.trainer", "(training): data may import data, device, hall"),
        ("tasks.metrics", "from keras_resnet.api import load", "imports keras_resnet.api (door): tasks may import"),
        ("networks.depths", "import_module('keras_resnet.data.order')", "imports keras_resnet.data.order (data)"),
        ("training.trainer", "import export.golden", "imports export.golden: export is made of this package"),
        ("program", "from keras_resnet.export import golden", "imports keras_resnet.export: export is made of this"),
    ],
)
def test_what_breaks_the_order_is_seen(name, code, says):
    (line,) = broken(f"keras_resnet.{name}", imports(f"keras_resnet.{name}", code))
    assert says in line and line.startswith(f"keras_resnet.{name}, line ")


def test_what_keeps_the_order_is_let_through():
    code = "import numpy\nfrom keras_resnet import files\nfrom . import order\nfrom keras_resnet.data import DataError"
    found = imports("keras_resnet.data.streams", code)
    modules = ["keras_resnet.files", "keras_resnet.data.order", "keras_resnet.data"]
    assert found == list(zip((2, 3, 4), modules, strict=True))
    assert not list(broken("keras_resnet.data.streams", found))
