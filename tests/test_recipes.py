"""Recipes: named ones are sound, and every field that can't be is refused with what would do."""

import dataclasses
import re

import pytest

from keras_resnet import recipes
from keras_resnet.recipes import RECIPES, Recipe


@pytest.mark.parametrize("name", RECIPES)
def test_named_recipes_are_sound(name):
    RECIPES[name].check()


def test_the_papers_cifar10():
    recipe = RECIPES["cifar10"]
    assert (recipe.batch_size, recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (128, 0.1, 0.9, 1e-4)
    assert recipe.epochs * (45_000 // recipe.batch_size) == pytest.approx(64_000, rel=0.002)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("depth", 19, "--depth=19: no such ResNet; choose 18"),
        ("epochs", 0, "--epochs=0: expected at least 1"),
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
        ("crop_fraction", 0.0, "--crop_fraction=0.0: expected more than 0"),
    ],
)
def test_nonsense_is_refused_with_what_would_do(field, value, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        dataclasses.replace(Recipe(), **{field: value}).check()


def test_differences_name_the_flags():
    saved = dataclasses.asdict(Recipe(depth=20))
    assert Recipe(depth=20).differences(saved) == []
    assert Recipe(depth=32).differences(saved) == ["--depth=32 (it has 20)"]
    assert Recipe(depth=20, init="a").differences(saved) == ["--init=a (it has '')"]
    del saved["label_smoothing"]  # a run of a version that had no such field
    assert Recipe(depth=20).differences(saved) == []


def test_what_a_continued_recipe_learns():
    origin = dataclasses.replace(RECIPES["cifar10_fast"], init="a", teacher="b,c")
    assert origin.teachers == ["b", "c"]
    short = recipes.continued(origin, "d", "int8")
    assert (short.init, short.quantize, short.teachers, short.epochs, short.seed) == ("d", "int8", [], 6, origin.seed)
    assert recipes.continued(origin, "d", "none").teachers == ["b", "c"]


def test_default_recipe_follows_the_data_set():
    names = {dataset: recipes.default_recipe(dataset) for dataset in ("", "digits", "cifar100", "imagenet2012", "a/")}
    assert names == {
        "": "cifar10",
        "digits": "digits",
        "cifar100": "cifar10",
        "imagenet2012": "imagenet",
        "a/": "imagenet",
    }
