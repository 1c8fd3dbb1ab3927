"""What a person sees before TensorFlow is loaded."""

import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
from processes import told as run

from keras_resnet import files, runs
from keras_resnet.history import read_history

ROOT = pathlib.Path(__file__).parents[1]


def test_help_lists_every_flag_without_tensorflow():
    result = run("--help")
    assert "loaded: False" in result.stdout
    for flag in [
        "recipe",
        "dataset",
        "data_dir",
        "depth",
        "width",
        "version",
        "stem",
        "strategy",
        "precision",
        "epochs",
        "batch_size",
        "learning_rate",
        "seed",
        "run_dir",
        "split",
        "schedule",
        "label_smoothing",
        "max_bad_fraction",
        "save_seconds",
    ]:
        assert f"--{flag}:" in result.stdout, flag


def test_another_backend_of_keras_is_refused_before_tensorflow(tmp_path):
    result = run("--dataset=digits", f"--run_dir={tmp_path / 'run'}", KERAS_BACKEND="jax")
    assert result.returncode == 2
    assert result.stderr == "train: KERAS_BACKEND=jax: this program computes with TensorFlow; unset KERAS_BACKEND\n"
    assert "loaded: False" in result.stdout


def spoil(run_dir, **recipe):
    """Changes fields of a run's recipe."""
    made = files.read_json(run_dir / "recipe.json")
    made["versions"]["keras-resnet"] = "9.1.0"
    files.write_json(run_dir / "recipe.json", {**made, "recipe": {**made["recipe"], **recipe}})


def test_a_recipe_of_another_version_or_a_broken_one(finished):
    spoil(finished, colour="blue", mood=3)
    for flags in ((f"--init={finished}", "--control"), ("--dataset=digits", f"--run_dir={finished}")):
        result = run(*flags)
        assert result.returncode == 2
        assert "recipe.json: it was written by keras-resnet 9.1.0, this is 0." in result.stderr
        assert "which knows no colour, mood; install that version" in result.stderr
        assert result.stderr.count("\n") == 1 and "loaded: False" in result.stdout
    for text in ("{", "[1]", "{}", '{"recipe": {"epochs": "ten"}}', '{"recipe": 3}', "\udcff"):
        (finished / "recipe.json").write_text(text, errors="surrogateescape")
        result = run(f"--init={finished}", "--control")
        assert result.returncode == 2
        assert f"train: {finished}/recipe.json: this file is broken, or of another version (" in result.stderr
        assert result.stderr.count("\n") == 1


def test_broken_files_are_named(tmp_path):
    run = runs.Run(tmp_path)
    for path, read, texts in (
        (
            run.contract,
            lambda: runs.load_contract(run),
            ("", "[]", "{}", '{"rules": 1, "depth": 3}', '{"rules": 1, "labels": 3}', '{"version": 2}', "\udcff"),
        ),
        (
            run.history,
            lambda: read_history(run.history),
            (
                "epoch,loss\n1\n",
                "epoch,loss\n1,2,3\n",
                "epoch,loss\n1,two\n",
                "loss\n1\n",
                "\udcff,1\n1,1\n",
                "a" * 200_000,
            ),
        ),
        (
            run.recipe,
            lambda: runs.load_recipe(run),
            ("[" * 100_000, '{"recipe": "text"}', '{"recipe": {}, "a": ' + "[" * 100_000),
        ),
    ):
        for text in texts:
            path.write_text(text, errors="surrogateescape")
            with pytest.raises(ValueError, match=f"^{path}: this file is broken, or of another version"):
                read()


def test_a_control_whose_teachers_are_not_here_learns_the_labels(tmp_path):
    origin = shutil.copytree("keras_resnet/models/cifar10-jpeg-resnet8", tmp_path / "origin")
    made = files.read_json(origin / "recipe.json")
    made["recipe"]["teacher"] = "runs/gone"
    files.write_json(origin / "recipe.json", made)
    init = f"--init={origin}"
    # Another backend ends it where TensorFlow would be loaded: all flags were good.
    result = run(init, "--control", f"--run_dir={tmp_path / 'run'}", KERAS_BACKEND="jax")
    assert "runs/gone: teachers that are not here: it learns the labels, or those of --teacher=" in result.stdout
    assert result.stderr.startswith("train: KERAS_BACKEND=jax")
    made["recipe"]["teacher"] = "/elsewhere/keras_resnet/models/cifar10-jpeg-resnet20"
    files.write_json(origin / "recipe.json", made)
    result = run(init, "--control", f"--run_dir={tmp_path / 'run'}", KERAS_BACKEND="jax")
    assert "not here" not in result.stdout and result.stderr.startswith("train: KERAS_BACKEND=jax")
    result = run(init, "--control", "--teacher=nowhere")
    assert "--teacher=nowhere: no finished run is there" in result.stderr
    result = run("--teacher=cifar10-jpeg-resnet20", f"--run_dir={tmp_path / 'taught'}", KERAS_BACKEND="jax")
    assert result.stderr.startswith("train: KERAS_BACKEND=jax")  # a shipped model's name


def test_a_file_is_no_run(tmp_path):
    (tmp_path / "file").touch()
    result = run(f"--run_dir={tmp_path / 'file'}")
    assert (result.returncode, result.stdout) == (2, "loaded: False\n")
    assert (
        result.stderr == f"train: --run_dir={tmp_path / 'file'}: this is a file; give a folder, an empty or a new one\n"
    )


def test_what_is_said_before_an_abort_is_shown():
    code = (
        "import os; from keras_resnet import environment\nwith environment.without_noise(*environment.NOISE):\n"
        "    os.write(2, b'x cudart_stub.cc x\\nout of memory\\n'); os.abort()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == -signal.SIGABRT
    assert result.stderr == "out of memory\n"


def test_help_into_a_closed_pipe():
    process = subprocess.Popen(
        [sys.executable, "train.py", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGPIPE


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--depth=19", "train: --depth=19: no such ResNet; choose 18"),
        ("--epochs=0", "train: --epochs=0: expected at least 1"),
        ("--recipe=cifar", "value should be one of <digits|mnist|cifar10|cifar10_fast|cifar10_sprint|imagenet|"),
        ("--image_size=240x", "train: --image_size=240x: expected pixels, as 224, height x width, as 240x320, or 0"),
        ("--channels=2", "train: --channels=2: choose 0, 1, 3"),
        (b"--dataset=caf\xe9/", r"train: --dataset=b'caf\xe9/': expected UTF-8; rename it"),
        ("--save_seconds=nan", "train: --save_seconds=nan: expected a finite number"),
        ("--logical_cpus=100000", "logical_cpus=100000"),  # it would never end
        ("--strategy=tpu", "value should be one of <auto|one_device|mirrored|multi_worker>"),
        ("--learnin_rate=1", "Unknown command line flag 'learnin_rate'. Did you mean: learning_rate ?"),
        ("--epochs=ten", "flag --epochs=ten: expected a whole number; --help lists all flags"),
        ("--learning_rate=fast", "flag --learning_rate=fast: expected a number; --help lists all flags"),
        ("--dataset=./nowhere", "no such folder; give one that holds a folder per class"),
        ("--control", "--control: it trains on in float from a finished run; give --init=runs/NAME"),
        ("--quantize=int8", "expected a finished run to start from; give --init=runs/NAME"),
        ("--recipe=finetune", "--recipe=finetune: it starts from a network that has learned; give --init=keras"),
        ("--init=keras:resnet50", "--init=keras:resnet50: expected data to learn from, as --dataset=photos/"),
        ("--init=fsdd-resnet8", "--init=fsdd-resnet8: an int8 file, for keras-resnet predict; it learns no more"),
        ("--init=nowhere", "--init=nowhere: no finished run is there (no model.keras)"),
        ("--teacher=nowhere/,there", "--teacher=nowhere: no finished run is there (no model.keras); give a run's"),
        ("--teacher=there,", "--teacher=there,: expected runs' folders and commas, as runs/A,runs/B"),
        ("digits", "flags begin with --"),
    ],
)
def test_bad_flags_fail_before_tensorflow(flag, says):
    result = run(flag)
    assert result.returncode == 2
    assert says in result.stderr
    assert "loaded: False" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_data_sets_own_recipe_and_its_flags():
    code = """
import sys
from keras_resnet import command_line
command_line.define_flags()
command_line.FLAGS(sys.argv)
name, recipe = command_line.recipe_from_flags()
print(name, recipe.dataset, recipe.depth, recipe.augmentation, recipe.image_size, recipe.channels)
print(recipe.crop_fraction)
"""
    command = [sys.executable, "-c", code, "--dataset=svhn_cropped:3.1.0", "--image_size=24x32", "--channels=1"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert result.stdout == "mnist svhn_cropped:3.1.0 20 shift 24x32 1\n1.0\n", result.stderr
    for flags, crop in (
        ([], "0.95"),
        (["--resize=stretch"], "1.0"),
        (["--resize=stretch", "--crop_fraction=0.9"], "0.9"),
    ):
        command = [sys.executable, "-c", code, "--recipe=imagenet_a1", "--dataset=stanford_dogs", *flags]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
        assert result.stdout.splitlines()[-1] == crop, result.stderr


def test_a_shipped_model_is_continued_outside_of_the_package(tmp_path):
    code = """
import sys
from keras_resnet import command_line
command_line.define_flags()
command_line.FLAGS(sys.argv)
name, recipe = command_line.recipe_from_flags()
print(name, recipe.dataset, command_line.default_run_dir(name, recipe))
"""
    for flags, said in (((), "control digits runs/digits-resnet8/control"), (["--recipe=probe"], "probe digits runs/")):
        command = [sys.executable, "-c", code, "--init=digits-resnet8", *flags]
        result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
        assert result.stdout.startswith(said), result.stderr


def test_other_kinds_of_input_and_runs_in_the_data(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "train.tsv").write_text("a\tone\nb\ttwo\n")
    for flags, said in (
        ([f"--dataset={tmp_path}/texts/", "--init=digits-resnet8"], "it has read pictures, .*/texts/ has texts"),
        ([f"--dataset={tmp_path}/texts/", "--image_size=32"], "--image_size=32: it is of pictures, .* has texts; drop"),
        (
            [f"--dataset={tmp_path}/texts/", f"--run_dir={tmp_path}/texts/run"],
            "run: it lies in the data set",
        ),
    ):
        result = run(*flags)
        assert result.returncode == 2 and re.search(said, result.stderr), result.stderr
        assert "loaded: False" in result.stdout
    assert [path.name for path in (tmp_path / "texts").iterdir()] == ["train.tsv"]
