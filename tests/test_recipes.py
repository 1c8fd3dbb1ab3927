"""Recipes: named ones are sound, and every field that can't be is refused with what would do."""

import dataclasses
import re

import pytest

from keras_resnet import recipes
from keras_resnet.recipes import RECIPES, Recipe
from keras_resnet.training import freezing


@pytest.mark.parametrize("name", RECIPES)
def test_named_recipes_are_sound(name):
    starts = {"init": "keras:resnet50"} if name in ("finetune", "probe") else {}
    dataclasses.replace(RECIPES[name], **starts).check()


def test_the_papers_cifar10():
    recipe = RECIPES["cifar10"]
    assert (recipe.batch_size, recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (128, 0.1, 0.9, 1e-4)
    assert recipe.epochs * (45_000 // recipe.batch_size) == pytest.approx(64_000, rel=0.002)


def test_resnet_strikes_back():
    """Wightman et al. 2021, table 2: what the three procedures have in common and where they differ."""
    a1, a2, a3 = (RECIPES[f"imagenet_{name}"] for name in ("a1", "a2", "a3"))
    assert [r.epochs for r in (a1, a2, a3)] == [600, 300, 100]
    assert [r.warmup * r.epochs for r in (a1, a2, a3)] == pytest.approx([5, 5, 5])
    assert {(r.batch_size, r.optimizer, r.loss, r.cutmix, r.crop_fraction) for r in (a1, a2, a3)} == {
        (2048, "lamb", "bce", 1.0, 0.95)
    }
    assert [(r.learning_rate, r.weight_decay, r.mixup) for r in (a1, a2, a3)] == [
        *((5e-3, 0.01, 0.2), (5e-3, 0.02, 0.1), (8e-3, 0.02, 0.1))
    ]
    assert [(r.label_smoothing, r.stochastic_depth, r.repeats) for r in (a1, a2, a3)] == [
        *((0.1, 0.05, 3), (0.0, 0.05, 3), (0.0, 0.0, 1))
    ]
    assert [recipes.sides(r, (224, 224), 0) for r in (a1, a2, a3)] == [None, None, (160, 160)]
    assert [(r.augmentation, r.magnitude) for r in (a1, a2, a3)] == [  # theirs: 7, 7 and 6 of 10
        ("resized_crop,flip,rand", 3 * magnitude) for magnitude in (7, 7, 6)
    ]


def test_resnet_rs():
    """Bello et al. 2021, tables 7 and 11 and appendix B: ResNet-RS-50 at 160 pixels, its RandAugment 10 of 10."""
    r = RECIPES["resnet_rs50"]
    assert (r.depth, r.image_size, r.stem, r.shortcut, r.se) == (50, 160, "deep", "pool", 0.25)
    assert (r.epochs, r.batch_size, r.schedule, r.warmup * r.epochs) == (350, 4096, "cosine", pytest.approx(5))
    assert (r.optimizer, r.momentum, r.learning_rate) == ("sgd", 0.9, 0.1 * r.batch_size / 256)
    assert (r.weight_decay, r.label_smoothing, r.dropout, r.stochastic_depth, r.ema) == (4e-5, 0.1, 0.25, 0.0, 0.9999)
    assert (r.augmentation, r.magnitude, r.mixup, r.cutmix) == ("resized_crop,flip,rand", 3 * 10, 0.0, 0.0)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("depth", 19, "--depth=19: no such ResNet; choose 18"),
        ("epochs", 0, "--epochs=0: expected at least 1"),
        ("epochs", 10**22, "with --init) and at most 1,000,000"),
        ("width", 1e9, "expected a positive factor, as 0.5 or 2, up to 64"),
        ("head", "probe", "--head=probe: this is for a float training from weights; give --init"),
        ("batch_size", -1, "--batch_size=-1: expected at least 1"),
        ("learning_rate", float("nan"), "--learning_rate=nan: expected a finite number"),
        ("learning_rate", 0.0, "--learning_rate=0.0: expected a positive number"),
        ("warmup", 1.0, "--warmup=1.0: expected at least 0 and less than 1"),
        ("version", 3, "--version=3: choose 1, 2"),
        ("schedule", "linear", "--schedule=linear: choose cosine, one_cycle, steps"),
        ("decay_at", "0.7,0.5", "--decay_at=0.7,0.5: expected rising parts"),
        ("decay_at", "half", "--decay_at=half: expected rising parts"),
        ("dataset", "no/such/", "--dataset=no/such/: no such folder"),
        ("seed", -1, "--seed=-1: expected 0 to 2147483647"),
        ("image_size", -1, "--image_size=-1: expected pixels, as 224, height x width, as 240x320, or 0"),
        ("image_size", "240x", "--image_size=240x: expected pixels"),
        ("image_size", "224x4097", "--image_size=224x4097: expected at most 4096 pixels a side"),
        ("image_size", "0x20", "--image_size=0x20: expected pixels"),
        ("channels", 4, "--channels=4: choose 0, 1, 3"),
        ("dataset", "caf\udce9/", r"--dataset=b'caf\xe9/': expected UTF-8; rename it"),
        ("crop_fraction", 0.0, "--crop_fraction=0.0: expected more than 0"),
        ("passes", 1_000_000, "--passes=1000000: expected 1 to 1,000"),
    ],
)
def test_nonsense_is_refused_with_what_would_do(field, value, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        dataclasses.replace(Recipe(), **{field: value}).check()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"batch_size": 3}, "--batch_size=3: expected at least 4, of which a mosaic is made"),
        ({"repeats": 2}, "--repeats=2: expected 1, or a mosaic would be of one picture"),
    ],
)
def test_a_mosaic_is_of_four_pictures(fields, says):
    with pytest.raises(ValueError, match=says):
        Recipe(augmentation="flip,mosaic", **fields).check()
    Recipe(augmentation="flip,mosaic", batch_size=4).check()


def test_differences_name_the_flags():
    saved = dataclasses.asdict(Recipe(depth=20))
    assert Recipe(depth=20).differences(saved) == []
    assert Recipe(depth=32).differences(saved) == ["--depth=32 (it has 20)"]
    assert Recipe(depth=20, init="a").differences(saved) == ["--init=a (it has '')"]
    del saved["label_smoothing"]  # a run of a version that had no such field
    assert Recipe(depth=20).differences(saved) == []


def test_progressive_pictures_grow_over_three_quarters():
    recipe = Recipe(progressive=0.5, epochs=8)
    found = [recipes.sides(recipe, (32, 32), epoch) for epoch in range(8)]
    assert found == [(16, 16), (16, 16), (24, 24), (24, 24), (24, 24), (32, 32), None, None]
    assert recipes.sides(recipe, (224, 288), 0) == (128, 165)  # 3.5 times 32, rounded to even, in the same shape
    assert recipes.sides(Recipe(train_size=160), (320, 240), 0) == (213, 160)
    assert recipes.sides(Recipe(), (32, 32), 0) is None


def test_one_size_has_one_spelling():
    saved = dataclasses.asdict(Recipe(image_size=224))
    assert saved["image_size"] == 224  # as it was before there were two sides
    assert Recipe(image_size="224").differences(saved) == Recipe(image_size="224x224").differences(saved) == []
    assert Recipe(image_size="240x320").differences(saved) == ["--image_size=240x320 (it has 224)"]
    sizes = [recipes.height_and_width(size) for size in (0, 224, "240x320")]
    assert sizes == [None, (224, 224), (240, 320)]


def test_what_a_continued_recipe_learns():
    origin = dataclasses.replace(RECIPES["cifar10_fast"], init="a", teacher="b,c")
    assert origin.teachers == ["b", "c"]
    short = recipes.continued(origin, "d", "int8")
    assert (short.init, short.quantize, short.teachers, short.epochs, short.seed) == ("d", "int8", [], 8, origin.seed)
    assert recipes.continued(origin, "d", "none").teachers == ["b", "c"]
    learning = recipes.continued(origin, "d", "int8", "learning")
    assert (learning.norms, learning.learning_rate) == ("learning", 10 * short.learning_rate)
    narrow = dataclasses.replace(learning, weight_bits=4, ranges="learned")
    recipes.continued(narrow, "keras:resnet50", "none").check()
    masks = dataclasses.replace(RECIPES["segmentation"], train_size=264)
    assert [recipes.continued(masks, "d", kind).train_size for kind in ("int8", "none")] == [0, 264]


def test_norms_that_learn_stay_for_the_last_third():
    for epochs, extends, still in ((1, "", []), (2, "", [1]), (3, "", [2]), (6, "", [4, 5]), (5, "3", [2, 3, 4])):
        recipe = Recipe(norms="learning", epochs=epochs, extends=extends)
        assert [epoch for epoch in range(epochs) if freezing.settled(recipe, epoch)] == still
    assert freezing.settled(Recipe(), 0)


def test_a_continued_recipe_forgets_what_was_for_the_start_and_the_noise():
    noisy = {"ema": 0.9, "stochastic_depth": 0.1, "dropout": 0.1, "head_learning_rate": 0.1, "layer_decay": 0.7}
    tuned = dataclasses.replace(RECIPES["finetune"], freeze="all", unfreeze=0.5, epochs=20, **noisy)
    for quantize in ("int8", "none"):
        short = recipes.continued(tuned, "runs/x", quantize)
        assert (short.head, short.freeze, short.unfreeze, short.patience) == ("random", "none", 0.0, 0)
        assert [getattr(short, name) for name in noisy] == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_what_does_not_go_together_is_refused():
    for fields, says in (
        ({"unfreeze": 0.5, "freeze": "all", "optimizer": "adamw"}, "--unfreeze=0.5: Adam's moments"),
        ({"norms": "learning", "quantize": "int8", "batch_norm": "frozen"}, "--batch_norm=frozen: --norms=learning"),
        ({"sampling": "balanced", "class_weights": "balanced"}, "--class_weights=balanced: --sampling=balanced"),
        ({"repeats": 3, "mixup": 0.2, "batch_size": 5}, "--batch_size=5: expected at least twice --repeats"),
        ({"quantize": "none", "ranges": "learned"}, "--ranges=learned: this is of int8 arithmetic; give --quantize"),
        ({"quantize": "none", "weight_bits": "4"}, "--weight_bits=4: this is of int8 arithmetic; give --quantize"),
        ({"quantize": "int8", "weight_bits": 5}, "--weight_bits=5: expected 8, 4, or layers by their names"),
        ({"quantize": "int8", "weight_bits": "8,4"}, "--weight_bits=8,4: expected 8, 4, or layers"),
        ({"quantize": "int8", "weight_bits": "a=4,a=8"}, "--weight_bits=a=4,a=8: expected 8, 4, or layers"),
        ({"quantize": "int8", "weight_bits": "stage3=6"}, "--weight_bits=stage3=6: expected 8, 4, or layers"),
        ({"quantize": "int8", "layer_decay": 0.7}, "--layer_decay=0.7: this is for a float training"),
        ({"quantize": "int8", "head_learning_rate": 0.1}, "--head_learning_rate=0.1: this is for a float training"),
    ):
        with pytest.raises(ValueError, match=re.escape(says)):
            Recipe(init="keras:resnet50", **fields).check()


@pytest.mark.parametrize(("steps", "epochs"), [(1, 50), (25, 40), (80, 12), (500, 10)])
def test_epochs_follow_the_number_of_pictures(steps, epochs):
    assert recipes.epochs_for(RECIPES["finetune"], steps) == epochs
    assert recipes.epochs_for(RECIPES["digits"], steps) == 40
    assert recipes.epochs_for(RECIPES["probe"], steps) == 0


def test_default_recipe_follows_the_data_set(tmp_path, monkeypatch):
    for name, datasets in {
        "cifar10": ("", "cifar10", "cifar10:3.0.2", "cifar100", "fashion_mnist", "fashion_mnist:3.*.*"),
        "mnist": ("mnist", "mnist:3.0.1", "kmnist", "emnist/letters:3.1.0", "svhn_cropped"),
        "digits": ("digits",),
        "imagenet": ("imagenet2012", "tf_flowers", "a/", "./mnist", "cifar10_fast"),
    }.items():
        assert {recipes.default_recipe(dataset) for dataset in datasets} == {name}
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()  # a folder of that name is what would be read
    assert recipes.default_recipe("mnist") == "imagenet"
    characters = RECIPES["mnist"]
    assert (characters.depth, characters.stem, characters.image_size) == (20, "auto", 0)
    assert "flip" not in characters.augmentation


def test_flags_of_other_things_are_refused_where_it_is_known_what_there_is(tmp_path):
    (tmp_path / "words" / "yes").mkdir(parents=True)
    (tmp_path / "words" / "yes" / "1.wav").touch()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "train.tsv").touch()
    known = {"digits": "pictures", "voc/2007": "pictures", "": "pictures", f"{tmp_path}/words/": "recordings"}
    known |= {
        f"{tmp_path}/texts/": "texts",
        "spoken_digit": "recordings",
        "speech_commands": "recordings",
        "glue/sst2": "texts",
    }
    for dataset, held in known.items():
        assert recipes.things(dataset) == held
        for other, fields in recipes.FIELDS_OF.items():
            for field in fields:
                recipes.check_things(dataset, "auto", {field: getattr(Recipe(), field)})  # as programs say everything
                if other == held:
                    recipes.check_things(dataset, "auto", {field: 7})
                    continue
                with pytest.raises(ValueError, match=f"--{field}=7: it is of {other}, .* has {held}; drop it"):
                    recipes.check_things(dataset, "auto", {field: 7})
    assert recipes.things("rock_paper_scissors") is None
    recipes.check_things("rock_paper_scissors", "auto", {"pairs": 64, "bands": 20, "image_size": 32})


@pytest.mark.parametrize(("pictures", "batch"), [(1, 1), (5, 4), (20, 16), (90, 16), (255, 16), (256, 32), (3000, 256)])
def test_few_pictures_are_offered_a_batch_that_fits(pictures, batch):
    would_do = recipes.smaller_batch(RECIPES["imagenet"], pictures)
    assert would_do == f"--batch_size={batch} --learning_rate={0.1 * batch / 256:.2g}"
