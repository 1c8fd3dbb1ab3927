"""COCO's JSON of boxes (Lin et al. 2014, https://cocodataset.org/#format-data): one file for each split.

Beside the pictures (`train/_annotations.coco.json`), or as `annotations/instances_train2017.json` with `train2017/`.
"""

import json

from keras_resnet import layouts
from keras_resnet.data import DataError
from keras_resnet.data.boxes import Raw
from keras_resnet.data.class_folders import split_named
from keras_resnet.device.contract import DAMAGES


def files(root):
    """Split -> (JSON file, folder of its pictures) of a folder, a `pathlib.Path`."""
    found, tried = {}, []
    for path in layouts.coco_files(root):
        name = path.stem.removeprefix("instances_") if path.parent.name == "annotations" else path.parent.name
        tried.append(str(path))
        if (split := split_named(name)) and (root / name).is_dir():
            found[split] = path, root / name
    if not found:
        raise DataError(f"{root}: no split of pictures belongs to {', '.join(tried)}; expected train/ beside it")
    return found


def read(root):
    """The pictures of a folder.

    Returns:
        (class names, in the order of their COCO numbers; split -> list of `Raw`, in the file's order).

    Raises:
        DataError: a file can't be understood, names what is not there, or its classes are not those of `train`.
    """
    classes, splits = {}, {}
    for split, (path, folder) in files(root).items():
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            classes[split] = _categories(saved)
            splits[split] = _pictures(saved, folder, classes[split])
        except KeyError as error:
            raise DataError(f"{path}: no boxes in COCO's format (it lacks {error}, which it refers to)") from error
        except DAMAGES as error:
            raise DataError(f"{path}: no boxes in COCO's format ({error})") from error
    first = classes.get("train") or next(iter(classes.values()))
    for split, names in classes.items():
        if names != first:
            differing = ", ".join(f"{number} {name}" for number, name in sorted(names.items() ^ first.items()))
            raise DataError(f"{root}: the classes of {split} are not those of train; differing: {differing}")
    return tuple(name for _, name in sorted(first.items())), splits


def _categories(saved):
    """Number -> name. Roboflow's files have one more, which the others are kinds of, and no box has."""
    used = {one["category_id"] for one in saved["annotations"]}
    above = {one.get("supercategory") for one in saved["categories"]}
    kept = [one for one in saved["categories"] if one["id"] in used or one["name"] not in above]
    taken = {one["name"] for one in kept if one["id"] in used}
    kept = [one for one in kept if one["id"] in used or one["name"] not in taken]
    names = {int(one["id"]): str(one["name"]) for one in kept}
    if twice := [name for name in names.values() if [*names.values()].count(name) > 1]:
        raise ValueError(f"two categories are called {twice[0]}; name one of them otherwise")
    return names


def _pictures(saved, folder, names):
    objects = {one["id"]: [] for one in saved["images"]}
    for one in saved["annotations"]:
        left, top, width, height = map(float, one["bbox"])
        box = (top, left, top + height, left + width)
        name = names.get(one["category_id"], one["category_id"])
        objects[one["image_id"]].append((name, box, bool(one.get("iscrowd"))))
    return [
        Raw(str(folder / one["file_name"]), (int(one["width"]), int(one["height"])), objects[one["id"]])
        for one in saved["images"]
    ]
