"""Claim: a network hears words of a speaker whom it has never heard, the better for sounds that training changes.

    python -m benchmarks.speakers WORDS/ --group_by='_([a-z]+)_' [--ways=none,usual,more] [--seed=0]

Of all recordings of WORDS/, whatever split they are in, each speaker's in turn are the test split; the others' are
learned from, the epoch is chosen by the loss of a tenth of them. Ways differ in what training does to the recordings.
Runs are resumable, in runs/speakers/; the table is made at the end.
"""

import argparse
import os
import pathlib
import shutil

from benchmarks.trainings import markdown, mean_and_deviation, trained
from keras_resnet.data import class_folders, splits

WAYS = {
    "none": ["--augmentation=none"],
    "usual": [],
    "more": ["--augmentation=later,stretch,gain,babble,stripes", "--mixup=0.2"],
}


def link(entries, speakers, left_out, folder):
    """Links recordings into a folder's train/CLASS/ and test/CLASS/, once all are there.

    Args:
        entries: (path, class) of each.
        speakers: of each.
        left_out: who is in test.
        folder: `pathlib.Path`; nothing is done where it is there.
    """
    if folder.exists():
        return
    final, folder = folder, folder.with_suffix(".partial")
    shutil.rmtree(folder, ignore_errors=True)
    for number, ((path, name), speaker) in enumerate(zip(entries, speakers, strict=True)):
        place = folder / ("test" if speaker == left_out else "train") / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:06}_{os.path.basename(path)}").symlink_to(os.path.abspath(path))
    folder.rename(final)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=pathlib.Path, help="folder of recordings by class, or of splits of such")
    parser.add_argument("--group_by", required=True, help="regular expression of the speaker in a path")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flags", default="", help="of train.py, for all of them, separated by spaces")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/speakers"))
    given = parser.parse_args()
    found = class_folders.splits(given.words)
    names = class_folders.classes(found)
    entries = [(path, names[label]) for _, path, label in class_folders.entries(found, names)]
    speakers = splits.groups([os.fsencode(path) for path, _ in entries], given.group_by)
    rows, results = [], {way: [] for way in given.ways.split(",")}
    for speaker in sorted({*speakers}):
        link(entries, speakers, speaker, given.out / "words" / speaker)
        for way, accuracies in results.items():
            flags = [f"--dataset={given.out / 'words' / speaker}/", f"--seed={given.seed}", "--best=loss"]
            flags += [*given.flags.split(), *WAYS[way]]
            report, _ = trained(given.out / f"{way}-{speaker}-{given.seed}", flags, "test")
            accuracies.append(100 * report["top1_accuracy"])
            print(f"{speaker}, {way}: {accuracies[-1]:.1f} %", flush=True)
        rows.append((speaker, *(f"{of[-1]:.1f}" for of in results.values())))
    rows.append(("mean", *(mean_and_deviation(of) for of in results.values())))
    print("\n".join(markdown(("left out", *results), rows)))


if __name__ == "__main__":
    main()
