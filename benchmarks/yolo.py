"""Claim: from random weights, in as many minutes, our detector finds as much as YOLOv8n, and its int8 file all of it.

    python -m benchmarks.yolo bccd/ [MODEL.tflite …] [--minutes=40] [--split=test]

MODEL is a detector's file, or the name of one that is shipped (bccd-resnet18). Ultralytics' YOLOv8n learns from the
same pictures and boxes in the network's size, with its own settings, for so many minutes on this processor, and keeps
its best epoch on the validation pictures; then both are asked for the split, measured by the same code
(`tasks.box_metrics`), each with its own suppression. Its int8 file is made by its own exporter. Latency: median of
LiteRT on one thread.

Ultralytics is AGPL-3.0 and nothing of this project needs it: pip install ultralytics litert-torch ai-edge-quantizer
(and, since it ends in a segmentation fault beside TensorFlow: pip uninstall triton).
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import statistics
import sys
import time

import numpy as np
from PIL import Image
from ultralytics import YOLO
from ultralytics.utils import nms, torch_utils

from benchmarks.trainings import markdown
from keras_resnet import models
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.reader import Reader
from keras_resnet.tasks.box_metrics import MOST, figures

UNLIKELY = 0.001  # probability of boxes that average precision leaves out, of both; Ultralytics' own
OVERLAP = 0.7  # of its suppression, Ultralytics' own; our files' contracts say theirs
SPLITS = {"train": "train", "validation": "val", "test": "test"}


def write(data, folder):
    """Writes a data set's pictures and boxes in YOLO's form; returns the path of its data.yaml."""
    height, width = data.contract.shape[:2]
    for ours, theirs in SPLITS.items():
        for kind in ("images", "labels"):
            (folder / kind / theirs).mkdir(parents=True, exist_ok=True)
        number = 0
        for images, targets in data.evaluation(ours, 32, pixels=True).as_numpy_iterator():
            for image, target in zip(images, targets, strict=True):
                name = f"{number:05}"
                Image.fromarray(image).save(folder / "images" / theirs / f"{name}.png")
                lines = []
                for top, left, bottom, right, kind, _ in target[target[:, 4] >= 0]:
                    middle = ((left + right) / 2 / width, (top + bottom) / 2 / height)
                    sides = ((right - left) / width, (bottom - top) / height)
                    lines.append(" ".join(map(str, (int(kind), *middle, *sides))))
                (folder / "labels" / theirs / f"{name}.txt").write_text("\n".join(lines))
                number += 1
    saved = {"path": str(folder.resolve()), **{theirs: f"images/{theirs}" for theirs in SPLITS.values()}}
    saved["names"] = dict(enumerate(data.contract.labels))
    (folder / "data.yaml").write_text(json.dumps(saved))  # JSON is YAML
    return folder / "data.yaml"


def found_by(model, data, split, size):
    """What YOLO finds on each picture, as `Boxes.decode` returns it, and what is there."""
    found, there = [], []
    for images, targets in data.evaluation(split, 1, pixels=True).as_numpy_iterator():
        (result,) = model.predict(
            images[0][..., ::-1], imgsz=size, conf=UNLIKELY, iou=OVERLAP, max_det=MOST, verbose=False, device="cpu"
        )
        left, top, right, bottom = result.boxes.xyxy.numpy().T
        kinds, probabilities = result.boxes.cls.numpy().astype(int), result.boxes.conf.numpy().astype(float)
        found.append((np.stack([top, left, bottom, right], -1), kinds, probabilities))
        there.append(targets[0][targets[0][:, 4] >= 0])
    return figures(found, there, data.contract.labels)


def found_by_ours(reader, data, split):
    """The same of one of our files."""
    boxes = dataclasses.replace(reader.contract.output, most=MOST)
    found, there = [], []
    for images, targets in data.evaluation(split, 1, pixels=True).as_numpy_iterator():
        outputs = reader.dequantize(reader.run(images[0]))
        found.append(boxes.decode(*outputs, threshold=UNLIKELY))
        there.append(targets[0][targets[0][:, 4] >= 0])
    return figures(found, there, data.contract.labels)


def milliseconds(path, calls=100):
    """Median of a file's calls, on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        interpreter.invoke()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def trained(folder, data, size, minutes, seed):
    """The path of YOLOv8n's best weights; they are learned where no finished training has left them."""
    torch_utils.NUM_THREADS = os.cpu_count()  # its own rule would leave one core idle, of two the half
    if not (folder / "finished").exists():
        shutil.rmtree(folder, ignore_errors=True)
        YOLO("yolov8n.yaml").train(
            data=str(write(data, folder / "data")), imgsz=max(size), time=minutes / 60, batch=16, pretrained=False,
            device="cpu", workers=1, seed=seed, project=str(folder.resolve()), name="yolov8n", exist_ok=True,
            plots=False, verbose=False,
        )  # fmt: skip
        (folder / "finished").touch()
    return folder / "yolov8n" / "weights" / "best.pt"


def row(name, scores, path=None):
    shown = [f"{100 * scores[key]:.2f}" for key in ("map50", "map")]
    return [name, *shown, *([f"{path.stat().st_size:,}", f"{milliseconds(path):.1f}"] if path else ["", ""])]


def main():
    nms.non_max_suppression = functools.partial(nms.non_max_suppression, multi_label=True)  # as in its own `val`
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("models", nargs="*", default=["bccd-resnet18"])
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/yolo"))
    chosen = parser.parse_args()
    files = [pathlib.Path(models.files().get(name, name)) for name in chosen.models]
    readers = [Reader(path) for path in files]
    given = readers[0].contract.input
    if any(reader.contract.input != given for reader in readers):
        sys.exit(f"{', '.join(chosen.models)}: they see pictures differently; ask them one by one")
    size = given.shape[:2]
    data = load_dataset(chosen.dataset, **given.as_flags(), task="detection")
    folder = chosen.out / f"{pathlib.Path(chosen.dataset).name}-{chosen.minutes:g}"
    best = trained(folder, data, size, chosen.minutes, seed=0)
    rows = [row("YOLOv8n, PyTorch", found_by(YOLO(best), data, chosen.split, size))]
    exported = pathlib.Path(
        YOLO(best).export(format="litert", quantize=8, data=str(folder / "data" / "data.yaml"), imgsz=size)
    )
    scores = found_by(YOLO(exported, task="detect"), data, chosen.split, size)
    rows.append(row("YOLOv8n, int8 (its exporter)", scores, exported))
    rows += [
        row(name, found_by_ours(reader, data, chosen.split), path)
        for name, reader, path in zip(chosen.models, readers, files, strict=True)
    ]
    print("\n".join(markdown(["", "mAP@0.5 [%]", "mAP [%]", "bytes", "ms, 1 thread"], rows)))


if __name__ == "__main__":
    main()
