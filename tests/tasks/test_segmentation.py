"""A segmenter learns from a folder of label maps, becomes files, and draws the masks that MediaPipe draws."""

import base64
import io
import json
import pathlib
import subprocess
import sys
import urllib.request

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_resnet import files, recipes, runs, tasks
from keras_resnet.data.loading import load_dataset
from keras_resnet.device import drawing
from keras_resnet.device.contract import Contract
from keras_resnet.device.mask import Mask
from keras_resnet.device.picture import Picture
from keras_resnet.device.reader import Reader
from keras_resnet.networks import pyramid
from keras_resnet.networks.resnet import ResNet
from keras_resnet.networks.segmenter import segmenter
from keras_resnet.tasks import mask_metrics, overlap, segmentation

LOSSES = ("auto", "lovasz")
ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ("--image_size=64x96", "--width=0.125", "--learning_rate=0.005", "--ema=0")


def draw(root, counts):
    """A folder of pictures and label maps: bright squares and dark discs on gray noise, drawn by a seed."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            pixels, mask = rng.integers(90, 160, (64, 96, 3)), np.zeros((64, 96), np.uint8)
            for quarter in rng.permutation(4)[: rng.integers(1, 4)]:
                side, kind = rng.integers(14, 28), rng.integers(2)
                top, left = rng.integers(0, 32 - side + 1), rng.integers(0, 48 - side + 1)
                top, left = top + 32 * (quarter // 2), left + 48 * (quarter % 2)
                y, x = np.mgrid[:side, :side] - (side - 1) / 2
                shape = np.ones((side, side), bool) if kind else x**2 + y**2 <= (side / 2) ** 2
                pixels[top : top + side, left : left + side][shape] = 240 if kind else 20
                mask[top : top + side, left : left + side][shape] = 1 + kind
            Image.fromarray(pixels.astype(np.uint8)).save(root / "images" / split / f"{number:02}.png")
            Image.fromarray(mask).save(root / "masks" / split / f"{number:02}.png")
    (root / "classes.txt").write_text("ground\ndisc\nsquare\n")
    return root


def train(folder, run_dir, *flags):
    command = [sys.executable, "train.py", f"--dataset={folder}/", f"--run_dir={run_dir}", *FLAGS, *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("masks"), {"train": 48, "val": 12})


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory):
    """A finished run, and what its training said."""
    path = tmp_path_factory.mktemp("trained") / "run"
    result = train(shapes, path, "--epochs=15")
    assert result.returncode == 0, result.stderr
    return runs.Run(path), result.stdout


@pytest.fixture(scope="module")
def exported(trained):
    """The folder of its files."""
    run, _ = trained
    command = [sys.executable, "-m", "export", run.path, "--formats=float32,int8-ptq,int8-qat", "--qat_epochs=2"]
    result = subprocess.run([*command, "--tolerance=10"], capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert result.returncode == 0, result.stderr
    return run.path / "export"


def test_a_loss_worked_out_by_hand():
    """Two pixels of class 0, one of class 1 that weighs more, one that is ignored; scores of the masks' own size."""
    task = segmentation.Segmentation(Contract(Picture(2, 2, 3), Mask(("a", "b"), (2, 2))))
    masks = np.array([[[0, 0], [1, 255]]], np.uint8)
    logits = np.log(np.array([[[[0.5, 0.5], [0.9, 0.1]], [[0.2, 0.8], [0.01, 0.99]]]], np.float32))
    plain = task.loss(recipes.Recipe(), masks)(tf.constant(masks), tf.constant(logits))
    assert float(plain[0]) == pytest.approx(-np.log([0.5, 0.9, 0.8]).mean(), rel=1e-5)
    weights = segmentation.class_weights(masks, 2)
    np.testing.assert_allclose(weights, 1 / np.log([1.1 + 2 / 3, 1.1 + 1 / 3]), rtol=1e-6)
    weighted = task.loss(recipes.Recipe(class_weights="balanced"), masks)(tf.constant(masks), tf.constant(logits))
    w = weights[[0, 0, 1]]
    assert float(weighted[0]) == pytest.approx(-(w * np.log([0.5, 0.9, 0.8])).sum() / w.sum(), rel=1e-5)


def test_pictures_of_which_less_is_known_count_less():
    """What a batch loses is the mean of its pixels, whichever pictures they are of; what is taught, of its cells."""
    task = segmentation.Segmentation(Contract(Picture(2, 2, 3), Mask(("a", "b"), (2, 2))))
    rng = np.random.default_rng(0)
    masks = np.array([[[0, 1], [1, 0]], [[0, 255], [255, 255]]], np.uint8)
    logits = rng.normal(0, 1, (2, 2, 2, 2)).astype(np.float32)
    crossed = np.log(np.exp(logits).sum(-1)) - np.where(masks == 1, logits[..., 1], logits[..., 0])
    made = task.loss(recipes.Recipe())(tf.constant(masks), tf.constant(logits))
    assert float(tf.reduce_mean(made)) == pytest.approx(crossed[masks < 255].mean(), rel=1e-5)
    taught = rng.dirichlet((1, 1), (2, 2, 2)).astype(np.float32)
    expected = (np.log(np.exp(logits).sum(-1)) - (taught * logits).sum(-1)).mean((1, 2))
    made = task.taught_loss(recipes.Recipe())(tf.constant(taught), tf.constant(logits))
    np.testing.assert_allclose(made, expected, rtol=1e-5)
    never = logits - np.float32([0, 9])  # nothing is of class 1: what speaks for it anywhere
    np.testing.assert_allclose(task.evidence([tf.constant(never)], 1), never[..., 1].mean((1, 2)), rtol=1e-5)


def test_lovasz_is_the_overlap_that_is_lost():
    """Of sure answers 1 - IoU; of others, for each class, its extension over all orders of errors, written out."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 60)
    targets[targets == 3] = 255  # unknown, and class 3 is not there
    sure = np.where(rng.random(60) < 0.3, rng.integers(0, 4, 60), np.minimum(targets, 3))
    known, ious = targets < 255, []
    for kind in range(3):
        both = (targets == kind) & (sure == kind) & known
        ious.append(both.sum() / (((targets == kind) | (sure == kind)) & known).sum())
    made = overlap.lovasz(tf.constant(targets, tf.int32), tf.one_hot(sure, 4) * 80.0)
    assert float(made) == pytest.approx(1 - np.mean(ious), abs=1e-5)
    logits = rng.normal(0, 1, (60, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    losses = []
    for kind in range(3):
        there = targets[known] == kind
        errors = np.abs(there - probabilities[known, kind])
        wrong, before, loss = set(), 0.0, 0.0
        for i in np.argsort(-errors):
            wrong.add(i)
            lost = len(wrong) / len({*np.flatnonzero(there)} | wrong)
            loss, before = loss + errors[i] * (lost - before), lost
        losses.append(loss)
    compiled = tf.function(overlap.lovasz, jit_compile=True)
    made = compiled(tf.constant(targets, tf.int32), tf.constant(logits, tf.float32))
    assert float(made) == pytest.approx(np.mean(losses), abs=1e-6)
    assert float(overlap.lovasz(tf.fill((9,), 255), tf.zeros((9, 4)))) == 0


def test_lovasz_is_added_to_what_is_learned():
    task = segmentation.Segmentation(Contract(Picture(7, 13, 3), Mask(("a", "b"), (4, 6))))
    rng = np.random.default_rng(0)
    masks, cells = rng.integers(0, 2, (2, 7, 13)).astype(np.uint8), rng.normal(0, 1, (2, 4, 6, 2)).astype(np.float32)
    losses = [task.loss(recipes.Recipe(loss=name))(tf.constant(masks), tf.constant(cells)) for name in LOSSES]
    there = tf.constant(masks[:, ::2, [0, 2, 5, 7, 10, 12]].ravel(), tf.int32)  # corners onto corners: each 2.4 pixels
    more = overlap.lovasz(there, tf.constant(cells.reshape(-1, 2)))
    np.testing.assert_allclose(losses[1] - losses[0], [float(more)] * 2, rtol=1e-5)
    with pytest.raises(ValueError, match="--loss=focal: it can't be had of pictures with masks; choose auto or lovasz"):
        task.check(recipes.Recipe(loss="focal"))


@pytest.mark.parametrize("size", [(24, 36), (25, 31), (6, 9)])
def test_a_training_resizes_as_the_contract_does(size):
    scores = np.random.default_rng(0).normal(0, 1, (3, 6, 9, 4)).astype(np.float32)
    large = tf.function(lambda x: segmentation.resized(x, size), jit_compile=True)(tf.constant(scores)).numpy()
    for one, made in zip(scores, large, strict=True):
        np.testing.assert_array_equal(Mask(tuple("abcd"), (6, 9)).decode(one, *size), made.argmax(-1))
    np.testing.assert_allclose(large[:, 0, 0], scores[:, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(large[:, -1, -1], scores[:, -1, -1], rtol=1e-6)
    theirs = tf.compat.v1.image.resize_bilinear(scores, size, align_corners=True).numpy()
    np.testing.assert_allclose(large, theirs, atol=1e-5)


def test_figures_beside_sets_of_pixels():
    rng = np.random.default_rng(0)
    contract = Contract(Picture(8, 12, 3), Mask(("a", "b", "c", "never"), (8, 12)))
    figures = mask_metrics.Masks(contract)
    found, wanted = [], []
    for _ in range(3):
        scores = rng.normal(0, 1, (2, 8, 12, 4))
        scores[..., 3] = -9
        masks = rng.choice([0, 1, 2, 255], (2, 8, 12)).astype(np.uint8)
        figures.add(scores, masks)
        found += scores.argmax(-1)[masks < 255].tolist()
        wanted += masks[masks < 255].tolist()
    sets = [[{i for i, kind in enumerate(of) if kind == number} for of in (found, wanted)] for number in range(3)]
    expected = [len(a & b) / len(a | b) for a, b in sets]
    np.testing.assert_allclose(figures.overlaps()[:3], expected)
    assert np.isnan(figures.overlaps()[3])
    scores = figures.scores()
    assert scores["mean_iou"] == pytest.approx(np.mean(expected))
    assert scores["pixel_accuracy"] == pytest.approx(np.mean(np.equal(found, wanted)))
    assert figures.warning(contract.labels) is None


def test_boundaries_worked_out_by_hand():
    square = np.zeros((200, 200), np.uint8)
    square[50:150, 50:150] = 1
    for off, expected in ((0, 1.0), (2, 1.0), (9, None)):  # 0.75 % of the diagonal are two pixels
        edges = mask_metrics.Boundaries(2)
        edges.add(np.roll(square, off, 0), square)
        assert edges.score() == pytest.approx(expected) if expected else edges.score() < 0.7
    nothing = mask_metrics.Boundaries(2)
    nothing.add(np.zeros_like(square), square)
    assert nothing.score() < 0.1
    assert mask_metrics.edge(square > 0).sum() == 4 * 99
    one = np.zeros((7, 9), bool)
    one[3, 4] = True
    wide = mask_metrics.widened(one, 2)
    assert wide.sum() == 25 and wide[1:6, 2:7].all()


@pytest.mark.slow
def test_a_segmenter_learns_resumes_and_reports(shapes, trained):
    run, said = trained
    report = files.read_json(run.report)["validation"]
    assert report["mean_iou"] > 0.6 and set(report["per_class_iou"]) == {"ground", "disc", "square"}
    assert 0 < report["boundary_f"] < 1 and report["pixel_accuracy"] > 0.9
    for name in ("curves", "validation_worst", "validation_overlaps", "validation_confusion"):
        assert (run.figures / f"{name}.png").stat().st_size > 10_000
    assert "mean IoU " in said and "boundary F-score" in said
    again = train(shapes, run.path, "--epochs=15")
    assert again.returncode == 0 and "finished" in again.stdout + again.stderr


@pytest.mark.slow
def test_files_of_a_segmenter_are_held_to_it(shapes, trained, exported):
    report = files.read_json(exported / "comparison.json")
    data = load_dataset(f"{shapes}/", image_size="64x96")
    rows = {row["format"]: row for row in report["formats"]}
    assert report["float_accuracy"] == pytest.approx(files.read_json(trained[0].report)["validation"]["mean_iou"])
    for name, row in rows.items():
        reader = Reader(exported / f"resnet18_segmenter-{name}.tflite")
        figures = mask_metrics.Masks(reader.contract)
        figures.add(
            np.stack([reader.dequantize(reader.run(image)) for image in data.validation.images]), data.validation.labels
        )
        assert row["accuracy"] == pytest.approx(figures.scores()["mean_iou"]) and abs(row["difference"]) < 0.1
        assert (row["float_tensors"] == 0) == name.startswith("int8") and row["interval"] is None
        assert row["agreement"] > (0.999 if name != "int8-ptq" else 0.99)
    command = [sys.executable, "-m", "keras_resnet.device", "verify", *sorted(exported.glob("*.tflite"))]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0 and result.stdout.count("12/12 identical") == 3, result.stdout + result.stderr
    golden = exported / "resnet18_segmenter-int8-qat.golden.json"
    saved = files.read_json(golden)
    saved["pictures"][0]["answer"]["sha256"] = "0" * 64
    golden.write_text(json.dumps(saved))
    result = subprocess.run([*command[:4], golden.with_name("resnet18_segmenter-int8-qat.tflite")], capture_output=True)
    assert result.returncode == 1 and b"11/12 identical" in result.stdout


@pytest.mark.slow
def test_mediapipe_draws_what_the_reader_draws(mediapipe_python, shapes, exported, tmp_path):
    """Of pictures of the network's size, whose pixels both take as they are."""
    paths = [exported / f"resnet18_segmenter-{name}.tflite" for name in ("int8-qat", "int8-ptq", "float32")]
    for path in sorted((shapes / "images" / "val").glob("*.png")):
        Image.open(path).save(tmp_path / path.name)
    script = ROOT / "tests" / "export" / "mediapipe_masks.py"
    command = [mediapipe_python, script, tmp_path, tmp_path / "masks.npz", *paths]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    with np.load(tmp_path / "masks.npz") as theirs:
        for number, path in enumerate(paths):
            reader = Reader(path)
            for picture in sorted(tmp_path.glob("*.png")):
                same = reader.predict(picture).mask == theirs[f"{number}/{picture.stem}"]
                assert same.mean() > 0.999, (path.stem, picture.stem)  # of equal int8 scores it may take another
            assert len(list(tmp_path.glob("*.png"))) == 12


@pytest.mark.slow
def test_masks_are_written_as_maps_and_over_pictures(shapes, exported, tmp_path):
    model, folder = exported / "resnet18_segmenter-int8-qat.tflite", shapes / "images" / "val"
    command = [sys.executable, "-m", "keras_resnet.device", "predict", model, folder, "--json"]
    command += [f"--maps={tmp_path / 'maps'}", f"--draw={tmp_path / 'drawn'}"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    lines, reader = list(map(json.loads, result.stdout.splitlines())), Reader(model)
    for line, path in zip(lines, sorted(folder.glob("*.png")), strict=True):
        shown = reader.predict(path)
        assert line["parts"] == shown.as_json()["parts"]
        np.testing.assert_array_equal(Image.open(tmp_path / "maps" / path.name), shown.mask)
        drawn = drawing.drawn(Image.open(path), shown, reader.contract.labels)
        np.testing.assert_array_equal(Image.open(tmp_path / "drawn" / path.name), drawn)
    wrong = subprocess.run([*command[:6], "--coco"], capture_output=True, text=True, cwd=ROOT)
    assert wrong.returncode == 2 and "this model answers with mask, not with boxes" in wrong.stderr


@pytest.mark.slow
def test_the_page_shows_the_picture_with_its_mask(shapes, exported):
    """The answer to an upload has the picture with the mask over it, at its own size where that is small."""
    path = next((shapes / "images" / "val").glob("*.png"))
    command = [sys.executable, "-m", "keras_resnet.device", "serve", exported / "resnet18_segmenter-int8-qat.tflite"]
    with subprocess.Popen([*command, "--port=0"], stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            address = server.stdout.readline().split()[0]
            with urllib.request.urlopen(f"{address}/about") as response:
                assert json.load(response)["answers"] == "3 classes of pixels"
            request = urllib.request.Request(f"{address}/classify", path.read_bytes(), method="POST")
            with urllib.request.urlopen(request) as response:
                answer = json.load(response)
        finally:
            server.terminate()
    reader = Reader(exported / "resnet18_segmenter-int8-qat.tflite")
    shown = reader.predict(path)
    assert answer["parts"] == shown.as_json()["parts"]
    picture = Image.open(io.BytesIO(base64.b64decode(answer["picture"].partition(",")[2])))
    expected = drawing.drawn(Image.open(path), shown, reader.contract.labels)
    assert picture.size == expected.size
    assert np.abs(np.asarray(picture, float) - np.asarray(expected, float)).mean() < 8  # JPEG's losses


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [("--compile=xla",), ("--strategy=mirrored", "--logical_cpus=2"), ("--precision=mixed_bfloat16", "--ema=0.9")],
    ids=" ".join,
)
def test_a_segmenter_learns_on_any_hardware(shapes, tmp_path, flags):
    result = train(shapes, tmp_path / "run", "--epochs=1", *flags)
    assert result.returncode == 0, result.stderr
    row = files.read_json(tmp_path / "run" / "report.json")["validation"]
    assert np.isfinite(row["loss"]) and row["images"] == 12


@pytest.mark.slow
def test_a_segmenter_learns_from_windows(shapes, tmp_path):
    """And with cells of two pixels, on its stem's map."""
    flags = (
        "--image_size=64x64",
        "--strides=2",
        "--train_size=32",
        "--augmentation=zoom,flip,light,mosaic",
        "--passes=2",
        "--precision=mixed_bfloat16",
    )
    result = train(shapes, tmp_path / "run", "--epochs=12", *flags)
    assert result.returncode == 0, result.stderr
    report = files.read_json(tmp_path / "run" / "report.json")["validation"]
    assert report["mean_iou"] > 0.7 and report["images"] == 12
    assert Contract.load(tmp_path / "run" / "contract.json").output.size == (32, 32)
    command = [sys.executable, "-m", "export", tmp_path / "run", "--qat_epochs=1", "--formats=int8-qat"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=500)
    assert result.returncode in (0, 1), result.stderr  # one epoch may lose
    reader = Reader(tmp_path / "run" / "export" / "resnet18_segmenter-int8-qat.tflite")
    assert reader.contract.output.size == (32, 32) and reader.input["dtype"] == np.uint8
    assert files.read_json(tmp_path / "run" / "qat" / "recipe.json")["recipe"]["train_size"] == 0
    result = train(shapes, tmp_path / "q", "--quantize=int8", f"--init={tmp_path / 'run'}", *flags[:3])
    assert result.returncode == 2 and "--train_size=32: cut out of 64x64 pixels" in result.stderr
    for size, said in (
        ("40", "cut out of 64x96 pixels, windows of such a side have maps that do not fit together; nearest that do: "),
        ("264", "the pictures have 64x96 pixels; nearest that do: 64"),
    ):
        result = train(shapes, tmp_path / "odd", "--epochs=1", f"--train_size={size}")
        assert result.returncode == 2 and f"--train_size={size}: {said}" in result.stderr, result.stderr
        assert not (tmp_path / "odd" / "model.keras").exists()


@pytest.mark.slow
def test_what_masks_cannot_do(shapes, tmp_path):
    result = train(shapes, tmp_path / "run", "--mixup=0.2", "--epochs=1")
    assert result.returncode == 2 and "--mixup=0.2: it can't be had of pictures with masks; drop it" in result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "run" / "model.keras").exists()
    result = train(shapes, tmp_path / "run", "--strides=16", "--epochs=1")
    assert result.returncode == 2 and "--strides=16: cells of masks have 4 pixels, or 2" in result.stderr
    result = train(shapes, tmp_path / "run", "--augmentation=gain,stretch", "--epochs=1")
    assert result.returncode == 2
    assert "--augmentation=stretch,gain: these are pictures with masks; give steps that are not later" in result.stderr


def test_tasks_of_contracts():
    task = tasks.of(Contract(Picture(8, 8, 3), Mask(("a", "b"), (2, 2))))
    assert isinstance(task, segmentation.Segmentation) and task.best("auto") == "mean_iou"
    targets = np.array([[[0, 0], [0, 1]], [[0, 0], [0, 255]]], np.uint8)
    assert task.groups(targets).tolist() == [1, 0]
    scores = np.random.default_rng(0).normal(0, 1, (3, 2, 2, 2))
    agreed, compared = task.agreement(scores, scores)
    assert agreed.tolist() == compared.tolist() == [64, 64, 64]
    assert task.agreement(scores, -scores)[0].sum() == 0


def test_what_is_unknown_makes_no_edge():
    y, x = np.mgrid[:200, :200] - 100
    disc, ring = (x**2 + y**2 < 60**2).astype(np.uint8), abs(np.hypot(x, y) - 60) < 3
    for found in (np.ones_like(disc), np.zeros_like(disc), (x**2 + y**2 < 40**2).astype(np.uint8)):
        edges = mask_metrics.Boundaries(2)
        edges.add(found, np.where(ring, 255, disc).astype(np.uint8))
        assert edges.score() < 0.05


@pytest.mark.parametrize("size", [(10, 13), (9, 13)])
def test_losses_are_of_the_pixels_that_lie_on_the_cells(size):
    """Of whatever decodes to one class everywhere, by the same rule, corners onto corners."""
    masks = np.full((1, *size), 255, np.uint8)
    rows, columns = (np.round(np.arange(4) * (side - 1) / 3).astype(int) for side in size)
    masks[0, rows[:, None], columns] = 1
    scores = np.log(np.full((1, 4, 4, 2), (0.2, 0.8)))
    mask = Mask(("a", "b"), (4, 4))
    np.testing.assert_allclose(mask_metrics.losses(mask, scores, masks), [-np.log(0.8)], rtol=1e-6)
    masks[0, rows[1], columns[2]] = 0
    wanted = (15 * -np.log(0.8) - np.log(0.2)) / 16
    np.testing.assert_allclose(mask_metrics.losses(mask, scores, masks), [wanted], rtol=1e-6)


def test_cells_of_windows_lie_where_those_of_whole_pictures_do():
    """On maps of 4 pixels a corner away from every edge: sides that differ by 32 alone."""
    backbone = ResNet(18, (97, 129, 3), width=0.25, stem="imagenet", features=True)
    model = segmenter(backbone, 3, 16)
    assert [n for n in range(60, 98) if pyramid.fits(model, (n, n + 32))] == [65, 97]
    assert not pyramid.fits(model, (65, 96))
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 97, 129, 3)).astype(np.float32)
    maps = keras.Model(model.input, model.get_layer("stem_relu").output)  # of 2 pixels, padded once
    windows = segmenter(ResNet(18, (65, 97, 3), width=0.25, stem="imagenet", features=True), 3, 16)
    windows.set_weights(model.get_weights())
    cut = keras.Model(windows.input, windows.get_layer("stem_relu").output)
    whole, part = (np.asarray(of(one)) for of, one in ((maps, picture), (cut, picture[:, 32:, 32:])))
    np.testing.assert_allclose(part[:, 4:-4, 4:-4], whole[:, 20:-4, 20:-4], rtol=1e-4, atol=1e-5)
