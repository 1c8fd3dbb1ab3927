"""Names what pictures show: `python classify.py MODEL.tflite PICTURE… | FOLDER… | --camera | --serve`.

Exit status: 0; 1, some pictures could not be read; 2, bad input.
"""

import argparse
import concurrent.futures
import csv
import itertools
import json
import sys
import time

import command_line

BATCH = 64  # pictures that are prepared beside one another, and all that are in memory
BAR = 24


def arguments():
    parser = argparse.ArgumentParser("classify.py", description="Names what pictures show.")
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help="files and folders")
    parser.add_argument("--camera", action="store_true", help="classify what a camera sees, until Ctrl-C")
    parser.add_argument("--device", default="0", help="number or path of a camera for OpenCV, or a video file")
    parser.add_argument("--serve", action="store_true", help="a page for camera and dropped pictures")
    parser.add_argument("--host", default="127.0.0.1", help="address of the page; 0.0.0.0 for the whole network")
    parser.add_argument("--port", type=int, default=8000, help="of the page; 0 takes a free one")
    parser.add_argument("--name", action="append", default=[], help="another name that browsers know this machine by")
    parser.add_argument("--top", type=command_line.positive, default=5, help="how many classes to name")
    parser.add_argument("--threads", type=command_line.threads, default=1, help="of LiteRT and of preparing pictures")
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line, instead of those in the model")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a picture and line")
    form.add_argument("--csv", action="store_true", help="one row a picture")
    chosen = parser.parse_args()
    if chosen.pictures and (chosen.camera or chosen.serve):
        parser.error("pictures go with neither --camera nor --serve")
    if chosen.serve and (chosen.json or chosen.csv):
        parser.error("--json and --csv do not go with --serve: the page asks for its own")
    if not (chosen.pictures or chosen.camera or chosen.serve):
        parser.error("expected pictures, a folder, --camera or --serve")
    return parser, chosen


def main():
    parser, chosen = arguments()
    reader = command_line.load(parser, chosen.model, chosen.threads, read_labels(parser, chosen.labels))
    import pictures

    try:
        if chosen.serve:
            import serve

            status = serve.serve(reader, chosen)
        elif chosen.camera:
            status = watch(reader, chosen)
        else:
            status = classify(reader, pictures.find(chosen.pictures), chosen)
    except (pictures.PictureError, pictures.CameraError) as error:
        command_line.fail(parser, error)
    sys.exit(status)


def read_labels(parser, path):
    """Class names of a file, one a line, or None without one; a byte order mark and empty lines at the end are none."""
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8-sig") as file:
            names = [line.strip() for line in file.read().rstrip().split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        command_line.fail(parser, f"--labels={path}: {error}; expected a text file with one class name a line")
    if "" in names:
        command_line.fail(parser, f"--labels={path}: line {names.index('') + 1} is empty; expected a class name a line")
    return names


def classify(reader, paths, chosen):
    """Classifies files; returns the exit status."""
    import tqdm

    write = writer(chosen)
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
                with bar.external_write_mode():
                    write(str(path), ready)
            bar.update()
    if len(paths) > 1:
        speed = len(paths) / (time.perf_counter() - began)
        print(f"{len(paths)} pictures, {speed:.1f} images/s, {failed} could not be read", file=sys.stderr)
    return int(failed > 0)


def answered(reader, name, ready, top):
    """The `Answer` to what `prepared` made, or an error that says whose answer is no number."""
    try:
        return reader.answer(ready, top)
    except ValueError as error:
        return ValueError(f"{name}: {error}")


def prepare(reader, paths, threads):
    """Yields (path, what `prepared` made of it, or its `PictureError`), in order, batch by batch."""
    import pictures

    def one(path):
        try:
            return prepared(reader, path, path)
        except pictures.PictureError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for i in range(0, len(paths), BATCH):
            batch = paths[i : i + BATCH]
            yield from zip(batch, pool.map(one, batch), strict=True)


def prepared(reader, file, name):
    """What `Classifier.prepare` makes of a picture file, with the time to decode it; raises `PictureError`."""
    import pictures

    began = time.perf_counter()
    with pictures.opened(file, name) as image:
        try:
            return reader.prepare(image, began)
        except ValueError as error:
            raise pictures.PictureError(f"{name}: {error}") from error


def watch(reader, chosen):
    """Classifies what a camera sees until it ends; returns the exit status."""
    import pictures

    write = writer(chosen)
    frames = pictures.frames(chosen.device)
    image = next(frames)
    for number in itertools.count(1):
        ready = answered(reader, f"frame {number}", reader.prepare(image), chosen.top)
        if isinstance(ready, Exception):
            print(f"skipped: {ready}", file=sys.stderr)
        else:
            write(f"frame {number}", ready)
        try:
            image = next(frames)
        except pictures.CameraError as error:  # it worked, so that its end is no bad input
            print(error, file=sys.stderr)
            return 0


def writer(chosen):
    """A function of (name, `Answer`) that writes one answer to standard output in the form that was chosen."""
    if chosen.json:
        return lambda name, answer: print(json.dumps({"picture": name, **as_json(answer)}), flush=True)
    if chosen.csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        header = [f"{kind}{i}" for i in range(1, chosen.top + 1) for kind in ("label", "probability")]
        rows.writerow(["picture", "preprocessing_ms", "inference_ms", *header])
        return lambda name, answer: (rows.writerow([name, *as_row(answer)]), sys.stdout.flush())
    return lambda name, answer: print(as_text(name, answer), flush=True)


def as_json(answer):
    """An `Answer` as a dictionary; digits beyond those given are no measurement."""
    return {
        "top": [{"label": label, "probability": round(p, 6)} for label, p in answer.top],
        "preprocessing_ms": round(answer.preprocessing_ms, 3),
        "inference_ms": round(answer.inference_ms, 3),
    }


def as_row(answer):
    pairs = [cell for label, p in answer.top for cell in (label, f"{p:.6f}")]
    return [f"{answer.preprocessing_ms:.3f}", f"{answer.inference_ms:.3f}", *pairs]


def as_text(name, answer):
    width = max(len(label) for label, _ in answer.top)
    lines = [f"{name}  ({answer.preprocessing_ms:.1f} ms preprocessing, {answer.inference_ms:.1f} ms inference)"]
    lines += [f"  {label:{width}}  {100 * p:5.1f} %  {'█' * round(BAR * p)}".rstrip() for label, p in answer.top]
    return "\n".join(lines)


if __name__ == "__main__":
    command_line.start(main)
