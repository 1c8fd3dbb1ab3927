"""A network learns to hear: from a folder of WAV files to an int8 file that is given WAV files."""

import io
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from processes import python as run
from small_sets import tone, write_tones

from keras_resnet import api, runs
from keras_resnet.data.loading import load_dataset
from keras_resnet.device import listening, sound_files
from keras_resnet.device.reader import Reader
from keras_resnet.reports import evaluation

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ("--seconds=0.25", "--bands=16", "--width=0.25", "--epochs=20", "--batch_size=16")


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Low and high tones, and noise that is called silence."""
    root, rng = (
        write_tones(tmp_path_factory.mktemp("tones"), {"train": 40, "val": 8, "test": 8}),
        np.random.default_rng(1),
    )
    for split, count in (("train", 40), ("val", 8), ("test", 8)):
        (root / split / "_silence_").mkdir()
        for i in range(count):
            noise = rng.normal(0, 10 ** rng.uniform(-4.5, -3), 2000)
            (root / split / "_silence_" / f"{i}.wav").write_bytes(sound_files.wav(noise, 8000))
    return root


@pytest.fixture(scope="module")
def heard(tones, tmp_path_factory):
    """A finished run and its export."""
    run_dir = tmp_path_factory.mktemp("hearing") / "run"
    assert "top-1 accuracy" in run("train.py", f"--dataset={tones}/", f"--run_dir={run_dir}", *FLAGS)
    run("-m", "export", run_dir, "--formats=float32,int8-qat", "--qat_epochs=1")
    return run_dir


def test_the_file_says_what_the_network_says(tones, heard):
    data, model = load_dataset(f"{tones}/", seconds=0.25, bands=16), api.load(heard)
    assert runs.load_contract(runs.Run(heard)) == data.contract == model.contract
    rows = {row["format"]: row for row in json.loads((heard / "export" / "comparison.json").read_text())["formats"]}
    assert rows["float32"]["accuracy"] == 1.0 and rows["int8-qat"]["accuracy"] == 1.0
    assert rows["int8-qat"]["float_tensors"] == 0
    reader = Reader(heard / "export" / "resnet8-float32.tflite")
    for path in reader.contract.input.find([tones / "val"]):
        prepared = reader.prepare(path)
        made = reader.dequantize(reader.invoke(prepared.tensor))
        np.testing.assert_allclose(made, model.scores(model.contract.input.read(path, path)), atol=1e-4)
        assert reader.answer(prepared).shown.top[0][0] == path.parent.name


def test_a_threshold_is_chosen_on_validation_alone(tones, heard, tmp_path):
    shutil.copytree(heard, tmp_path / "run")
    run = runs.Run(tmp_path / "run")
    saved = json.loads(run.contract.read_text())
    saved["input"]["threshold"] = 0.21
    run.contract.write_text(json.dumps(saved))
    evaluation.report(run.path, "test", dataset=f"{tones}/")
    assert json.loads(run.contract.read_text())["input"]["threshold"] == 0.21
    assert json.loads(run.report.read_text())["test"]["threshold"] == 0.21
    evaluation.report(run.path, "validation", dataset=f"{tones}/")
    chosen = json.loads(run.contract.read_text())["input"]["threshold"]
    assert json.loads(run.report.read_text())["validation"]["threshold"] == chosen == 0.7  # of equals the usual one


def test_a_device_hears(tones, heard, tmp_path):
    """The copied folder alone: golden WAV files, answers, and what it can't hear."""
    files = sorted((heard / "export").glob("*.tflite"))
    assert run("-m", "keras_resnet.device", "verify", *files).count("16/16 identical") == 2
    said = run("-m", "keras_resnet.device", "predict", files[1], tones / "test", "--json").splitlines()
    answers = {pathlib.Path(one["sound"]): one["top"][0]["label"] for one in map(json.loads, said)}
    assert len(answers) == 24 and all(path.parent.name == label for path, label in answers.items())
    other = tmp_path / "other.wav"
    other.write_bytes(sound_files.wav(np.zeros(4000), 16000))
    command = [sys.executable, "-m", "keras_resnet.device", "predict", files[0], other]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 1 and "16,000 samples a second, this model hears 8,000" in made.stderr
    golden = files[0].with_suffix(".golden.json")
    saved = json.loads(golden.read_text())
    saved["sounds"][0]["wav"], saved["sounds"][1]["wav"] = saved["sounds"][1]["wav"], saved["sounds"][0]["wav"]
    golden.write_text(json.dumps(saved))
    assert "14/16 identical" in run("-m", "keras_resnet.device", "verify", files[0], status=1)


def test_words_are_heard_in_a_long_recording(heard, tmp_path):
    """Five words at known times, in a file that comes in one piece and in many; a tone that nobody taught is quiet."""
    rng, rate = np.random.default_rng(0), 8000
    words = ((1.0, "low"), (2.5, "high"), (4.0, "high"), (5.3, "low"), (8.0, "high"))
    samples = rng.normal(0, 1e-4, 10 * rate)
    for begin, word in words:
        part = tone({"low": 450, "high": 1550}[word], 0.25, rate)
        samples[round(begin * rate) :][: len(part)] += part
    (tmp_path / "long.wav").write_bytes(sound_files.wav(samples, rate))
    file = heard / "export" / "resnet8-int8-qat.tflite"
    command = ("-m", "keras_resnet.device", "predict", file, tmp_path / "long.wav", "--stream", "--hop=0.05", "--json")
    chosen = json.loads((heard / "report.json").read_text())["validation"]["threshold"]
    assert Reader(file).contract.input.threshold == chosen == listening.Listener(Reader(file)).threshold
    assert run(*command, "--threshold=1") == ""
    said = [json.loads(line) for line in run(*command).splitlines()]
    assert said == sorted(said, key=lambda one: one["seconds"])
    for begin, word in words:
        near = [one["label"] for one in said if begin < one["seconds"] < begin + 0.5]
        assert word in near, (begin, said)
    whole, bits = (listening.Listener(Reader(file), 0.05) for _ in range(2))
    steps = sound_files.wav(samples, rate)
    with sound_files.opened(io.BytesIO(steps), "long") as opened:
        samples = sound_files.read(opened, len(samples))
    at_once = [one.as_json() for one in whole.hear(samples)]
    cuts = np.sort(rng.integers(0, len(samples), 40))
    assert at_once == [one.as_json() for part in np.split(samples, cuts) for one in bits.hear(part)]
    assert at_once == [{key: one[key] for key in ("seconds", "label", "probability")} for one in said]
    for flag, message in (
        ("--draw=x", "are not for --microphone and --stream"),
        ("--threshold=0", "threshold above 0"),
    ):
        refused = subprocess.run([sys.executable, *map(str, command), flag], capture_output=True, text=True, cwd=ROOT)
        assert refused.returncode == 2 and message in refused.stderr


@pytest.mark.slow
def test_a_network_of_waves_learns_and_becomes_a_file(tones, tmp_path):
    flags = ("--seconds=0.25", "--bands=0", "--augmentation=later,stretch", "--width=0.25", "--batch_size=16")
    run("train.py", f"--dataset={tones}/", f"--run_dir={tmp_path / 'run'}", *flags, "--epochs=8")
    run("-m", "export", tmp_path / "run", "--formats=int8-ptq")
    (row,) = json.loads((tmp_path / "run" / "export" / "comparison.json").read_text())["formats"]
    assert row["accuracy"] > 0.9 and row["float_tensors"] == 0
    (file,) = (tmp_path / "run" / "export").glob("*.tflite")
    assert Reader(file).contract.shape == (1, 2000, 1)
    assert "16/16 identical" in run("-m", "keras_resnet.device", "verify", file)
    refused = [sys.executable, "train.py", f"--dataset={tones}/", "--bands=0", f"--run_dir={tmp_path / 'other'}"]
    made = subprocess.run(refused, capture_output=True, text=True, cwd=ROOT)
    assert made.returncode == 2 and "of waves (--bands=0) give later, stretch, or none" in made.stderr


@pytest.mark.slow
def test_other_words_start_from_what_it_heard(heard, tmp_path):
    other = write_tones(tmp_path / "other", {"": 10})
    (other / "low").rename(other / "deep")
    flags = (f"--init={heard}", f"--dataset={other}/", "--epochs=1", f"--run_dir={tmp_path / 'run'}")
    assert "of other labels" in run("train.py", *flags, "--batch_size=8")
    assert runs.load_contract(runs.Run(tmp_path / "run")).input == runs.load_contract(runs.Run(heard)).input


@pytest.mark.slow
def test_the_page_records_what_is_spoken(heard, tmp_path):
    """Chromium hears a high tone from a file instead of a microphone, and a low one is dropped onto the page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium is here; as root on Debian, make browser installs it")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    t = np.arange(48000 * 3) / 48000
    (tmp_path / "spoken.wav").write_bytes(sound_files.wav(0.3 * np.sin(2 * np.pi * 1600 * t), 48000))
    (tmp_path / "low.wav").write_bytes(sound_files.wav(tone(500, 0.25, 8000), 8000))
    file = heard / "export" / "resnet8-int8-qat.tflite"
    command = [sys.executable, "-m", "keras_resnet.device", "serve", file, "--port=0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    switches = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    switches += [
        f"--use-file-for-fake-audio-capture={tmp_path / 'spoken.wav'}",
        "--autoplay-policy=no-user-gesture-required",
    ]
    try:
        address = server.stdout.readline().split()[0]
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=switches, timeout=120_000)
            page = browser.new_page()
            page.set_default_timeout(120_000)
            page.goto(address.replace("0.0.0.0", "127.0.0.1"))
            page.locator("#about", has_text="0.25 s at 8,000 Hz").wait_for()
            page.click("#record")
            page.locator("#answer", has_text="%").wait_for()
            assert page.inner_text("#answer li:first-child span:first-child") == "high", page.inner_text("#answer")
            page.set_input_files("#file", tmp_path / "low.wav")
            page.locator("#answer li:first-child", has_text="low").wait_for()
            assert page.evaluate("document.querySelector('#picture').naturalWidth") == 336
            page.set_input_files("#file", ROOT / "README.md")
            page.locator("#error", has_text="no WAV file").wait_for()
            browser.close()
    finally:
        server.terminate()
        server.wait()
