"""What `--init` can name: a run's folder, a `.keras` file, keras.applications' weights, or a file of PyTorch's.

It loads nothing, so that flags are checked at once; `training.starting` loads what is named here.
"""

import json
import os
import pathlib
import pickletools
import re
import zipfile

from keras_resnet.depths import IMAGENET
from keras_resnet.device import archives

# keras.applications' name, lower case -> (depth, version).
KERAS = {f"resnet{depth}{'v2' * (v == 2)}": (depth, v) for v in (1, 2) for depth in (50, 101, 152)}
TORCH = (".safetensors", ".pth", ".pt")
# Pictures that both zoos' weights were trained and are evaluated on.
IMAGENET_PICTURES = {"image_size": 224, "crop_fraction": 0.875, "channels": 3}


def kind(init):
    """`keras`, `torch`, `file` or `run`."""
    prefix = init.split(":")[0]
    return prefix if prefix in ("keras", "torch") and ":" in init else "file" if init.endswith(".keras") else "run"


def place(init):
    """The `pathlib.Path` of what an origin's weights are read from; None for keras.applications'."""
    paths = {"torch": init[6:], "file": init, "run": os.path.join(init, "model.keras")}
    return pathlib.Path(paths[kind(init)]) if kind(init) in paths else None


def check(init, shipped=()):
    """Raises ValueError, with what to type, where nothing to start from is there; the names `shipped` are offered."""
    of, path = kind(init), place(init)
    if of == "keras" and init[6:] not in KERAS:
        raise ValueError(f"--init={init}: no such network; choose {', '.join(f'keras:{name}' for name in KERAS)}")
    if of == "torch" and path.suffix not in TORCH:
        raise ValueError(f"--init={init}: expected torch: and a file that ends in {', '.join(TORCH)}")
    if path and not path.is_file():
        would_do = "no such file"
        if of == "run":
            would_do = (
                "no finished run is there (no model.keras); give a run's folder, .keras file, keras:NAME, torch:FILE"
            ) + "".join(f", {name}" for name in shipped)
            if init.endswith(TORCH):
                would_do = f"give torch:{init}"
        raise ValueError(f"--init={init}: {would_do}")


def described(init):
    """Fields of a recipe that an origin which is no run decides: its network's, where known, and its pictures'.

    Raises:
        ValueError: the file holds something else.
    """
    if kind(init) == "keras":
        depth, version = KERAS[init[6:]]
        return {"depth": depth, "version": version, "stem": "imagenet", **IMAGENET_PICTURES}
    path = place(init)
    try:
        if kind(init) == "torch":
            return {"depth": torch_depth(torch_names(path)), "version": 1, "stem": "imagenet", **IMAGENET_PICTURES}
        shape = keras_config(path)["config"]["layers"][0]["config"]["batch_shape"]
        if len(shape) != 4:
            raise ValueError(
                f"its input is of shape {tuple(shape)}, expected pictures: (None, height, width, channels)"
            )
        _, height, width, channels = shape
        return {"image_size": f"{height}x{width}", "channels": channels} if height and width else {}
    except Exception as error:  # of many kinds: a zip's, JSON's, what another file happens to hold
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ValueError(f"--init={init}: these are no weights that can be started from ({reason})") from None


def keras_config(path):
    """The `config.json` of a `.keras` file, a zip archive that does not fill the memory.

    Raises:
        Exception: it is none.
    """
    archives.check(path)
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def torch_names(path):
    """Names of a state dict, read from its file without PyTorch, and without executing what a pickle says."""
    with open(path, "rb") as file:
        if path.suffix == ".safetensors":
            return set(json.loads(file.read(int.from_bytes(file.read(8), "little"))))
        if not zipfile.is_zipfile(file):
            raise ValueError(
                "it is no zip, as PyTorch's files are since 1.6; in a current one save it anew, best as .safetensors: "
                f"safetensors.torch.save_file(torch.load('{path}'), '{path.with_suffix('.safetensors')}')"
            )
        archives.check(path)
        with zipfile.ZipFile(file) as content:
            (pickle,) = (name for name in content.namelist() if name.endswith("/data.pkl"))
            return {arg for _, arg, _ in pickletools.genops(content.read(pickle)) if isinstance(arg, str)}


def torch_depth(names):
    """The depth of torchvision's or timm's network whose state dict has these names.

    Raises:
        ValueError: none has.
    """
    names = {name.removeprefix("module.") for name in names}
    repeats = tuple(len(set(re.findall(rf"\blayer{i}\.(\d+)\.conv1\.", "\n".join(names)))) for i in range(1, 5))
    block = "bottleneck" if "layer1.0.conv3.weight" in names else "basic"
    depth = next((d for d, layout in IMAGENET.items() if layout[:2] == (block, repeats)), None)
    if depth is None or not {"conv1.weight", "fc.weight"} <= names:
        raise ValueError(
            f"a state dict of {repeats} {block} blocks; expected torchvision's or timm's ResNet-18, 34, 50, 101 or 152"
        )
    return depth
