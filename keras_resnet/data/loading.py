"""From a name to a data set: the digits, a folder, or a TFDS set."""

import dataclasses
import hashlib
import pathlib

from keras_resnet import layouts, runs
from keras_resnet.data import DataError, annotated, box_folders, digits, folders, masks, rows, sounds, texts, tfds_sets
from keras_resnet.recipes import default_recipe, height_and_width, is_folder


def load_dataset(
    name="cifar10",
    data_dir=None,
    image_size=0,
    crop_fraction=1.0,
    resize="cover",
    max_bad_fraction=0.01,
    channels=0,
    original=False,
    strides=(8,),
    task="auto",
    seconds=1.0,
    bands=40,
    sample_rate=0,
    group_by="",
    tokens=0,
    vocabulary=20_000,
    pairs=0,
    pieces=0,
):
    """Loads a data set of pictures (of classes, several labels each, boxes or masks), recordings, texts or rows.

    A split that the source lacks is drawn from its training pictures by a fixed seed, class by class: a tenth of them
    (a fifth of the digits), at most 10,000 but at least one of each class. `validation` is for choices, `test` is
    asked for once.

    Args:
        name: `digits`; a folder with a folder per class (or with `train`, `validation`/`val`, `test` folders of such);
            or a TFDS name.
        data_dir: where TFDS keeps its data. It downloads only what is not there.
        image_size: of the network's input, 224 or "240x320" (height x width); 0 for the data set's own, 224 where its
            sizes vary.
        crop_fraction, resize: the contract's; see `device.picture.Picture`.
        max_bad_fraction: unreadable pictures of a folder that may be left out.
        channels: 3 (RGB) or 1 (gray); 0 for the data set's own, which are 3 for a folder.
        strides: of the levels of a detector's cells, in pixels of the input, where the pictures have boxes; of
            masks see `masks.stride`.
        original: whether pictures must keep their own size, for random resized crops; they are read from disk then,
            though they might fit in memory.
        task: `classification`, `detection` or `segmentation`; `auto`: boxes before masks before classes, but of TFDS
            sets with classes those before masks.
        seconds, bands, sample_rate: of recordings, see `device.sound.Sound`; a rate of 0 is that of most of them.
        tokens, vocabulary, pairs, pieces: of texts, see `texts.prepare`.
        group_by: of a folder per class, what no two splits share that are drawn from it; see `splits.groups`.

    Returns:
        `Data`.

    Raises:
        ValueError: it can't be had (`DataError`), or can't be learned from.
    """
    size, heard = height_and_width(image_size), {"seconds": seconds, "bands": bands, "rate": sample_rate}
    fit = {"crop_fraction": crop_fraction, "resize": resize}
    read = {"tokens": tokens, "vocabulary": vocabulary, "pairs": pairs, "pieces": pieces}
    if group_by and (not is_folder(name) or default_recipe(name, task) in (*layouts.EXPECTED, "texts", "tables")):
        said = "it is of a folder with a folder per class; drop it, and divide train, validation and test yourself"
        raise DataError(f"--group_by={group_by}: {said}")
    if name == "given":
        raise DataError("--dataset=given: this run's data came from a Python program; say where the same pictures lie")
    if name == "digits":
        if task in layouts.EXPECTED:
            raise DataError(f"--task={task}: the digits have classes alone; give --dataset=FOLDER/")
        if original:
            raise DataError("--dataset=digits: 8x8 pixels have no detail to zoom into; give --augmentation=shift")
        return digits.load(size or (32, 32), channels or 3, fit)
    if is_folder(name):
        root, shape = pathlib.Path(name).expanduser(), (*(size or (224, 224)), channels or 3)
        if task in ("auto", "detection") and (reader := box_folders.reader(root)):
            data = annotated.load(root, reader, shape, fit, strides)
            both = f"{root} has masks, too; --task=segmentation learns those" if layouts.masks(root) else ""
            return dataclasses.replace(data, note="\n".join(filter(None, (data.note, both))))
        if task in ("auto", "segmentation") and layouts.masks(root):
            return masks.load(root, shape, fit, strides)
        if task in layouts.EXPECTED:
            raise DataError(f"--task={task}: {root} has none of {layouts.EXPECTED[task]}; see docs/places.md")
        if layouts.texts(root):
            return texts.load(root, **read)
        if layouts.rows(root):
            return rows.load(root)
        if layouts.sounds(root):
            return sounds.load(root, max_bad_fraction=max_bad_fraction, group_by=group_by, **heard)
        return folders.load(root, shape, fit, max_bad_fraction, original, group_by)
    return tfds_sets.load(name, data_dir, size, channels, fit, original, strides, task, heard, read)


def load_data(recipe, run):
    """Loads a recipe's `Data`, names the files that can't be read, and holds it to what the run began with.

    Raises:
        DataError: the data can't be had or learned from.
        RunError: it is not the data any more that the run began with.
    """
    fields = ("data_dir", "image_size", "crop_fraction", "resize", "max_bad_fraction", "channels", "task")
    fields += ("seconds", "bands", "sample_rate", "group_by", "tokens", "vocabulary", "pairs", "pieces")
    original = "resized_crop" in recipe.augmentations
    given = {name: getattr(recipe, name) for name in fields}
    data = load_dataset(recipe.dataset, **given, original=original, strides=recipe.levels)
    if recipe.noise:
        if data.contract.input.KIND != "sound":
            raise DataError(f"--noise={recipe.noise}: these are {data.contract.input.THINGS}; drop it")
        background = sounds.background(pathlib.Path(recipe.noise).expanduser(), data.contract.input)
        prints = {**data.fingerprint, "noise": hashlib.sha256(background).hexdigest()[:32]}
        data = dataclasses.replace(data, background=background, fingerprint=prints)
    if data.note:
        print(data.note, flush=True)
    if data.unreadable:
        print(f"{len(data.unreadable)} pictures can't be read and are left out:")
        print(folders.report(data.unreadable), flush=True)
    runs.check_data(run, data)
    return data
