"""Replays the golden examples beside a model: `python -m device verify MODEL.tflite…`.

Each has the exact bytes that enter the network and the exact outputs that the exporting machine saw; where a file's
contract is of pictures, the PNG that they come from, too.
Exit status: 0, all identical; 1, not; 2, bad input.
"""

import argparse
import base64
import hashlib
import io
import json
import pathlib
import platform
import sys

import numpy as np

from . import archives, command_line
from .contract import INPUTS

# By how much numbers of answers may differ that were rounded: to hundredths of a pixel, to six digits.
ROUNDED, EXACT = 0.011, {"probability": 1.1e-6, "part": 1.1e-6}

FILES = {kind: given.FILE for kind, given in INPUTS.items()}  # an input's kind -> that of its golden files


def main(given, program):
    parser = argparse.ArgumentParser(program, description="Replays the golden examples beside a model.")
    parser.add_argument("models", nargs="+", metavar="MODEL.tflite")
    parser.add_argument("--threads", type=command_line.threads, default=1, help="of LiteRT")
    chosen = parser.parse_args(given)
    identical = True
    for model in map(pathlib.Path, chosen.models):
        try:
            if examples := load_arrays(model):
                network = command_line.load_tensors(parser, model, chosen.threads)
                replay, unit = [compare_arrays(network, *one) for one in examples], ""
            else:
                reader = command_line.load(parser, model, chosen.threads)
                replay = [compare(reader, *one) for one in load_golden(model)]
                step = reader.output["quantization"][0]
                unit = f" steps of {step:.4g}" if step and len(reader.outputs) == 1 else ""
        except FileNotFoundError as error:
            command_line.fail(parser, f"{model}: {error}")
        except Exception as error:  # of many kinds: JSON's, a zip's, NumPy's, Pillow's
            text = f"{type(error).__name__}: {error}"
            command_line.fail(parser, f"{model}: broken golden examples ({text}); python -m export makes them anew")
        identical = report(model, replay, unit) and identical
    sys.exit(not identical)


def load_arrays(model):
    """The golden examples of a model that are no pictures, as `tensors.load_golden` returns them, or None."""
    from .tensors import load_golden

    path = model.with_suffix(".golden.npz")
    return load_golden(path) if path.exists() and not model.with_suffix(".golden.json").exists() else None


def compare_arrays(network, given, expected):
    """Runs one golden example; returns the same as `compare`.

    Raises:
        Exception: it is none of this network's.
    """
    made = network.invoke(given)
    if {name: (a.shape, a.dtype) for name, a in made.items()} != {n: (a.shape, a.dtype) for n, a in expected.items()}:
        raise ValueError(f"outputs {', '.join(expected)}; this model has {', '.join(made)}, or of other shapes")
    differences = [
        np.abs(made[name].astype(np.float64) - expected[name]).ravel()
        for name in made
        if made[name].tobytes() != expected[name].tobytes()  # NaN is, by its bytes, what it was
    ]
    return True, b"".join(output.tobytes() for output in made.values()), np.concatenate([*differences, [0.0]])


def load_golden(model):
    """The golden pictures of a model: a list of (PNG bytes, input bytes, output array or list, answer or None).

    Of several outputs it is a dict, name -> bytes or array.

    Raises:
        FileNotFoundError: neither `NAME.golden.json` nor `NAME.golden.npz` lies beside it.
        Exception: the file is broken.
    """
    path = model.with_suffix(".golden.json")
    if path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
        kinds = [(saved[f"{name}s"], kind) for name, kind in FILES.items() if f"{name}s" in saved]
        examples, kind = kinds[0] if kinds else ([], None)
        if not examples:
            raise ValueError("there are none")
        return [
            (base64.b64decode(p[kind]), base64.b64decode(p["input"]), _saved_output(p), _saved_answer(p))
            for p in examples
        ]
    path = model.with_suffix(".golden.npz")
    if not path.exists():
        raise FileNotFoundError(f"expected {path.stem}.json or {path.name} beside it; python -m export makes them")
    arrays = archives.load_arrays(path)
    outputs = {name.removeprefix("outputs/"): array for name, array in arrays.items() if name.startswith("outputs/")}
    outputs = [dict(zip(outputs, one, strict=True)) for one in zip(*outputs.values(), strict=True)]
    outputs = outputs or arrays["outputs"]
    kind = next(name for name in FILES if f"{name}00" in arrays)
    return [
        (arrays[f"{kind}{i:02}"].tobytes(), arrays["inputs"][i].tobytes(), outputs[i], None)
        for i in range(len(outputs))
    ]


def _saved_answer(picture):
    """What numbers that are encoded mean; scores of classes speak for themselves."""
    return None if isinstance(picture.get("output"), list) else picture["answer"]


def _saved_output(picture):
    if "outputs" not in picture:
        output = picture["output"]
        return base64.b64decode(output) if isinstance(output, str) else output
    return {name: base64.b64decode(text) for name, text in picture["outputs"].items()}


def compare(reader, png, expected_input, expected_output, expected_answer=None):
    """Runs one golden picture: whether its input is the expected one, the outputs' bytes, and their differences.

    An answer that differs though the outputs are the same counts as a difference, too.

    Raises:
        Exception: the picture or the expected output is broken.
    """
    prepared = reader.prepare(io.BytesIO(png), "golden picture")
    made = reader.invoke(prepared.tensor)
    outputs = [made] if len(reader.outputs) == 1 else made
    if isinstance(expected_output, dict):
        expected_output = [expected_output[name] for name in reader.contract.output.TENSORS]
    else:
        expected_output = [expected_output]
    differences = [np.zeros(1)]
    for output, expected in zip(outputs, expected_output, strict=True):
        wanted = np.frombuffer(expected, output.dtype) if isinstance(expected, bytes) else expected
        wanted = np.asarray(wanted, output.dtype)
        if wanted.size != output.size or (not isinstance(expected, bytes) and wanted.shape != output.shape):
            raise ValueError(f"{wanted.size} outputs, this model has {output.size}")
        differences.append(np.abs(output.astype(np.float64) - wanted.reshape(output.shape)).ravel())
    content, differences = b"".join(output.tobytes() for output in outputs), np.concatenate(differences)
    if expected_answer is not None and not differences.any():
        shown = reader.contract.answer(reader.dequantize(made), prepared.size)
        differences = differences + (not alike(shown.as_golden(), expected_answer))
    return prepared.tensor.tobytes() == expected_input, content, differences


def alike(answer, expected, rounded=ROUNDED):
    """Whether two answers, as JSON has them, say the same; numbers were rounded, each way where they lay between."""
    if isinstance(expected, dict):
        same = isinstance(answer, dict) and {*answer} == {*expected}
        return same and all(alike(answer[k], expected[k], EXACT.get(k, ROUNDED)) for k in expected)
    if isinstance(expected, list):
        return len(answer) == len(expected) and all(map(alike, answer, expected))
    return abs(answer - expected) < rounded if isinstance(expected, float) else answer == expected


def report(model, replay, unit):
    """Prints what one model's replay showed, differences in a `unit`; returns whether all was identical."""
    good = sum(same and not differences.any() for same, _, differences in replay)
    # Two machines whose outputs have this digest in common answered alike, to the last bit.
    digest = hashlib.sha256(b"".join(output for _, output, _ in replay)).hexdigest()[:16]
    where = f"LiteRT {command_line.litert_version()}, {platform.machine()}, outputs {digest}"
    print(f"{model.name}: {good}/{len(replay)} identical ({where})")
    inputs = sum(not same for same, _, _ in replay)
    if inputs:
        why = "of pictures, another version of Pillow resizes or decodes otherwise"
        print(f"  {inputs} examples were prepared otherwise: {why}")
    outputs = [differences.max() for _, _, differences in replay if differences.any()]
    if outputs:
        print(f"  {len(outputs)} outputs differ, by at most {max(outputs):.4g}{unit}")
    return good == len(replay)
