"""Label maps of three layouts: the same targets, what is ignored, what is refused, what moves with the pixels."""

import json
import pathlib
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from small_sets import KrMasked

from keras_resnet import recipes
from keras_resnet.data import DataError, augmentation, check_places, label_maps, masks, sources, tfds_masks
from keras_resnet.data.data_service import Service
from keras_resnet.data.dataset import reading
from keras_resnet.data.loading import load_dataset
from keras_resnet.device.picture import Picture

NAMES = ["ground", "void", "tree"]
rng = np.random.default_rng(0)
SHOWN = {
    split: [rng.integers(0, 256, (24, 32, 3), np.uint8) for _ in range(n)] for split, n in (("train", 3), ("val", 2))
}
MAPS = {split: [rng.choice([0, 1, 2, 255], (24, 32)).astype(np.uint8) for _ in of] for split, of in SHOWN.items()}


def write(root, pattern, mask_pattern, palette=False):
    """Writes all pictures and maps by paths of a split and a number."""
    for split, pictures in SHOWN.items():
        for number, (pixels, values) in enumerate(zip(pictures, MAPS[split], strict=True)):
            for path, array in ((pattern, pixels), (mask_pattern, values)):
                file = root / path.format(split=split, number=number)
                file.parent.mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(array)
                if palette and path == mask_pattern:
                    image.putpalette(list(range(256)) * 3)
                image.save(file)


def as_camvid(root):
    write(root, "{split}/{number}.png", "{split}annot/{number}.png")
    (root / "classes.json").write_text(json.dumps(NAMES))


def as_voc(root):
    write(root, "JPEGImages/{split}{number}.png", "SegmentationClass/{split}{number}.png", palette=True)
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, pictures in SHOWN.items():
        (lists / f"{split}.txt").write_text("".join(f"{split}{i}\n" for i in range(len(pictures))))
    (lists / "trainval.txt").write_text("train0\nval0\n")
    (root / "classes.txt").write_text("ground\nvoid\ntree\n\n")


def as_folders(root):
    write(root, "images/{split}/{number}.png", "masks/{split}/{number}.png")
    (root / "classes.txt").write_text("\n".join(NAMES))


def test_gray_pixels_of_four_bits_are_numbers_too(tmp_path):
    as_camvid(tmp_path)

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    values = np.minimum(MAPS["train"][0], 2)
    rows = b"".join(b"\0" + bytes(row[::2] << 4 | row[1::2]) for row in values)
    head = struct.pack(">IIBBBBB", 32, 24, 4, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path = tmp_path / "trainannot" / "0.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    table = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(label_maps.read(tmp_path / "train" / "0.png", path, table), values)


def test_a_mosaic_of_masks_is_that_of_their_pictures():
    values = rng.integers(0, 200, (16, 24, 32), np.uint8)
    shown, made = masks.mosaic(values[..., None], values, np.array([3, 4], np.int32))
    np.testing.assert_array_equal(made, shown[..., 0])
    same = (made.numpy() == values).mean((1, 2))
    assert 4 < np.sum(same == 1) < 12 and same.min() < 0.7
    assert np.all(made[:, 0, 0] == values[:, 0, 0])  # of a divided picture the first quarter stays its own


def test_what_belongs_to_nothing_is_said(tmp_path):
    as_folders(tmp_path)
    for kind in ("images", "masks"):
        (tmp_path / kind / "val").rename(tmp_path / kind / {"images": "test", "masks": "valid"}[kind])
    said = [f"left out: {tmp_path}/images/test, for there is no {tmp_path}/masks/test"]
    said.append(f"left out: {tmp_path}/masks/valid, for there is no {tmp_path}/images/valid")
    assert load_dataset(f"{tmp_path}/", image_size="24x32").note.splitlines() == said
    (tmp_path / "images" / "train" / "1.png").unlink()
    said.insert(1, f"left out: 1 label map without a picture, as {tmp_path}/masks/train/1.png")
    assert check_places.look_for(tmp_path).told[-3:] == said
    for kind in ("images", "masks"):
        (tmp_path / kind / "training").mkdir()
    with pytest.raises(DataError, match="images/training: both are of train pictures; put them into one folder"):
        label_maps.pairs(tmp_path)


def test_numbers_of_two_bytes_are_numbers_too(tmp_path):
    as_camvid(tmp_path)
    path, table = tmp_path / "trainannot" / "0.png", np.arange(256, dtype=np.uint8)
    Image.fromarray(MAPS["train"][0].astype(np.uint16)).save(path)
    assert Image.open(path).mode == "I;16"
    np.testing.assert_array_equal(label_maps.read(tmp_path / "train" / "0.png", path, table), MAPS["train"][0])
    Image.fromarray(MAPS["train"][0].astype(np.uint16) + 1).save(path)
    with pytest.raises(DataError, match="its pixels are I;16; expected a gray or palette PNG of numbers below 256"):
        label_maps.read(tmp_path / "train" / "0.png", path, table)


def test_train_and_validation_in_one_list(tmp_path):
    as_voc(tmp_path)
    lists = tmp_path / "ImageSets" / "Segmentation"
    assert {split: len(of) for split, of in label_maps.pairs(tmp_path).items()} == {"train": 3, "validation": 2}
    (lists / "train.txt").rename(lists / "train_2012.txt")
    (lists / "val.txt").rename(lists / "val_2012.txt")
    assert {split: len(of) for split, of in label_maps.pairs(tmp_path).items()} == {"train": 3, "validation": 2}
    (lists / "train_2012.txt").unlink()
    (lists / "val_2012.txt").unlink()
    assert [pathlib.Path(path).stem for path, _ in label_maps.pairs(tmp_path)["train"]] == ["train0", "val0"]


def test_words_within_names_are_no_ignored_classes():
    names = ("ground", "ovoid cell", "Void", "ignore_region", "unlabelled", "devoid", "tree")
    assert label_maps.classes(names) == ("ground", "ovoid cell", "devoid", "tree")


def test_groups_are_of_folders_per_class(tmp_path):
    as_camvid(tmp_path)
    for name in (f"{tmp_path}/", "digits", "cifar10"):
        with pytest.raises(DataError, match="--group_by=a: it is of a folder with a folder per class; drop it"):
            load_dataset(name, image_size="24x32", group_by="a")


@pytest.mark.parametrize("layout", [as_camvid, as_voc, as_folders])
def test_the_same_targets_in_every_layout(tmp_path, layout):
    layout(tmp_path)
    assert recipes.default_recipe(f"{tmp_path}/") == "segmentation"
    data = load_dataset(f"{tmp_path}/", image_size="24x32")
    assert data.contract.output.labels == ("ground", "tree") and data.contract.output.size == (6, 8)
    table = np.full(256, 255, np.uint8)
    table[[0, 2]] = 0, 1
    np.testing.assert_array_equal(data.validation.images, SHOWN["val"])
    np.testing.assert_array_equal(data.validation.labels, table[np.array(MAPS["val"])])
    assert (len(data.train), len(data.test)) == (2, 1)  # a test split is drawn
    again = load_dataset(f"{tmp_path}/", image_size="24x32")
    assert again.fingerprint == data.fingerprint
    mask = next(path for path in tmp_path.rglob("*1.png") if re.search("annot|Class|masks", str(path.parent)))
    values = np.asarray(Image.open(mask)).copy()
    values[0, 0] = 0 if values[0, 0] == 2 else 2
    Image.fromarray(values).save(mask)
    assert load_dataset(f"{tmp_path}/", image_size="24x32").fingerprint != data.fingerprint


@pytest.mark.parametrize("resize", ["cover", "stretch"])
@pytest.mark.parametrize(("size", "crop"), [((40, 64), 1.0), ((64, 40), 0.8), ((30, 90), 0.5)])
def test_maps_lie_where_the_pixels_do(tmp_path, size, crop, resize):
    """A picture whose pixels are its classes, resized and cropped, and its map: the same but for edges."""
    values = np.kron(rng.integers(0, 2, (4, 4)), np.ones((size[0] // 4 + 1, size[1] // 4 + 1)))[: size[0], : size[1]]
    Image.fromarray((values * 255).astype(np.uint8)).save(tmp_path / "p.png")
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "m.png")
    picture = Picture(32, 48, 1, crop, resize=resize)
    values = label_maps.read(tmp_path / "p.png", tmp_path / "m.png", label_maps.numbers(["a", "b"]))
    made = label_maps.placed(values, picture)
    shown = picture.pixels(Image.open(tmp_path / "p.png"))[..., 0]
    sure = (shown < 20) | (shown > 235)
    assert made.shape == (32, 48) and (made[sure] == (shown > 127)[sure]).mean() > 0.99


@pytest.mark.parametrize("steps", [("crop", "flip"), ("zoom", "flip", "vflip"), ("shift",)])
def test_maps_move_with_the_pixels(steps):
    values = np.kron(rng.integers(0, 2, (16, 4, 4)), np.ones((8, 8))).astype(np.uint8)
    images = values[..., None] * 255
    shown, moved = augmentation.augment(images, values, np.array([3, 4], np.int32), steps, masks.move)
    shown, moved = shown.numpy()[..., 0], moved.numpy()
    assert moved.dtype == np.uint8 and moved.shape == values.shape
    known = moved < 255
    if steps == ("crop", "flip"):
        np.testing.assert_array_equal(moved[known] * 255, shown[known])
        assert set(np.unique(shown[~known])) == {128} and 0 < (~known).sum() < known.sum()
    else:
        sure = known & ((shown < 60) | (shown > 195))
        assert (moved[sure] == (shown > 127)[sure]).mean() > 0.98 and sure.mean() > 0.4


@pytest.mark.parametrize(("steps", "most"), [((), 1.0), (("flip", "vflip"), 1.0), (("zoom", "flip"), 3.0)])
def test_windows_lie_anywhere_with_their_maps(steps, most):
    y, x = np.mgrid[:24, :32]
    values = np.stack([(y * 8 + x // 4).astype(np.uint8)] * 256)  # tells the place, and none is 255
    shown, moved = augmentation.augment(
        values[..., None], values, np.array([3, 4], np.int32), steps, masks.move, zoom=3.0, window=(12, 20)
    )
    shown, moved = shown.numpy()[..., 0], moved.numpy()
    assert shown.shape == moved.shape == (256, 12, 20)
    if most == 1:
        np.testing.assert_array_equal(shown, moved)
        rows, columns = np.unique([divmod(int(one.min()), 8) for one in moved], axis=0).T
        assert {*rows} == {*range(13)} and {*columns} == {0, 1, 2, 3} and len(rows) > 39  # columns are of four pixels
    outside = (moved == 255).any((1, 2))
    assert outside.any() == (most == 3) and not outside.all()
    small = [one[one < 255] for one in moved if (one < 255).sum() < 100]  # pictures that lie in their window whole
    assert all(one.min() < 24 and one.max() > 167 for one in small) and bool(small) == (most == 3)


def test_windows_of_any_zoom_lie_everywhere_as_often():
    """In a larger picture, and a smaller picture in its window."""
    moves = augmentation.draw_moves((60, 80), 4000, np.array([1, 2], np.int32), {"zoom"}, 1.7, (40, 60))
    free = np.array([60, 80]) - np.array(moves.step) * (40, 60)
    place = np.array(moves.start) / free
    for there in (free[:, 0] > 0, free[:, 0] < 0):
        assert there.sum() > 300
        parts = np.histogram(place[there, 0], 4, (0, 1))[0] / there.sum()
        np.testing.assert_allclose(parts, 0.25, atol=0.07)


def test_windows_lie_everywhere_as_often():
    values = np.arange(6, dtype=np.uint8) * np.ones((4000, 1, 1), np.uint8)
    values = np.broadcast_to(values, (4000, 4, 6))
    seed = np.array([5, 6], np.int32)
    _, moved = augmentation.augment(values[..., None], values, seed, (), masks.move, window=(4, 3))
    counts = np.bincount(moved.numpy()[:, 0, 0])
    assert len(counts) == 4 and (np.abs(counts - 1000) < 110).all()  # four standard deviations


def lost_map(root):
    as_camvid(root)
    (root / "trainannot" / "1.png").unlink()


def other_size(root):
    as_camvid(root)
    Image.new("L", (32, 23)).save(root / "valannot" / "0.png")


def coloured(root):
    as_camvid(root)
    Image.new("RGB", (32, 24)).save(root / "valannot" / "0.png")


def unnamed(root):
    as_camvid(root)
    Image.new("L", (32, 24), 7).save(root / "valannot" / "0.png")


def broken(root):
    as_camvid(root)
    (root / "valannot" / "0.png").write_bytes(b"no picture")


def no_names(root):
    as_camvid(root)
    (root / "classes.json").unlink()


def odd_names(root):
    as_camvid(root)
    (root / "classes.json").write_text('["a", "a"]')


def no_list(root):
    as_camvid(root)
    (root / "classes.json").write_text('{"a": 0}')


def deep_names(root):
    as_camvid(root)
    (root / "classes.json").write_text("[" * 100_000)


def lost_picture(root):
    as_voc(root)
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("train0\nelsewhere\n")


def lossy(root):
    as_camvid(root)
    path = root / "trainannot" / "1.png"
    Image.open(path).save(path.with_suffix(".jpg"))
    path.unlink()


def two_colours(root):
    as_camvid(root)
    (root / "classes.json").write_text('["ground", "tree"]')
    for path in root.glob("*annot/*.png"):
        values = np.asarray(Image.open(path))
        Image.fromarray(np.where(values == 2, 255, 0).astype(np.uint8)).save(path)
    with pytest.raises(DataError, match="ground alone, and 255, which is no class"):
        check_places.look_for(root)


def no_training(root):
    as_voc(root)
    (root / "ImageSets" / "Segmentation" / "train.txt").unlink()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lost_map, r"1\.png: it has no label map, expected .*trainannot/1\.png"),
        (other_size, r"valannot/0\.png: it is 32x23, its picture .* is 32x24"),
        (coloured, r"valannot/0\.png: its pixels are RGB; expected a gray or palette PNG"),
        (unnamed, r"valannot/0\.png: a pixel is 7, which nothing names"),
        (broken, r"valannot/0\.png: no picture"),
        (no_names, r"nothing names the classes; write classes\.txt"),
        (odd_names, r"classes\.json: expected a list of at most 255 names, each once"),
        (no_list, r"classes\.json: expected a list"),
        (deep_names, "classes.json: maximum recursion depth .*; expected a list of names"),
        (lost_picture, r"elsewhere lacks its picture or its label map; .*train\.txt lists it"),
        (no_training, "no training pictures"),
        (lossy, r"trainannot/1\.jpg: a JPEG, whose pixels are no exact numbers; give a PNG"),
        (two_colours, r"ground alone, and 255, which is no class; write tree's number"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, make, said):
    make(tmp_path)
    with pytest.raises(DataError, match=said):
        load_dataset(f"{tmp_path}/", image_size="24x32")


@pytest.mark.parametrize("size", ["24x32", "18x20"])
def test_what_would_fill_the_memory_stays_in_its_files(tmp_path, monkeypatch, size):
    """The same batches, in the same order, with the same weights of classes."""
    as_voc(tmp_path)
    held = load_dataset(f"{tmp_path}/", image_size=size)
    monkeypatch.setattr(masks, "IN_MEMORY_BYTES", 1000)
    read = load_dataset(f"{tmp_path}/", image_size=size)
    assert isinstance(held.train, sources.Arrays) and isinstance(read.train, masks.MaskFiles)
    assert held.fingerprint == read.fingerprint and held.contract == read.contract and held.note == read.note
    with pytest.raises(DataError, match=r"grpc://a:1: .*Pillow reads the label maps here"):
        read.check_service(Service("grpc://a:1", 1), ("resized_crop",))
    held.check_service(Service("grpc://a:1", 1), ())
    np.testing.assert_array_equal(masks.counted(held.train.labels), masks.counted(read.train.labels))
    for split in ("train", "validation", "test"):
        both = [list(data.evaluation(split, 2, pixels=True).as_numpy_iterator()) for data in (held, read)]
        for one, other in zip(*both, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
    for first_step in (0, 1):
        flags = {"first_step": first_step, "augment": ("zoom", "flip"), "pixels": True, "move": masks.move}
        both = [list(data.training(1, 3, 2, **flags).as_numpy_iterator()) for data in (held, read)]
        assert len(both[0]) == 2 - first_step
        for one, other in zip(*both, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])
    next(tmp_path.glob("SegmentationClass/val0.png")).write_bytes(b"")
    with pytest.raises(DataError, match=r"changed or removed while in use .*val0.png: no picture"), reading(read):
        list(read.evaluation("validation", 2, pixels=True).as_numpy_iterator())


def test_pictures_and_masks_without_splits(tmp_path):
    for folder, of in (("images", SHOWN), ("masks", MAPS)):
        (tmp_path / folder).mkdir()
        for i, array in enumerate([*of["train"], *of["val"]]):
            Image.fromarray(array).save(tmp_path / folder / f"{i}.png")
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    assert recipes.default_recipe(f"{tmp_path}/") == "segmentation"
    data = load_dataset(f"{tmp_path}/", image_size="24x32")
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [3, 1, 1]


def test_masks_of_nothing(tmp_path):
    as_camvid(tmp_path)
    for file in (tmp_path / "trainannot").iterdir():
        Image.new("L", (32, 24), 0).save(file)
    assert load_dataset(f"{tmp_path}/", image_size="24x32").note == "no training pixel is of tree (255 is no class)"
    for file in (tmp_path / "trainannot").iterdir():
        Image.new("L", (32, 24), 255).save(file)
    with pytest.raises(DataError, match="no pixel of the training masks has a class"):
        load_dataset(f"{tmp_path}/", image_size="24x32")
    (tmp_path / "classes.json").write_text('["void", "ignore"]')
    with pytest.raises(DataError, match="all of void, ignore are ignored"):
        load_dataset(f"{tmp_path}/", image_size="24x32")


def test_classes_are_not_mixed_between_pixels(tmp_path):
    """Between numbers 0 and 2 lies 1, which is nowhere in the map."""
    values = np.kron(rng.integers(0, 2, (5, 5)) * 2, np.ones((7, 7))).astype(np.uint8)
    made = label_maps.placed(values, Picture(23, 17, 1))
    assert set(np.unique(made)) == {0, 2}


def test_label_maps_of_a_tfds_set(tmp_path, monkeypatch):
    KrMasked(data_dir=tmp_path).download_and_prepare()
    assert load_dataset("kr_masked", tmp_path, image_size="20x30").contract.output.KIND == "classes"
    data = load_dataset("kr_masked", tmp_path, image_size="20x30", task="segmentation")
    assert data.contract.output.labels == ("ground", "tree") and data.contract.output.size == (5, 8)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [18, 2, 4]
    for name in ("train", "validation", "test"):
        for image, mask in zip(data.split(name).images, data.split(name).labels, strict=True):
            sure = (image[..., 0] == 50) | (image[..., 0] == 200)
            assert sure.mean() > 0.8 and (mask[-1] == 255).all() and (mask[:-1] < 2).all()
            np.testing.assert_array_equal((mask == 1)[:-1][sure[:-1]], (image[..., 0] == 200)[:-1][sure[:-1]])
    assert len({mask.tobytes() for mask in data.train.labels}) == 10
    again = load_dataset("kr_masked", tmp_path, image_size="20x30", task="segmentation")
    assert again.fingerprint == data.fingerprint
    with pytest.raises(DataError, match="--task=detection: kr_masked has no boxes with a class among image, label"):
        load_dataset("kr_masked", tmp_path, task="detection")
    monkeypatch.setattr(tfds_masks.label_maps, "numbers", lambda names: np.full(256, 254, np.uint8))
    with pytest.raises(DataError, match="kr_masked, train 0: a pixel is 1, which nothing names"):
        load_dataset("kr_masked", tmp_path, image_size="20x30", task="segmentation")


def test_a_folder_of_two_forms_learns_what_is_asked_for(tmp_path):
    as_voc(tmp_path)
    (tmp_path / "Annotations").mkdir()
    for path in (tmp_path / "JPEGImages").iterdir():
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
        xml = f"<annotation><object><name>dog</name>{box}</object></annotation>"
        (tmp_path / "Annotations" / f"{path.stem}.xml").write_text(xml)
    for task, recipe, kind in (
        ("auto", "detection", "boxes"),
        ("detection", "detection", "boxes"),
        ("segmentation", "segmentation", "mask"),
    ):
        assert recipes.default_recipe(f"{tmp_path}/", task) == recipe
        data = load_dataset(f"{tmp_path}/", image_size="24x32", task=task)
        assert kind == data.contract.output.KIND
        assert ("has masks, too; --task=segmentation" in data.note) == (kind == "boxes")
    assert recipes.default_recipe(f"{tmp_path}/", "classification") == "imagenet"
    (tmp_path / "SegmentationClass").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"--task=segmentation: .* has none of train/ and trainannot/"):
        load_dataset(f"{tmp_path}/", task="segmentation")
    with pytest.raises(DataError, match="--task=detection: the digits have classes alone"):
        load_dataset("digits", task="detection")
