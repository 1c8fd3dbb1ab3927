"""Any `.tflite`, run by the names of its inputs and outputs; `reader.Reader` is for those whose contract is inside.

Arrays are one example's, without the batch of one.
"""

import os

from ai_edge_litert.interpreter import Interpreter

from . import archives, metadata

GIVEN, MADE = "inputs/", "outputs/"  # what names in golden.npz begin with


def opened(path, threads):
    """LiteRT's interpreter of a file, ready to run; raises ValueError where it can't be."""
    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        if os.path.isdir(path) or not os.path.exists(path):
            found = "no such file, and no model of that name is shipped (keras-resnet models lists them)"
            found = "a folder" if os.path.isdir(path) else found
            raise ValueError(f"{path}: {found}; expected a .tflite, which python -m export makes of a run") from error
        raise ValueError(f"{path}: no .tflite that LiteRT can run ({str(error).splitlines()[0]})") from error
    return interpreter


class Tensors:
    """A `.tflite`, ready to run.

    Args:
        path: of the file.
        threads: of LiteRT.

    Attributes:
        inputs, outputs: name -> LiteRT's details of it; the signature's names, where the file has one.

    Raises:
        ValueError: it is no `.tflite`, or one of batches.
    """

    def __init__(self, path, threads=1):
        self.interpreter = opened(path, threads)
        self.inputs, self.outputs = named(self.interpreter)
        if large := [name for name, t in {**self.inputs, **self.outputs}.items() if list(t["shape"][:1]) != [1]]:
            raise ValueError(f"{path}: {large[0]} has no batch of one")

    def quantize(self, given):
        """Turns name -> float32 or integer array into the inputs' own types."""
        return {name: metadata.quantized(given[name], tensor) for name, tensor in self.inputs.items()}

    def invoke(self, tensors):
        """Runs the network on what `quantize` made; returns name -> output as it is."""
        for name, tensor in self.inputs.items():
            self.interpreter.set_tensor(tensor["index"], tensors[name][None])
        invoke(self.interpreter)
        return {name: self.interpreter.get_tensor(tensor["index"])[0] for name, tensor in self.outputs.items()}

    def dequantize(self, made):
        """Turns name -> output into float32."""
        return {name: metadata.dequantized(made[name], tensor) for name, tensor in self.outputs.items()}


def invoke(interpreter):
    """Runs the network; raises ValueError where LiteRT can't, as a damaged one that it opened."""
    try:
        interpreter.invoke()
    except RuntimeError as error:
        raise ValueError(f"LiteRT can't run this network ({str(error).splitlines()[0]})") from error


def named(interpreter):
    """Name -> LiteRT's details of the inputs, and of the outputs; the signature's names, where a file has one."""
    if interpreter.get_signature_list():
        runner = interpreter.get_signature_runner()
        return runner.get_input_details(), runner.get_output_details()
    both = interpreter.get_input_details(), interpreter.get_output_details()
    return tuple({tensor["name"]: tensor for tensor in tensors} for tensors in both)


def load_golden(path):
    """The golden examples of a `golden.npz`: a list of (name -> input, name -> output), the exact arrays.

    Returns None where it holds pictures.

    Raises:
        Exception: the file is broken.
    """
    arrays = archives.load_arrays(path)
    given, made = (
        {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}
        for kind in (GIVEN, MADE)
    )
    if not given:
        return None
    (count,) = {len(array) for array in (*given.values(), *made.values())}
    return [tuple({name: array[i] for name, array in part.items()} for part in (given, made)) for i in range(count)]
