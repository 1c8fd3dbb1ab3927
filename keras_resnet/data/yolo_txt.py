"""YOLO's text files: `data.yaml`, and of `images/…/NAME.jpg` the boxes in `labels/…/NAME.txt`.

A line has a class's number and a box's centre and size, parts of the picture's width and height
(https://docs.ultralytics.com/datasets/detect/). A picture without a file has no boxes.
"""

import pathlib

from keras_resnet.data import DataError
from keras_resnet.data.boxes import Raw, lines, upright_size
from keras_resnet.data.class_folders import pictures

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "test": "test"}
NOTHING = ("", "~", "null", "false", [])


def read(root):
    """The pictures of a folder.

    Returns:
        (class names, in the order of their numbers; split -> list of `Raw`, sorted by path).

    Raises:
        DataError: PyYAML is not installed, or a file can't be understood.
    """
    said = _yaml(root / "data.yaml")
    names = _names(root / "data.yaml", said.get("names"))
    splits = {SPLITS[key]: _split(root, said, key, names) for key in SPLITS if said.get(key, "") not in NOTHING}
    if "train" not in splits:
        raise DataError(f"{root / 'data.yaml'}: it has no train; expected the folder of the training pictures")
    return names, splits


def _names(path, given):
    """Class names of a list, or of a dict by their numbers, 0 first."""
    listed = [given.get(str(i)) for i in range(len(given))] if isinstance(given, dict) else given
    right = isinstance(listed, list) and all(isinstance(one, str) for one in listed)
    names = tuple(one.strip() for one in listed) if right else ()
    if not names or {*names} & {"", "~", "null"} or len({*names}) < len(names):
        said = str(given)[:80]
        raise DataError(
            f"{path}: its names are {said}; expected a list of the classes, each once, or 0: name, 1: name, …"
        )
    return names


def _yaml(path):
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise DataError(f'{path}: {error}; type pip install -e ".[boxes]"') from error
    try:
        said = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # texts: a class may be called no
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}; expected YAML") from error
    if not isinstance(said, dict):
        raise DataError(f"{path}: got {str(said)[:40]!r}; expected train, val and names")
    return said


def _split(root, said, key, names):
    """The pictures of a split: a folder, a text file with a picture a line, or a list of these."""
    found = []
    for given in map(str, said[key] if isinstance(said[key], list) else [said[key]]):
        # `path` is of the machine it was made on; Roboflow's `../train/images` is of a folder that is not there.
        tried = [root / str(said.get("path", ".")) / given, root / given, root / str(given).lstrip("./")]
        place = next((path for path in tried if path.exists()), None)
        if place is None:
            raise DataError(f"{root / 'data.yaml'}: {key} is {given}; no such folder at {tried[-1]}")
        paths = pictures(place) if place.is_dir() else [place.parent / line for line in lines(place)]
        if lost := [path for path in map(pathlib.Path, paths) if not path.is_file()]:
            raise DataError(f"{place}: no picture {lost[0]}")
        found += [_picture(pathlib.Path(path), names) for path in paths]
    return found


def _picture(path, names):
    parts = list(path.parts)
    last = max((i for i, part in enumerate(parts) if part == "images"), default=None)
    if last is not None:
        parts[last] = "labels"
    file = pathlib.Path(*parts).with_suffix(".txt")
    width, height = upright_size(path)
    rows = lines(file) if file.is_file() else []
    return Raw(str(path), None, [_object(file, row, names, width, height) for row in rows])


def _object(file, line, names, width, height):
    cells = line.split()
    try:
        number, (x, y, w, h) = int(cells[0]), map(float, cells[1:5])
        if len(cells) > 5 and len(cells) % 2:  # a polygon: the box around it
            xs, ys = [float(cell) for cell in cells[1::2]], [float(cell) for cell in cells[2::2]]
            x, y, w, h = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)
    except (ValueError, IndexError) as error:
        raise DataError(f"{file}: {line!r}; expected a class's number and four parts of the picture's sides") from error
    name = names[number] if 0 <= number < len(names) else number
    return name, ((y - h / 2) * height, (x - w / 2) * width, (y + h / 2) * height, (x + w / 2) * width), False
