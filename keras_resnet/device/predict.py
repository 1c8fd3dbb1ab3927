"""Answers: `python -m device predict MODEL.tflite FILE… | FOLDER… | --camera | --microphone`.

A model of several inputs takes `INPUT=FILE` for each, or `INPUT=FOLDER`, where files of one name belong together.

Exit status: 0; 1, some pictures could not be read; 2, bad input.
"""

import argparse
import concurrent.futures
import csv
import io
import itertools
import json
import pathlib
import sys
import time

from . import command_line, sound_files
from .picture import upright

BATCH = 64  # things that are prepared beside one another, and all that are in memory


def arguments(given, program):
    parser = argparse.ArgumentParser(program, description="Says what pictures show, recordings, texts and rows say.")
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument(
        "things",
        nargs="*",
        metavar="FILE",
        help="pictures, WAV, text or CSV files, and folders of them; INPUT=FILE of several",
    )
    parser.add_argument("--text", action="append", default=[], help="a text instead of a file; it may come again")
    parser.add_argument("--camera", action="store_true", help="what a camera sees, until Ctrl-C")
    parser.add_argument("--device", help="number or path of a camera for OpenCV, or a video file")
    parser.add_argument("--top", type=command_line.positive, default=5, help="how many classes to name")
    parser.add_argument("--threads", type=command_line.threads, default=1, help="of LiteRT and of preparing pictures")
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line, instead of those in the model")
    parser.add_argument("--microphone", action="store_true", help="words as they are spoken, until Ctrl-C")
    parser.add_argument("--stream", action="store_true", help="words in long WAV files, wherever they are")
    parser.add_argument("--hop", type=command_line.seconds, help="of a stream: between two windows")
    parser.add_argument("--threshold", type=float, help="of a stream: probability of a word, instead of the model's")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a picture and line")
    form.add_argument("--csv", action="store_true", help="one row a picture, or box")
    form.add_argument("--coco", action="store_true", help="boxes in COCO's format of results, a JSON list")
    parser.add_argument(
        "--draw",
        metavar="OUT",
        type=command_line.filled,
        help="answers over the pictures: a folder, or a file for one picture",
    )
    parser.add_argument(
        "--maps",
        metavar="OUT",
        type=command_line.filled,
        help="masks as palette PNGs of the classes' numbers: a folder or file",
    )
    chosen = parser.parse_intermixed_args(given)  # pictures may follow flags
    if bool(chosen.things) + bool(chosen.text) + chosen.camera + chosen.microphone != 1:
        parser.error("expected one of: files and folders, --text, --camera, --microphone")
    if (chosen.microphone or chosen.stream) and (chosen.draw or chosen.maps or chosen.coco or chosen.csv):
        parser.error("--draw, --maps, --coco and --csv are not for --microphone and --stream")
    if chosen.text and (chosen.draw or chosen.maps or chosen.coco or chosen.stream):
        parser.error("--draw, --maps, --coco and --stream are not for --text")
    if not (chosen.microphone or chosen.stream) and (chosen.hop, chosen.threshold) != (None, None):
        parser.error("--hop and --threshold are of words, for --microphone and --stream")
    if chosen.device is not None and not chosen.camera:
        parser.error("--device is of --camera")
    if chosen.draw and chosen.draw == chosen.maps:
        parser.error(f"--draw and --maps are both {chosen.draw}; give two places")
    if chosen.camera and (chosen.draw or chosen.maps or chosen.coco):
        parser.error("--draw, --maps and --coco are for pictures, not for --camera")
    return parser, chosen


def main(given, program):
    parser, chosen = arguments(given, program)
    reader = command_line.load(parser, chosen.model, chosen.threads, chosen.labels)
    from .camera import CameraError

    try:
        if chosen.microphone or chosen.stream:
            status = listen(reader, chosen)
        elif chosen.camera:
            status = watch(reader, chosen)
        elif chosen.text:
            status = read(reader, chosen)
        else:
            status = predict(reader, reader.contract.input.find(chosen.things), chosen)
    except (ValueError, CameraError) as error:
        command_line.fail(parser, error)
    sys.exit(status)


def predict(reader, paths, chosen):
    """Answers files; returns the exit status."""
    import tqdm

    results = []
    write, folders = writer(reader, chosen, results), written(reader, chosen, paths)
    failed = 0
    began = time.perf_counter()
    # None: no bar where standard error is no terminal.
    with tqdm.tqdm(total=len(paths), unit=" images", disable=None if len(paths) > 1 else True) as bar:
        for path, ready in prepare(reader, paths, chosen.threads):
            if not isinstance(ready, Exception):
                ready = answered(reader, path, ready, chosen.top)
            if isinstance(ready, Exception):
                failed += 1
                bar.write(f"skipped: {ready}", file=sys.stderr)
            else:
                draw(reader, path, ready.shown, folders)
                with bar.external_write_mode():
                    write(str(path), ready)
            bar.update()
    if chosen.coco:
        print("[" + ",\n".join(map(json.dumps, results)) + "]")
    if len(paths) > 1:
        speed = len(paths) / (time.perf_counter() - began)
        things = reader.contract.input.THINGS
        print(f"{len(paths)} {things}, {speed:.1f} a second, {failed} could not be read", file=sys.stderr)
        sets = [path for path in paths if isinstance(path, dict)]
        most = max(map(len, sets), default=0)
        if lacking := [one for one in sets if len(one) < most]:
            print(f"{len(lacking)} of them lack what others have, as {lacking[0]}", file=sys.stderr)
    return int(failed > 0)


def written(reader, chosen, paths):
    """Name -> `drawing.Folder` of what is written beside the answers.

    Raises:
        ValueError: the answers are of another kind.
    """
    from .drawing import Folder

    kind, things = reader.contract.output.KIND, reader.contract.input.THINGS
    if chosen.draw and things != "pictures":
        raise ValueError(f"--draw={chosen.draw}: this model takes {things}, nothing can be drawn over them")
    if chosen.maps and kind != "mask":
        raise ValueError(f"--maps={chosen.maps}: this model answers with {kind}, not with masks")
    if chosen.coco and kind != "boxes":
        raise ValueError(f"--coco: this model answers with {kind}, not with boxes")
    return {name: Folder(path, paths) for name in ("draw", "maps") if (path := getattr(chosen, name))}


def draw(reader, path, shown, folders):
    """Writes an answer over its picture, and a mask's map, where that is asked for."""
    from . import drawing, picture_files

    if "draw" in folders:
        with picture_files.opened(path, path) as image:
            folders["draw"].save(drawing.drawn(upright(image), shown, reader.contract.labels), path)
    if "maps" in folders:
        folders["maps"].save(drawing.label_map(shown), path)


def answered(reader, name, ready, top):
    """The `Answer` to what `prepare` made, or an error that says whose answer is no number."""
    try:
        return reader.answer(ready, top)
    except ValueError as error:
        return ValueError(f"{name}: {error}")


def prepare(reader, paths, threads):
    """Yields (path, what `Reader.prepare` made of it, or its error), in order, batch by batch."""

    def one(path):
        try:
            return reader.prepare(path)
        except ValueError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for i in range(0, len(paths), BATCH):
            batch = paths[i : i + BATCH]
            yield from zip(batch, pool.map(one, batch), strict=True)


def read(reader, chosen):
    """Answers the texts of the command line; returns the exit status."""
    if reader.contract.input.KIND != "text":
        raise ValueError(f"--text: this model takes {reader.contract.input.THINGS}; give files")
    write = writer(reader, chosen)
    for text in chosen.text:
        write(text, reader.answer(reader.prepare(io.BytesIO(text.encode("utf-8", "replace")), "--text"), chosen.top))
    return 0


def watch(reader, chosen):
    """Answers what a camera sees until it ends; returns the exit status."""
    from . import camera

    camera.check(reader.contract.input)
    write = writer(reader, chosen)
    frames = camera.frames(chosen.device or "0")
    image = next(frames)
    for number in itertools.count(1):
        ready = answered(reader, f"frame {number}", reader.prepare_image(image), chosen.top)
        if isinstance(ready, Exception):
            print(f"skipped: {ready}", file=sys.stderr)
        else:
            write(f"frame {number}", ready)
        try:
            image = next(frames)
        except camera.CameraError as error:  # it worked, so that its end is no bad input
            print(error, file=sys.stderr)
            return 0


def listen(reader, chosen):
    """Says the words in WAV files, or in what a microphone hears; returns the exit status."""
    from . import listening

    hop = chosen.hop or listening.HOP

    def say(name, samples):
        listener = listening.Listener(reader, hop, threshold=chosen.threshold)
        for part in samples:
            for word in listener.hear(part):
                print(json.dumps({"sound": name, **word.as_json()}) if chosen.json else word, flush=True)

    listening.Listener(reader, hop, threshold=chosen.threshold)  # a wrong model is said at once
    sound, failed = reader.contract.input, 0
    if chosen.microphone:
        say("microphone", listening.microphone(sound.rate))
        return 0
    paths = sound.find(chosen.things)
    for path in paths:
        try:
            if len(paths) > 1 and not chosen.json:
                print(path)
            say(str(path), listening.recording(path, path, sound))
        except sound_files.SoundError as error:
            print(f"skipped: {error}", file=sys.stderr)
            failed = 1
    return failed


def writer(reader, chosen, results=None):
    """A function of (name, `Answer`) that writes one answer to standard output in the form that was chosen.

    COCO's results are one list: they are added to `results`.
    """
    kind = reader.contract.input.KIND
    if chosen.json:
        return lambda name, answer: print(json.dumps({kind: name, **answer.as_json()}), flush=True)
    if chosen.coco:
        return lambda name, answer: results.extend(coco_results(name, answer.shown, reader.contract.labels))
    if chosen.csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow([kind, "preprocessing_ms", "inference_ms", *reader.contract.output.columns(chosen.top)])
        return lambda name, answer: (rows.writerows([name, *row] for row in answer.as_rows()), sys.stdout.flush())
    return lambda name, answer: print(answer.as_text(name), flush=True)


def coco_results(name, found, labels):
    """Boxes of a picture, `boxes.Found`, as COCO's results have them, a list of objects.

    `image_id` is the number that a file is named by, as COCO's own are, else its name without the suffix;
    `category_id` counts the labels from 1.
    """
    stem = pathlib.Path(name).stem
    return [
        {
            "image_id": int(stem) if stem.isdecimal() else stem,
            "category_id": labels.index(label) + 1,
            "bbox": [round(side, 2) for side in (left, top, right - left, bottom - top)],
            "score": round(p, 6),
        }
        for label, p, (top, left, bottom, right) in zip(
            found.labels, found.probabilities, found.boxes.tolist(), strict=True
        )
    ]
