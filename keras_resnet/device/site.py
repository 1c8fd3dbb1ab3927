"""A folder of static files, in whose page a model answers in the visitor's own browser.

`python -m device site MODEL.tflite --output=FOLDER`

LiteRT.js (https://ai.google.dev/edge/litert/web, Apache-2.0) runs the file, unchanged, in WebAssembly; what comes
before and behind the network is this folder's `web/`, held to the same golden vectors as the phone's app. The page
replays the golden examples when it opens. Any server of files will do; nothing is sent to it.
"""

import argparse
import base64
import json
import pathlib
import shlex
import shutil

import numpy as np

from . import command_line, verify
from .metadata import quantization
from .serve import PAGE, about, no_page

WEB = pathlib.Path(__file__).with_name("web")
LITERT = "2.5.3"  # of LiteRT.js, that the tests run
CDN, PACKAGES = "https://cdn.jsdelivr.net/npm/@litertjs", ("core", "wasm-utils")
WASM = "litert_wasm_compat_internal"  # of plain instructions, which mean the same on every processor
# What a page needs of `node_modules/@litertjs`.
RUNTIME = ("core/dist/index.js", f"core/wasm/{WASM}.js", f"core/wasm/{WASM}.wasm", "wasm-utils/dist/index.js")
TYPES = ("float32", "int32", "uint8")  # of LiteRT.js' tensors


def main(given, program):
    parser = argparse.ArgumentParser(program, description="A page in which a model answers in the visitor's browser.")
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument(
        "--output", type=command_line.filled, required=True, metavar="FOLDER", help="of the page; a new one"
    )
    parser.add_argument(
        "--runtime",
        type=command_line.filled,
        metavar="FOLDER",
        help="node_modules/@litertjs that is copied, so that the page needs nobody else; without it, browsers get "
        f"LiteRT.js {LITERT} from {CDN.split('/')[2]}",
    )
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line, instead of those in the model")
    chosen = parser.parse_args(given)
    reader = command_line.load(parser, chosen.model, labels=chosen.labels)
    folder, model = pathlib.Path(chosen.output), pathlib.Path(chosen.model)
    runtime = pathlib.Path(chosen.runtime) if chosen.runtime else None
    if why := refused(folder, reader, model, runtime):
        command_line.fail(parser, why)
    try:
        write(folder, reader, model, runtime, answers=not chosen.labels)
    except OSError as error:
        command_line.fail(parser, f"{folder}: {error.strerror}; give another folder")
    except Exception as error:  # of many kinds: JSON's, a zip's, NumPy's
        text = f"{type(error).__name__}: {error}"
        command_line.fail(parser, f"{model}: broken golden examples ({text}); python -m export makes them anew")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size:,} bytes; to look at it:")
    if not runtime:
        print(f"(browsers get LiteRT.js from {CDN}; --runtime=node_modules/@litertjs brings it along)")
    print(f"python -m http.server --bind=127.0.0.1 --directory={shlex.quote(str(folder))}")


def refused(folder, reader, model, runtime):
    """Why no page can be made, a sentence; None where nothing is known against it."""
    if folder.exists() and not folder.is_dir():
        return f"{folder}: a file; give a folder"
    if folder.exists() and any(folder.iterdir()):
        return f"{folder}: there is something in it; give a new folder"
    if why := no_page(reader.contract.input):
        return f"{model}: {why}"
    kinds = {np.dtype(tensor["dtype"]).name for tensor in (reader.input, *reader.outputs)} - {*TYPES}
    if kinds:
        return f"{model}: a tensor of {kinds.pop()} comes in or out; browsers take {', '.join(TYPES)}"
    if lacking := [path for path in RUNTIME if runtime and not (runtime / path).is_file()]:
        wanted = f"npm install @litertjs/core@{LITERT} makes node_modules/@litertjs"
        return f"--runtime={runtime}: there is no {lacking[0]}; {wanted}"
    return None


def write(folder, reader, model, runtime=None, answers=True):
    """Writes the page's files; see `main`.

    Args:
        folder: a new or an empty one.
        reader: `Reader` of the model.
        model: path of the `.tflite`.
        runtime: folder of LiteRT.js' packages to copy; None: browsers get them elsewhere.
        answers: whether golden examples hold for answers, too: not where classes have other names.

    Raises:
        OSError: it can't be written; nothing is left in the folder.
    """
    part = folder.absolute().with_name(f".{folder.absolute().name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for script in WEB.glob("*.js"):
            shutil.copyfile(script, part / script.name)
        shutil.copyfile(model, part / "model.tflite")
        for path in RUNTIME if runtime else ():
            (part / "litert" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(runtime / path, part / "litert" / path)
        examples = golden(reader, model, answers)
        whence = ("./litert/core", "./litert/wasm-utils") if runtime else [f"{CDN}/{n}@{LITERT}" for n in PACKAGES]
        (part / "index.html").write_text(page(*whence, "" if runtime else CDN), encoding="utf-8")
        told = about(reader.contract, model) | {"camera": reader.contract.input.KIND == "picture"}
        site = {"about": told, "contract": reader.contract.as_json(), "tensors": tensors(reader)}
        site |= {"runtime": f"{whence[0]}/wasm/{WASM}.js", "golden": bool(examples)}
        (part / "site.json").write_text(json.dumps(site), encoding="utf-8")
        if examples:
            (part / "golden.json").write_text(json.dumps(examples), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def page(core, utils, others):
    """`page.html` with a mark that modules beside it answer, and where those find LiteRT.js.

    Browsers see to it that nobody but this page's server and `others` is asked for anything.
    """
    policy = (
        f"default-src 'none'; connect-src 'self' {others}; img-src blob: data:; style-src 'unsafe-inline'; "
        f"script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' {others}"
    )
    imports = {"@litertjs/core": f"{core}/dist/index.js", "@litertjs/wasm-utils": f"{utils}/dist/index.js"}
    more = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<meta name="local">\n'
        f'<script type="importmap">{json.dumps({"imports": imports})}</script>\n'
    )
    return PAGE.read_text(encoding="utf-8").replace("<title>", f"{more}<title>", 1)


def tensors(reader):
    """What `contract.js` asks of a network's input and outputs."""

    def described(tensor):
        scale, zero = quantization(tensor)
        return {"type": np.dtype(tensor["dtype"]).name, "scale": float(scale), "zero": int(zero)}

    return {"input": described(reader.input), "outputs": [described(tensor) for tensor in reader.outputs]}


def golden(reader, model, answers=True):
    """The golden examples beside a model, a list for `local.js`; empty where there are none."""
    try:
        examples = verify.load_golden(model)
    except FileNotFoundError:
        return []

    def saved(thing, given, made, answer):
        several = [made[name] for name in reader.contract.output.TENSORS] if isinstance(made, dict) else [made]
        outputs = [
            one if isinstance(one, bytes) else np.asarray(one, tensor["dtype"]).tobytes()
            for one, tensor in zip(several, reader.outputs, strict=True)
        ]
        texts = {"thing": encoded(thing), "input": encoded(given), "outputs": list(map(encoded, outputs))}
        return texts | {"answer": answer if answers else None}

    return [saved(*example) for example in examples]


def encoded(content):
    return base64.b64encode(content).decode()
