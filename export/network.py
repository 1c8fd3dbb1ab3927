"""The export of a Keras model that is no run's: any inputs and outputs, from examples of its inputs.

Files, golden examples, and one table: how far each output of each file is from the Keras model's.
"""

import pathlib
import sys
import zipfile

import numpy as np

from keras_resnet import files, runs
from keras_resnet.device.contract import Contract
from keras_resnet.device.reader import Reader
from keras_resnet.device.tensors import Tensors
from keras_resnet.quantization import quantize_aware
from keras_resnet.quantization.fake_quantization import QuantizedModel
from keras_resnet.quantization.pictures import held, pixel_range
from keras_resnet.quantization.saved import load_model
from keras_resnet.quantization.translation import functional, is_float

from . import android, comparison, conversion, fidelity, golden, metadata, microcontroller, outputs


class NetworkError(ValueError):
    """A model that can't be exported, or examples that are none of its inputs'; the message says what to type."""


def export(path, options):
    """Makes and compares all files of a `.keras` file, in NAME-export beside it; returns the status, 3 if one failed.

    Raises:
        NetworkError: what was given does not fit together.
        RunError: the file holds no Keras model.
    """
    model = functional(load_model(path))
    contract = _contract(model, options.contract)
    examples, images = _examples(model, options.examples, contract)
    count = len(examples[0])
    calibration = [part[: options.calibration] for part in examples]
    first = options.calibration if count > options.calibration else 0
    rest = slice(first, first + options.pictures if options.pictures else None)
    asked = [part[rest] for part in examples]
    folder = path.parent / f"{path.stem}-export"
    folder.mkdir(exist_ok=True)
    networks, paths, failed = {"float": model}, {}, False
    for name in _formats(model, options.formats):
        try:
            if name == "int8-qat":
                networks[name] = _quantized(model, calibration, contract)
            content = _content(name, networks.get(name, model), calibration, options, contract)
            paths[name] = _write(folder / f"{path.stem}-{name}.tflite", content, contract, options)
            print(f"{name:10} {paths[name].stat().st_size:12,} bytes  {paths[name]}", flush=True)
            if name == "int8-qat" and options.layers:
                beside = [part[: comparison.BATCH] for part in asked]
                print(f"file and simulation: {fidelity.report(networks[name], content, beside)}")
        except ValueError as error:
            print(f"{name:10} failed: {error}", file=sys.stderr)
            failed = True
    if paths:
        title = f"{path.stem} ({len(asked[0]):,} examples)"
        rows, shown = outputs.compare(paths, networks, asked)
        outputs.write(folder, rows, shown, title, {"calibration": len(calibration[0]), **runs.origin()})
        print(f"\n{title}\n{outputs.table(rows)}\ncomparison: {folder}/comparison.json, .md, .png")
        _write_golden(paths, model, asked, None if images is None else images[rest])
    if options.android and not failed:
        print(f"android: {android.bundle(paths, path.stem)}")
    return 3 if failed else 0


def _contract(model, path):
    """The contract that is given for a model of pictures and classes, held to its shapes; None without."""
    if path is None:
        return None
    try:
        contract = Contract.load(path)
    except (OSError, ValueError) as error:
        raise NetworkError(f"--contract={path}: {error}") from error
    shapes = [tuple(tensor.shape[1:]) for tensor in (*model.inputs, *model.outputs)]
    expected = [contract.shape, (len(contract.labels),)]
    if shapes != expected:
        raise NetworkError(f"--contract={path}: it is of {expected[0]} to {expected[1]}, the model is of {shapes}")
    return contract


def _examples(model, path, contract):
    """A list of an array (n, …) for each input, and, of a folder, its pictures as uint8, else None."""
    path = pathlib.Path(path)
    if path.suffix not in (".npz", ".npy"):
        if contract is None:
            raise NetworkError(f"--examples={path}: expected a .npz or .npy file, or a folder with --contract")
        pictures = np.stack([contract.input.read(file, file) for file in contract.input.find([path])])
        return [contract.input.scaled(pictures)], pictures
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = dict(loaded) if path.suffix == ".npz" else {"": loaded}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise NetworkError(f"--examples={path}: no arrays of NumPy ({error}); write them by np.savez") from error
    if len(model.inputs) == len(arrays) == 1:
        arrays = {model.inputs[0].name: next(iter(arrays.values()))}
    try:
        parts = held(arrays, model)
    except ValueError as error:
        raise NetworkError(f"--examples={path}: {str(error).removeprefix('calibration: ')}") from error
    if not len(parts[0]):
        raise NetworkError(f"--examples={path}: there are none")
    return parts, None


def _formats(model, asked):
    if isinstance(model, QuantizedModel):
        if others := [name for name in asked or () if name != "int8-qat"]:
            raise NetworkError(f"--formats={','.join(asked)}: the model is quantized; {others[0]} wants the float one")
        return ["int8-qat"]
    if asked is not None:
        return asked
    integers = not all(map(is_float, model.inputs))
    return [name for name in conversion.FORMATS if not (integers and name == "int16x8")]  # the converter can't


def _quantized(model, calibration, contract):
    """The model itself where `quantize_aware` has made it, else with ranges of its examples."""
    if isinstance(model, QuantizedModel):
        return model
    return quantize_aware(model, calibration, input_range=contract and pixel_range(contract.input))


def _content(name, model, calibration, options, contract):
    if name not in conversion.FORMATS:
        raise NetworkError(f"{name} is learned, by a run; export runs/NAME")
    arrays = calibration
    if contract:  # the converter's range is what it sees
        low, high = pixel_range(contract.input)
        ends = (np.full_like(arrays[0][:1], end) for end in (low, high))
        arrays = [np.clip(np.concatenate([arrays[0], *ends]), low, high)]
    return conversion.convert(name, model, arrays, options.io, raw_pixels=False)


def _write(path, content, contract, options):
    """Writes a file, with metadata where there is a contract, and its C++ where that is asked for."""
    if options.c_array and "int8" in path.stem:
        files.write_text(path.with_suffix(".model_data.h"), microcontroller.header(content))
        files.write_text(path.with_suffix(".model_data.cc"), microcontroller.source(content))
    if contract:
        card = metadata.Card(path.stem, options.description, options.model_version, options.author, options.license)
        content = metadata.embed(content, contract, card)
    files.write_bytes(path, content)
    return path


def _write_golden(paths, model, asked, images):
    """Writes golden pictures where examples were pictures, else golden arrays."""
    for path in paths.values():
        if images is not None:
            golden.write(path, Reader(path), images[: golden.COUNT])
        else:
            golden.write_arrays(path, Tensors(path), outputs.given(model, [part[: golden.COUNT] for part in asked]))
