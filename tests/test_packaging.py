"""The wheel, as somebody who has no clone meets it; the benchmarks, shortened."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]


def built(folder):
    """The wheel of a copy of the working tree in a folder of its own, by the locked setuptools."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.split("\0")[:-1]:
        (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "tree" / name)  # with today's times, which a wheel must not hold
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "tree"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": "315532800"}  # 1980, where zips begin
    subprocess.run(build, check=True, capture_output=True, text=True, cwd=folder, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_wheel_trains_without_a_clone(tmp_path):
    wheel, again = built(tmp_path / "first"), built(tmp_path / "second")
    assert wheel.name == again.name and wheel.read_bytes() == again.read_bytes()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--quiet", str(wheel)]
    subprocess.run(install, check=True)
    # TensorFlow is borrowed; a .pth file runs nothing, so that the editable install of the clone stays out.
    pathlib.Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    flags = ["--dataset=digits", "--epochs=1", "--width=0.5", f"--run_dir={tmp_path / 'run'}"]
    output = subprocess.run(
        [tmp_path / "venv" / "bin" / "keras-resnet-train", *flags], capture_output=True, text=True, cwd=tmp_path
    )
    assert output.returncode == 0, output.stderr
    assert (tmp_path / "run" / "report.json").exists()
    program = tmp_path / "venv" / "bin" / "keras-resnet"

    def use(*arguments):
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path)

    output = use("export", "run", "--formats=int8-ptq", "--calibration=64")
    assert output.returncode == 0, output.stderr
    file = tmp_path / "run" / "export" / "resnet8-int8-ptq.tflite"
    assert "16/16 identical" in use("verify", file).stdout
    assert use("predict", file, ROOT / "docs" / "digit_3.png", "--json").stdout.startswith('{"picture": ')
    output = use("export", "run", "--formats=int8-ptq", "--android")
    assert output.returncode == 2 and "export from a clone of the repository" in output.stderr
    code = "import importlib.util; print(importlib.util.find_spec('export'))"
    assert subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path).stdout == "None\n"
    code = "import keras_resnet, keras_resnet.models as m; print(keras_resnet.__file__, [keras_resnet.load_pretrained(n)[0].name for n in m.names()])"  # noqa: E501
    output = subprocess.run([python, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
    assert str(tmp_path / "venv") in output
    assert "resnet8" in output


@pytest.mark.slow
def test_benchmark_of_the_step_prints_a_line_a_peer():
    command = [sys.executable, str(ROOT / "benchmarks" / "training_step.py"), "--rounds=1", "--steps=2", "--avx2"]
    *lines, last = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "AVX2 only" in lines[0]
    # He et al. 2015: 41 million multiplications forward, so 6 times as many operations in all.
    images_a_second = float(re.search(r"(\d+) images/s", lines[1])[1])
    rate, part, most = map(float, re.search(r"(\d+) billion .* (\d+)% of the (\d+) of", last).groups())
    assert rate == pytest.approx(6 * 0.041 * images_a_second, rel=0.05)
    assert part / 100 == pytest.approx(rate / most, abs=0.02)
    assert [line[:24].strip() for line in lines[1:]] == [
        "keras_resnet",
        "PyTorch channels-last",
        "stock Keras",
        "stock Keras, oneDNN on",
        "stock Keras, oneDNN off",
    ]
    assert all("images/s" in line or "not measured: PyTorch is not installed" in line for line in lines[1:])


@pytest.mark.slow
def test_benchmark_of_the_pipeline_prints_a_ratio():
    command = [sys.executable, str(ROOT / "benchmarks" / "input_pipeline.py"), "--dataset=digits", "--rounds=1"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "images/s" in lines[0] and lines[1].rstrip().endswith("x")
    failed = subprocess.run([*command, "--dataset=nowhere/"], capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.startswith("input_pipeline: ") and failed.stderr.count("\n") == 1


@pytest.mark.slow
def test_benchmark_of_fewer_bits_and_of_mlperf_tiny(finished):
    command = [sys.executable, "-m", "benchmarks.weight_bits", str(finished), "--epochs=1", "--bits=8,4"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    rows = json.loads((finished / "weight_bits.json").read_text())["rows"]
    kinds = [(8, "PTQ"), (8, "QAT"), (4, "PTQ"), (4, "QAT"), (4, "learned")]
    assert [(row["bits"], row["kind"]) for row in rows] == kinds
    for row in rows:
        assert row["agreement"] >= 0.99 and row["accuracy"] > 0.9
        assert f"{row['bytes']:,} bytes" in output
    assert rows[2]["bytes"] < 0.65 * rows[0]["bytes"]  # two weights in a byte
    with Image.open(finished / "weight_bits.png") as picture:
        assert picture.width > 600
    command = [sys.executable, "-m", "export", str(finished), "--formats=int8-ptq"]
    subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
    path = finished / "export" / "resnet8-int8-ptq.tflite"
    command = [sys.executable, "-m", "benchmarks.mlperf_tiny", str(path), str(path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.splitlines()
    size = int(lines[0].split()[1].replace(",", ""))
    assert 0.98 * rows[0]["bytes"] < size < path.stat().st_size - 500
