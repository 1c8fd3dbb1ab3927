"""A `.tflite` on a microcontroller, with TensorFlow Lite for Microcontrollers (TFLM): its C++, and its answers here.

python -m export.microcontroller NAME.tflite

names the operators, measures the tensor arena, and replays the golden pictures beside the file. TFLM runs in a process
of its own, which it can abort; `pip install -e ".[micro]"` has it, for Linux on x86-64.
"""

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

import numpy as np

from keras_resnet.device.archives import load_arrays

from . import purity

# The operators that TFLM has, as its MicroMutableOpResolver calls them: `AddAbs()`, …
METHODS = """
    Abs Add AddN ArgMax ArgMin AssignVariable AveragePool2D BatchMatMul BatchToSpaceNd BroadcastArgs BroadcastTo
    CallOnce Cast Ceil Concatenation Conv2D Cos CumSum DepthToSpace DepthwiseConv2D Dequantize Div
    DynamicUpdateSlice Elu EmbeddingLookup Equal Exp ExpandDims Fill Floor FloorDiv FloorMod FullyConnected
    Gather GatherNd Greater GreaterEqual HardSwish If L2Normalization L2Pool2D LeakyRelu Less LessEqual Log
    LogSoftmax LogicalAnd LogicalNot LogicalOr Logistic MaxPool2D Maximum Mean Minimum MirrorPad Mul Neg
    NotEqual Pack Pad PadV2 Prelu Quantize ReadVariable ReduceAll ReduceMax ReduceMin Relu Relu6 Reshape
    ResizeBilinear ResizeNearestNeighbor ReverseV2 Round Rsqrt SelectV2 Shape Sin Slice Softmax SpaceToBatchNd
    SpaceToDepth Split SplitV Sqrt Square SquaredDifference Squeeze StridedSlice Sub Sum Svdf Tanh Transpose
    TransposeConv UnidirectionalSequenceLSTM Unpack VarHandle While ZerosLike
"""
ARENA = 2**27  # to measure in: more bytes than any microcontroller has
INSTALL = 'pip install -e ".[micro]"'
# Runs inputs.npy of a folder one by one; TFLM says the arena's use on standard error.
PROGRAM = """
import sys
import numpy as np
from tflite_micro import runtime
folder, arena = sys.argv[1], int(sys.argv[2])
interpreter = runtime.Interpreter.from_file(f"{folder}/model.tflite", arena_size=arena)
outputs = []
for given in np.load(f"{folder}/inputs.npy"):
    interpreter.set_input(given[None], 0)
    interpreter.invoke()
    outputs.append(interpreter.get_output(0)[0].copy())
np.save(f"{folder}/outputs.npy", outputs)
interpreter.print_allocations()
"""


class MicrocontrollerError(ValueError):
    """A file that TFLM can't run, or no TFLM to run it; the message says why."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a file answered in TFLM, (n, …) of its output's type, and the least arena that it runs in, in bytes."""

    outputs: np.ndarray
    arena: int


def is_installed():
    """Whether TFLM is here to run files."""
    return importlib.util.find_spec("tflite_micro") is not None


def operators(content):
    """The kinds of operators in a file.

    Args:
        content: the file's bytes.

    Returns:
        Sorted names of the schema's `BuiltinOperator`, each once: `["ADD", "CONV_2D", …]`; others as `CUSTOM name`.

    Raises:
        MicrocontrollerError: it is no `.tflite`, or a damaged one.
    """
    if content[4:8] != b"TFL3":
        raise MicrocontrollerError(f"no .tflite: it begins with {content[:8]!r}, expected TFL3 as bytes 4 to 7")
    from tensorflow.lite.tools import flatbuffer_utils

    try:
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    except (struct.error, IndexError, TypeError) as error:
        raise MicrocontrollerError(f"no .tflite: it is damaged or cut off ({error})") from error
    found, names = set(), purity.kinds(model)
    for index in {operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators}:
        custom = names[index] == "CUSTOM"
        found.add(f"CUSTOM {model.operatorCodes[index].customCode.decode()}" if custom else names[index])
    return sorted(found)


def resolver(content):
    """C++ that registers a file's operators and no other: what is not registered is not linked into the firmware.

    Args:
        content: the file's bytes.

    Returns:
        The type `ModelOpResolver` and the function `RegisterOps`, named as in TFLM's own examples.

    Raises:
        MicrocontrollerError: TFLM lacks an operator of the file.
    """
    methods = {name.lower(): name for name in METHODS.split()}
    kinds = {kind: methods.get(kind.replace("_", "").lower()) for kind in operators(content)}
    lacking = [kind for kind, method in kinds.items() if method is None]
    if lacking:
        raise MicrocontrollerError(f"TensorFlow Lite for Microcontrollers has no {', '.join(lacking)}")
    calls = "".join(f"  TF_LITE_ENSURE_STATUS(resolver.Add{method}());\n" for method in kinds.values())
    return (
        f"using ModelOpResolver = tflite::MicroMutableOpResolver<{len(kinds)}>;\n\n"
        f"inline TfLiteStatus RegisterOps(ModelOpResolver& resolver) {{\n{calls}  return kTfLiteOk;\n}}\n"
    )


def run(content, inputs=(), arena=ARENA):
    """Runs a file in TFLM, with its reference kernels.

    Args:
        content: the file's bytes.
        inputs: array (n, …) of the type of the file's only input; without any, the arena alone is measured.
        arena: bytes of the tensor arena.

    Returns:
        `Measured`.

    Raises:
        MicrocontrollerError: TFLM is not installed, or refuses the file, the inputs or so small an arena.
    """
    if not is_installed():
        raise MicrocontrollerError(f"tflite-micro is not installed; type {INSTALL} (Linux on x86-64)")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "model.tflite").write_bytes(content)
        np.save(path / "inputs.npy", inputs)
        command = [sys.executable, "-c", PROGRAM, folder, str(arena)]
        process = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if process.returncode:
            # TFLM says the cause first, Python its own error last; an abort may say nothing.
            said = [line for line in process.stderr.splitlines() if line.strip() and "Traceback" not in line]
            reason = said[0] if said else f"its process ended with status {process.returncode}"
            raise MicrocontrollerError(f"TensorFlow Lite for Microcontrollers refuses this file: {reason}")
        used = int(re.search(r"Arena allocation total (\d+) bytes", process.stderr).group(1))
        return Measured(np.load(path / "outputs.npy"), -(-used // 16) * 16)  # arenas are aligned to 16 bytes


def source(content, name="g_model"):
    """A file's bytes as C++."""
    rows = [", ".join(f"0x{byte:02x}" for byte in content[i : i + 12]) for i in range(0, len(content), 12)]
    body = ",\n    ".join(rows)
    return (
        "// Made by `python -m export --c_array`; aligned as the interpreter wants it.\n"
        f"alignas(16) extern const unsigned char {name}[] = {{\n    {body}}};\n"
        f"extern const unsigned int {name}_len = {len(content)};\n"
    )


def header(content, name="g_model"):
    """The C++ header beside `source`: the bytes' names, the operators, and the arena's size where TFLM is installed.

    Raises:
        MicrocontrollerError: TFLM lacks an operator of the file, or refuses it.
    """
    registered = resolver(content)
    return (
        "// Made by `python -m export --c_array` for TensorFlow Lite for Microcontrollers.\n"
        "#pragma once\n\n"
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n\n'
        f"extern const unsigned char {name}[];\n"
        f"extern const unsigned int {name}_len;\n\n"
        f"{_arena(content)}\n"
        "// All operators of the model, and no other.\n"
        f"{registered}"
    )


def _arena(content):
    if not is_installed():
        return (
            "// The tensor arena's size was not measured, tflite-micro was not installed: type\n"
            f"// {INSTALL}\n"
            "// and export again.\n"
        )
    version = importlib.metadata.version("tflite-micro")
    return (
        f"// The least that the model runs in, measured in tflite-micro {version} with its reference\n"
        "// kernels and 64-bit pointers. Pointers of 32 bits take less; optimized kernels (CMSIS-NN) may want more.\n"
        f"constexpr int kTensorArenaSize = {run(content).arena};\n"
    )


def replay(content, inputs, outputs):
    """How a file's answers in TFLM differ from LiteRT's.

    Args:
        content: the file's bytes.
        inputs: array (n, …) of the type of its input, as in golden files.
        outputs: array (n, …) of the type of its output: what LiteRT answered to them.

    Returns:
        Lines of text: the arena, TFLM beside `outputs`, TFLM beside LiteRT's reference kernels.

    Raises:
        MicrocontrollerError: as of `run`.
    """
    measured = run(content, inputs)
    return [
        f"arena: {measured.arena:,} bytes",
        f"LiteRT: {_beside(measured.outputs, outputs)}",
        f"LiteRT's reference kernels: {_beside(measured.outputs, by_reference(content, inputs))}",
    ]


def by_reference(content, inputs):
    """What LiteRT's reference kernels answer, (n, …) of the output's type; TFLM's came from them.

    Both round a sum twice, where XNNPACK rounds once; LiteRT's dense layer rounds once here, too.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    (given,), (made, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for tensor in inputs:
        interpreter.set_tensor(given["index"], tensor[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(made["index"])[0])
    return np.array(answers)


def _beside(answers, others):
    n, axes = len(answers), tuple(range(1, answers.ndim))
    same = np.sum(np.all(answers == others, axis=axes))
    best = np.sum(answers.reshape(n, -1).argmax(-1) == others.reshape(n, -1).argmax(-1))
    apart = np.abs(answers.astype(np.float64) - others).max()
    return f"{same}/{n} the same bytes, {best}/{n} the same largest score, at most {apart:g} apart"


def sources(content):
    """Suffix -> text of the C++ files of a `.tflite`'s bytes, which have no metadata; raises as `header` does."""
    return {".model_data.h": header(content), ".model_data.cc": source(content)}


def load_golden(path):
    """Inputs and first outputs, (n, …), of a `golden.npz` of pictures, or of examples of one input.

    Raises:
        MicrocontrollerError: it is broken, or of several inputs.
    """
    try:
        arrays = load_arrays(path)
        given, made = (
            [array for name, array in arrays.items() if name.partition("/")[0] == kind]
            for kind in ("inputs", "outputs")
        )
    except (ValueError, OSError) as error:
        raise MicrocontrollerError(f"{path.name}: broken ({error}); python -m export makes it anew") from error
    if len(given) != 1 or not made or len(given[0]) != len(made[0]):
        raise MicrocontrollerError(
            f"{path.name}: it has {len(given)} inputs and {len(made)} outputs, expected one each"
        )
    return given[0], made[0]


def main(path):
    """The program; prints what it finds of one file."""
    content = path.read_bytes()
    print(f"operators: {', '.join(operators(content))}")
    resolver(content)  # raises where TFLM lacks one
    golden = path.with_suffix(".golden.npz")
    if not golden.exists():
        print(f"arena: {run(content).arena:,} bytes\nno {golden.name} beside it: nothing was replayed")
        return
    print("\n".join(replay(content, *load_golden(golden))))


if __name__ == "__main__":
    from keras_resnet import environment

    parser = argparse.ArgumentParser(
        "python -m export.microcontroller", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=pathlib.Path, metavar="NAME.tflite")
    path = parser.parse_args().path
    try:
        if not path.is_file():
            raise MicrocontrollerError("no such file; python -m export runs/NAME --formats=int8-qat --io=int8 makes it")
        environment.load_tensorflow()
        main(path)
    except (ValueError, OSError) as error:
        parser.exit(2, f"microcontroller: {path}: {error}\n")
