"""`keras-resnet check` of recordings: counts, rates, lengths, what is silent, clipped, the same, or no recording."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
from small_sets import write_tones

from keras_resnet.data import check_sounds
from keras_resnet.device import sound_files

ROOT = pathlib.Path(__file__).parents[2]


def test_what_a_folder_of_recordings_holds(tmp_path):
    root = write_tones(tmp_path / "tones", {"": 10})
    (root / "low" / "20_eve.wav").write_bytes(sound_files.wav(np.zeros(16000), 8000))
    (root / "low" / "21_eve.wav").write_bytes(sound_files.wav(np.ones(800), 16000))
    (root / "low" / "22_eve.wav").write_bytes(sound_files.wav(np.zeros(0), 8000))
    (root / "high" / "broken.wav").write_bytes(b"RIFF")
    shutil.copy(root / "low" / "00_ann.wav", root / "high" / "20_ann.wav")
    command = [sys.executable, "-m", "keras_resnet.program", "check", root, f"--sheets={tmp_path / 'sheets'}"]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 0 and "tensorflow" not in made.stderr.lower(), made.stderr
    for said in (
        "24 recordings, 2 classes",
        "samples a second: 8,000 23, 16,000 1",
        "training resamples to 8,000",
        "seconds: 0.00 to 2.00, 0.23 in the median; longer than 1: 1, of which training hears the middle",
        f"empty: 1, as {root}/low/22_eve.wav",
        f"silent: 1, as {root}/low/20_eve.wav",
        f"perhaps clipped: 1, as {root}/low/21_eve.wav",
        "unreadable: 1 of 25; training leaves out 1 in 100 at most",
        "broken.wav: no WAV file of 8, 16, 24 or 32 bits PCM",
        "the same file: 1 times, across classes 1 (one label is wrong)",
        f"train --dataset={root}/ --max_bad_fraction=0.04 --batch_size=16 --learning_rate=0.01 --seconds=0.5",
    ):
        assert said in made.stdout, said
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert [path.name for path in sheets] == ["000-high.png", "001-low.png"]
    high, low = (check_sounds.drawn(str(root / name / "01_bob.wav")) for name in ("high", "low"))
    pitch = [np.asarray(one.convert("L"), float).mean(1).argmax() for one in (high, low)]
    assert pitch[0] < pitch[1] and high.size == (336, 240)  # it goes upwards
