"""`Recipe`: everything that makes a training run what it is. One named recipe is one row in docs/training.md.

It loads nothing, so that flags are checked at once: `train.py` makes one flag of each field.
"""

import dataclasses
import itertools
import math
import os
import re

from keras_resnet import depths, layouts, origins

# What training does to pictures, in this order.
AUGMENTATIONS = ("resized_crop", "crop", "shift", "zoom", "flip", "vflip", "trivial", "rand", "jitter", "erase")
AUGMENTATIONS += ("light", "cutout", "mosaic")
OF_SOUNDS = ("later", "stretch", "gain", "babble", "stripes")
OF_TEXTS = ("forget",)
MOST_PASSES = 1000
LONGEST_TRAINING, WIDEST = 1_000_000, 64  # epochs; times the usual filters
AUGMENTATIONS += OF_SOUNDS + OF_TEXTS
CROPS = AUGMENTATIONS[:4]
MOVED_ALONE = ("resized_crop", "trivial", "rand")  # they move pixels, and nothing of what is learned
LONGEST_SIDE = 4096  # of an input, in pixels; pictures of more would fill the memory, one by one


def option(default, help, choices=None):
    """A field of the recipe with the help text of its flag."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A training run, whole. Two runs of one recipe on one machine end with the same bits."""

    # What is learned from
    dataset: str = option(
        "cifar10",
        "TFDS name (cifar10, cifar100, imagenet2012, tf_flowers, …), a folder with a folder per class, or digits.",
    )
    task: str = option("auto", "What is learned of the pictures; auto: what the data has.", ("auto", *layouts.KINDS))
    data_dir: str = option("", "Where TFDS keeps or puts its data; by default TFDS's own folder (TFDS_DATA_DIR).")
    image_size: int | str = option(
        0, "The network's input, a side in pixels (224) or height x width (240x320); 0: --init's, the data's, else 224."
    )
    channels: int = option(0, "3: colour, 1: gray, 0: --init's or the data's; digits' and a folder's are 3.", (0, 1, 3))
    crop_fraction: float = option(1.0, "Part of the resized picture's side that the evaluation crop keeps.")
    resize: str = option(
        "cover",
        "How a picture of another shape becomes the input, cover: it is cut, what is left keeps its shape; stretch: "
        "all of it is seen, distorted, as boxes and masks may want it.",
        ("cover", "stretch"),
    )
    augmentation: str = option(
        "crop,flip",
        "What training does to pictures, of crop: pad and crop; shift: the same with mirrored edges, for drawings; "
        "resized_crop: random resized crop, for large pictures; zoom: other sizes and places; flip: mirror; vflip: "
        "upside down; trivial: TrivialAugment; rand: RandAugment; jitter: of colours; light: another hour's and "
        "camera's; erase: noise in a rectangle; cutout: hide a square; mosaic: of boxes and masks, a picture of four; "
        "of texts forget: words; or none.",
    )
    magnitude: int = option(9, "Of --augmentation=rand, 0 to 30.")
    zoom: float = option(1.4, "Of --augmentation=zoom, how many times larger or smaller a picture becomes at most.")
    mixup: float = option(0.0, "Alpha of mixup, as 0.2: a batch is a mean of itself and its neighbours; 0: none.")
    cutmix: float = option(0.0, "Alpha of CutMix, as 1: a rectangle of each picture is its neighbour's; 0: none.")
    seconds: float = option(1.0, "Of recordings: how much of each is heard.")
    bands: int = option(40, "Of recordings: bands of the mel scale; 0: the network hears the wave itself.")
    sample_rate: int = option(0, "Of recordings: samples a second; others are resampled. 0: that of most of them.")
    pieces: int = option(0, "Of texts: numbers that beginnings and ends of tokens share, as 65536; 0: none.")
    noise: str = option("", "Of recordings: a folder of noise, pieces of which are added, 5 to 40 decibels less loud.")
    group_by: str = option(
        "",
        "Regular expression of what no two splits share that are drawn from a folder's training files, a speaker or a "
        "patient: what it finds in each path, its first group.",
    )
    tokens: int = option(
        0, "Of texts: how many words and marks of each are read; 0: as many as 99 % of them have, at most 256."
    )
    vocabulary: int = option(20_000, "Of texts: tokens that are known at most, the most frequent ones.")
    pairs: int = option(0, "Of texts: numbers that pairs of neighbouring tokens share, as 65536; 0: none.")
    max_bad_fraction: float = option(0.01, "Unreadable pictures of a folder that are left out before training refuses.")

    # The network
    depth: int = option(20, "18, 34, 50, 101, 152 (ImageNet family) or 6n+2: 8, 20, 32, 44, 56, 110 (CIFAR family).")
    axes: int = option(2, "0: all pixels are one vector, and layers are dense, a residual MLP.", (0, 2))
    width: float = option(1.0, "Multiplies all filters.")
    version: int = option(1, "1: ReLU after the addition; 2: pre-activation.", (1, 2))
    stem: str = option(
        "auto",
        "imagenet: 7x7/2 and max-pooling; deep: three 3x3 for 7x7 (ResNet-D); small: 3x3; auto: small below 64 pixels.",
        ("auto", "imagenet", "deep", "small"),
    )
    strides: str = option(
        "8",
        "Of boxes: pixels between the cells of each level that finds them, as 8 or 8,16,32; of masks between their "
        "cells: 4 (usual), or 2 for thin things.",
    )
    shortcut: str = option(
        "projection",
        "projection: 1x1 convolution; pool: behind average pooling (ResNet-D); A: zero-padded identity; none: plain "
        "network.",
        ("projection", "pool", "A", "none"),
    )
    se: float = option(0.0, "Squeeze-and-excitation in each block, of this part of its filters, as 0.25; 0: none.")
    blur: int = option(0, "1: a low-pass filter before every other pixel is left out.", (0, 1))
    activation: str = option("relu", "Activation.", ("relu", "relu6"))

    # Where it starts, and in which arithmetic it learns
    init: str = option(
        "",
        "What this run starts from: a finished run's folder, a shipped model's name, a .keras file, keras:resnet50 "
        "(-101, -152, v2), or torch:FILE (.safetensors or .pth of a torchvision or timm ResNet). With other labels the "
        "last layer is new.",
    )
    head: str = option(
        "random",
        "How a new last layer begins; probe: fitted to the features of the training pictures, computed once.",
        ("random", "probe"),
    )
    freeze: str = option(
        "none",
        "What stays as --init brought it, norms' statistics too: the network up to stem, stage2, stage3, …, or all but "
        "the last layer.",
        ("none", "stem", "stage2", "stage3", "stage4", "stage5", "all"),
    )
    unfreeze: float = option(
        0.0, "Part of the training over which --freeze is lifted, stage by stage, the last one first; 0: never."
    )
    head_learning_rate: float = option(0.0, "Peak learning rate of the last layer; 0: --learning_rate.")
    layer_decay: float = option(
        1.0, "Multiplies the learning rate of each block by this, once for each block behind it."
    )
    quantize: str = option(
        "none", "int8: learn under int8 arithmetic, from --init (one must be given).", ("none", "int8")
    )
    weight_bits: int | str = option(
        8,
        "With --quantize, of weights: 8, 4, or layers by regular expressions of their whole names, separated by "
        "commas, a number alone for all others: stage3.*=4,logits=4,8.",
    )
    ranges: str = option(
        "found",
        "With --quantize, of activations and weights: found before it learns, and kept, or learned with the weights.",
        ("found", "learned"),
    )
    norms: str = option(
        "folded",
        "With --quantize: folded into the convolutions before it learns, or learning on, by the statistics of each "
        "batch for the first two thirds of the epochs, at a learning rate ten times as high.",
        ("folded", "learning"),
    )

    # How it learns
    teacher: str = option(
        "",
        "Finished runs' folders (on the command line shipped models' names, too), separated by commas, whose mean "
        "answers are learned instead of the labels; with --quantize and no other, the run of --init.",
    )
    epochs: int = option(200, "Passes over the training pictures; 0, with --init: so many as their number asks for.")
    extends: str = option(
        "",
        "Epochs after which the schedule begins anew, a tenth as high; a larger --epochs on a finished run adds one.",
    )
    patience: int = option(0, "Epochs without a better --best after which the training ends; 0: it goes to its end.")
    batch_size: int = option(128, "Pictures a step, over all devices.")
    learning_rate: float = option(0.1, "Peak learning rate at this batch size.")
    schedule: str = option(
        "cosine",
        "cosine: warm-up, then half a cosine to 0; one_cycle: linear up, linear down to 0; "
        "steps: warm-up, then a tenth at each of --decay_at.",
        ("cosine", "one_cycle", "steps"),
    )
    warmup: float = option(0.0, "Part of the training in which the learning rate rises from 0 to its peak.")
    decay_at: str = option("0.5,0.75", "Where --schedule=steps decays, as parts of the training.")
    optimizer: str = option(
        "sgd",
        "sgd: Nesterov, its decay an L2 penalty; adamw, lamb, lion, muon: their decay beside the update. Each wants a "
        "--learning_rate of its own.",
        ("sgd", "adamw", "lamb", "lion", "muon"),
    )
    momentum: float = option(0.9, "Nesterov momentum of SGD.")
    weight_decay: float = option(1e-4, "Decay of kernels, not of norms and biases.")
    clip: float = option(0.0, "Largest norm of the whole gradient; 0: any.")
    accumulate: int = option(1, "Batches whose mean gradient makes one update.")
    ema: float = option(
        0.0, "Decay of a moving average of the weights, as 0.999, that is evaluated too and kept where better; 0: none."
    )
    loss: str = option(
        "auto",
        "auto: cross-entropy, binary for pictures with several labels; bce: binary for each class; focal: of what is "
        "learned already little counts; lovasz, of masks: with what stands for intersection over union.",
        ("auto", "bce", "focal", "lovasz"),
    )
    class_weights: str = option("none", "balanced: a rare class's examples count more.", ("none", "balanced"))
    sampling: str = option("all", "balanced: each class is shown equally often.", ("all", "balanced"))
    train_size: int = option(
        0,
        "Shorter side of the training pictures in pixels, where it is not evaluation's; with masks, of windows that "
        "are cut out of them; 0: the same.",
    )
    progressive: float = option(
        0.0, "Part of the sides with which training pictures begin; they grow over three quarters of it; 0: none."
    )
    passes: int = option(
        1,
        "How often an epoch goes through the training pictures, so that validation comes less often; each time those "
        "are left out that fill no batch.",
    )
    repeats: int = option(1, "How often a picture comes in a row, augmented anew; an epoch shows as many fewer.")
    stochastic_depth: float = option(
        0.0, "Part of the pictures for which the last block's branch is left out in training, the others' less often."
    )
    dropout: float = option(0.0, "Part of the features that the last layer misses in training.")
    label_smoothing: float = option(0.0, "Part of a label's probability, spread over all classes (no teacher's).")
    best: str = option(
        "auto",
        "Figure on the validation pictures by which the epoch is chosen whose model is kept: accuracy (auto), loss, or "
        "balanced_accuracy (macro recall) and macro_f1, which count every class alike, however few its pictures; of "
        "several labels a picture mean_average_precision (auto), macro_f1, label_accuracy, loss.",
    )
    seed: int = option(0, "Of the initial weights, the order of examples and the augmentation.")

    # What it runs on
    strategy: str = option(
        "auto",
        "tf.distribute strategy; auto: mirrored where there are several GPUs; multi_worker: on several machines.",
        ("auto", "one_device", "mirrored", "multi_worker"),
    )
    precision: str = option(
        "auto",
        "Keras dtype policy; auto: mixed on GPUs with tensor cores, else float32.",
        ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
    )
    compile: str = option("auto", "XLA; auto: on one GPU.", ("auto", "xla", "none"))
    batch_norm: str = option(
        "auto",
        "On several devices, synchronized (auto): statistics of the whole batch, for which all wait at each norm; "
        "per_replica: of each device's part alone, which should be 16 pictures or more; frozen: those of --init stay.",
        ("auto", "synchronized", "per_replica", "frozen"),
    )

    def __post_init__(self):
        side, *other = str(self.image_size).split("x")
        if side.isdecimal() and other in ([], [side]):  # 224, "224" and "224x224" are one recipe
            object.__setattr__(self, "image_size", int(side))
        if str(self.weight_bits).isdecimal():
            object.__setattr__(self, "weight_bits", int(self.weight_bits))
        object.__setattr__(self, "augmentation", one_order(self.augmentation))

    def check(self):
        """Raises ValueError, with what was received, what was expected and what to type, for a field that can't be."""
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), field.metadata["choices"]
            if choices and value not in choices:
                raise ValueError(f"--{field.name}={value}: choose {', '.join(map(str, choices))}")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"--{field.name}={value}: expected a finite number")
            if any("\ud800" <= c <= "\udfff" for c in str(value)):  # what Python makes of bytes that are no text
                raise ValueError(f"--{field.name}={os.fsencode(value)}: expected UTF-8; rename it")
        height_and_width(self.image_size)
        steps = self.augmentations
        if not set(steps) <= set(AUGMENTATIONS) or len(set(steps)) < len(steps) or len({*steps} & {*CROPS}) > 1:
            raise ValueError(
                f"--augmentation={self.augmentation}: expected none, or some of {', '.join(AUGMENTATIONS)} (one of "
                "the first four), as crop,flip"
            )
        for things, own in (("recordings", OF_SOUNDS), ("texts", OF_TEXTS)):
            if {*steps} & {*own} and {*steps} - {*own}:
                raise ValueError(
                    f"--augmentation={self.augmentation}: {', '.join(own)} are of {things}, the others are not"
                )
        try:
            re.compile(self.group_by)
        except re.error as error:
            raise ValueError(f"--group_by={self.group_by}: no regular expression ({error})") from None
        try:
            depths.layout(self.depth)
        except ValueError as error:
            raise ValueError(f"--{error}") from None
        for name, holds, expected in (
            ("crop_fraction", 0 < self.crop_fraction <= 1, "more than 0 and at most 1, as 0.875"),
            ("max_bad_fraction", 0 <= self.max_bad_fraction < 1, "at least 0 and less than 1, as 0.01"),
            ("stochastic_depth", 0 <= self.stochastic_depth < 1, "at least 0 and less than 1, as 0.1"),
            ("dropout", 0 <= self.dropout < 1, "at least 0 and less than 1, as 0.2"),
            ("se", 0 <= self.se <= 1, "0 to 1, as 0.25"),
            ("zoom", 1 < self.zoom <= 4, "more than 1 and at most 4, as 1.4"),
            ("seconds", 0 < self.seconds <= 600, "more than 0 and at most 600, as 1.5"),
            ("bands", 0 <= self.bands <= 256, "1 to 256, as 40, or 0: the wave itself"),
            ("sample_rate", self.sample_rate == 0 or 1000 <= self.sample_rate <= 192_000, "1000 to 192000, or 0"),
            ("tokens", 0 <= self.tokens <= 1 << 16, "1 to 65536, or 0"),
            ("vocabulary", 1 <= self.vocabulary <= 1 << 20, "1 to 1048576"),
            ("pieces", 0 <= self.pieces <= 1 << 20, "1 to 1048576, as 65536, or 0: none"),
            ("pairs", 0 <= self.pairs <= 1 << 20, "1 to 1048576, as 65536, or 0: none"),
            ("magnitude", 0 <= self.magnitude <= 30, "0 to 30"),
            (
                "train_size",
                0 <= self.train_size <= LONGEST_SIDE,
                f"a number of pixels, as 160, up to {LONGEST_SIDE}, or 0: as in evaluation",
            ),
            ("progressive", 0 <= self.progressive < 1, "more than 0 and less than 1, as 0.5, or 0: none"),
            ("repeats", self.repeats >= 1, "at least 1"),
            ("passes", 1 <= self.passes <= MOST_PASSES, f"1 to {MOST_PASSES:,}"),
            (
                "batch_size",
                self.repeats == 1 or not (self.mixup or self.cutmix) or self.batch_size >= 2 * self.repeats,
                "at least twice --repeats, or --mixup and --cutmix would mix a picture with itself",
            ),
            ("batch_size", "mosaic" not in steps or self.batch_size >= 4, "at least 4, of which a mosaic is made"),
            ("repeats", "mosaic" not in steps or self.repeats == 1, "1, or a mosaic would be of one picture"),
            ("mixup", self.mixup >= 0, "a positive alpha, as 0.2, or 0: none"),
            ("cutmix", self.cutmix >= 0, "a positive alpha, as 1, or 0: none"),
            (
                "strides",
                re.fullmatch(r"2|(4|8|16|32)(,(8|16|32))*", self.strides) and sorted({*self.levels}) == [*self.levels],
                "some of 4, 8, 16, 32, growing, as 8,16; of masks 4 or 2",
            ),
            ("width", 0 < self.width <= WIDEST, f"a positive factor, as 0.5 or 2, up to {WIDEST}"),
            (
                "weight_bits",
                all(bits in (4, 8) for bits in self.widths.values())
                and len(self.widths) == len(str(self.weight_bits).split(",")),
                "8, 4, or layers by their names, as stage3.*=4,stage4.*=4",
            ),
            (
                "epochs",
                (0 if self.init else 1) <= self.epochs <= LONGEST_TRAINING,
                f"at least 1 (0, by the number of pictures, with --init) and at most {LONGEST_TRAINING:,}",
            ),
            ("patience", self.patience >= 0, "at least 1, or 0: never"),
            ("unfreeze", 0 <= self.unfreeze <= 1, "0 to 1, as 0.5"),
            ("head_learning_rate", self.head_learning_rate >= 0, "a positive number, as 0.1, or 0: as the others"),
            ("layer_decay", 0 < self.layer_decay <= 1, "more than 0 and at most 1, as 0.75"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", self.learning_rate > 0, "a positive number, as 0.1"),
            ("warmup", 0 <= self.warmup < 1, "at least 0 and less than 1, as 0.05"),
            ("clip", self.clip >= 0, "a positive norm, as 1, or 0: any"),
            ("accumulate", self.accumulate >= 1, "at least 1"),
            ("ema", 0 <= self.ema < 1, "at least 0 and less than 1, as 0.999"),
            ("momentum", 0 <= self.momentum < 1, "at least 0 and less than 1, as 0.9"),
            ("weight_decay", self.weight_decay >= 0, "at least 0, as 1e-4"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and less than 1, as 0.1"),
            ("seed", 0 <= self.seed < 2**31, "0 to 2147483647"),
        ):
            if not holds:
                raise ValueError(f"--{name}={getattr(self, name)}: expected {expected}")
        try:
            parts = self.decay_parts
        except ValueError:
            parts = (math.nan,)
        if not all(0 < p < 1 for p in parts) or sorted(parts) != list(parts):
            raise ValueError(f"--decay_at={self.decay_at}: expected rising parts of the training, as 0.5,0.75")
        ends = self.extends.split(",") if self.extends else []
        if ends and not (all(map(str.isdecimal, ends)) and rising([0, *map(int, ends), self.epochs])):
            raise ValueError(f"--extends={self.extends}: expected rising epochs before the last one, as 64,96")
        if not self.axes and (self.progressive or self.train_size):
            raise ValueError("--axes=0: a vector has one length; drop --progressive and --train_size")
        if self.quantize != "none" and not self.init:
            raise ValueError(
                f"--quantize={self.quantize}: expected a finished run to start from; give --init=runs/NAME"
            )
        for name, off in (("weight_bits", 8), ("ranges", "found"), ("norms", "folded")):
            if getattr(self, name) != off and self.quantize == "none":
                raise ValueError(f"--{name}={getattr(self, name)}: this is of int8 arithmetic; give --quantize=int8")
        if self.quantize != "none" and self.precision not in ("auto", "float32"):
            raise ValueError(f"--precision={self.precision}: --quantize computes in float32; drop --precision")
        if self.init:
            origins.check(self.init)
        for name, off, scratch in (
            ("freeze", "none", False),
            ("head", "random", False),
            ("head_learning_rate", 0, True),
            ("layer_decay", 1, True),
        ):
            if getattr(self, name) != off and (self.quantize != "none" or not (self.init or scratch)):
                raise ValueError(
                    f"--{name}={getattr(self, name)}: this is for a float training from weights; give --init"
                )
        if self.train_size and self.progressive:
            raise ValueError(f"--progressive={self.progressive}: --train_size says the size already; drop one")
        if self.sampling != "all" and self.repeats > 1:
            raise ValueError(f"--repeats={self.repeats}: each picture's part is said already by --sampling; drop one")
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                "--class_weights=balanced: --sampling=balanced shows each class as often already; drop one"
            )
        if self.batch_norm == "frozen" and not self.init:
            raise ValueError("--batch_norm=frozen: new norms have no statistics yet; give --init with it")
        if self.norms == "learning" and self.batch_norm == "frozen":
            raise ValueError("--batch_norm=frozen: --norms=learning lets them learn; drop one")
        if self.unfreeze and self.freeze == "none":
            raise ValueError(f"--unfreeze={self.unfreeze}: nothing is frozen; give --freeze=all with it")
        if self.unfreeze and self.optimizer in ("adamw", "lamb", "muon"):
            raise ValueError(
                f"--unfreeze={self.unfreeze}: Adam's moments of a stage that joins late would be taken for warm ones, "
                "its first steps several times too long; give --optimizer=sgd or lion"
            )
        if "" in self.teachers:
            raise ValueError(f"--teacher={self.teacher}: expected runs' folders and commas, as runs/A,runs/B")
        for path in self.teachers:
            if not os.path.exists(os.path.join(path, "model.keras")):
                raise ValueError(
                    f"--teacher={path}: no finished run is there (no model.keras); give a run's folder, a "
                    "shipped model's name, or --teacher= to learn the labels"
                )
        if os.path.isfile(self.dataset):
            raise ValueError(f"--dataset={self.dataset}: this is a file; give the folder that it lies in")
        if is_folder(self.dataset) and not os.path.isdir(os.path.expanduser(self.dataset)):
            raise ValueError(f"--dataset={self.dataset}: no such folder; give one that holds a folder per class")

    @property
    def augmentations(self):
        """Names of its steps, in their order."""
        return () if self.augmentation == "none" else tuple(self.augmentation.split(","))

    @property
    def levels(self):
        """Strides of a detector's levels, the finest first."""
        return tuple(map(int, self.strides.split(",")))

    @property
    def ends(self):
        """Epochs at which a schedule ends: the extended ones, and the last."""
        return [*map(int, self.extends.split(",") if self.extends else []), self.epochs]

    @property
    def decay_parts(self):
        return tuple(float(part) for part in self.decay_at.split(","))

    @property
    def widths(self):
        """Regular expression of layers' names -> bits of their weights; of all others last."""
        parts = sorted(str(self.weight_bits).split(","), key=lambda part: "=" not in part)
        named = [part.rpartition("=") for part in parts]
        return {name or ".*": int(bits) if bits.isdecimal() else None for name, _, bits in named}

    @property
    def teachers(self):
        return self.teacher.split(",") if self.teacher else []

    def differences(self, other):
        """Returns `--name=mine (it has theirs)` for each field that differs from a dict of fields.

        A field that the dict lacks, written before there was such a field, has its default.
        """
        mine, theirs = dataclasses.asdict(self), dataclasses.asdict(dataclasses.replace(Recipe(), **other))
        return [
            f"--{name}={mine[name]} (it has {repr(theirs[name]) if theirs[name] == '' else theirs[name]})"
            for name in mine
            if mine[name] != theirs[name]
        ]


def rising(numbers):
    """Whether each number is larger than the one before."""
    return all(a < b for a, b in itertools.pairwise(numbers))


def height_and_width(image_size):
    """The sides of an image size, 224 or "240x320", in pixels; None for 0, which leaves them to the data set.

    Raises:
        ValueError: it is neither, or a side is longer than `LONGEST_SIDE`.
    """
    sides = str(image_size).split("x")
    if str(image_size) == "0":
        return None
    if len(sides) > 2 or not all(re.fullmatch("[1-9][0-9]{0,8}", side) for side in sides):
        raise ValueError(
            f"--image_size={image_size}: expected pixels, as 224, height x width, as 240x320, or 0 (the data set's own)"
        )
    if max(map(int, sides)) > LONGEST_SIDE:
        raise ValueError(f"--image_size={image_size}: expected at most {LONGEST_SIDE} pixels a side; try 224")
    return int(sides[0]), int(sides[-1])


def one_order(augmentation):
    """Steps of an augmentation in the order of `AUGMENTATIONS`; `crop_flip` is how recipes once said crop,flip."""
    old = augmentation.replace("resized_crop", "resized-crop").replace("_", ",").replace("-", "_")
    steps = [step.strip() for step in old.split(",")]
    return ",".join(sorted(steps, key=AUGMENTATIONS.index)) if set(steps) <= set(AUGMENTATIONS) else augmentation


def one_spelling(dataset):
    """A `dataset` as recipes have it: a folder without detours and with a slash at its end."""
    return os.path.join(os.path.normpath(os.path.expanduser(dataset)), "") if is_folder(dataset) else dataset


def at(recipe, dataset=None, data_dir=None):
    """A recipe whose data lies elsewhere now; None leaves a place as it is."""
    moved = {"dataset": dataset and one_spelling(dataset), "data_dir": data_dir}
    return dataclasses.replace(recipe, **{name: place for name, place in moved.items() if place is not None})


def is_folder(dataset):
    """Whether a `dataset` names a folder rather than a TFDS data set (`name`, `name/config:1.0.0`)."""
    return os.path.isdir(dataset) or dataset.startswith((".", "/", "~")) or dataset.endswith("/")


# The common rows of "ResNet strikes back"; A1, as it is.
STRIKES_BACK = Recipe(
    dataset="imagenet2012",
    depth=50,
    image_size=224,
    crop_fraction=0.95,
    augmentation="resized_crop,flip,rand",
    magnitude=21,
    mixup=0.2,
    cutmix=1.0,
    loss="bce",
    repeats=3,
    stochastic_depth=0.05,
    label_smoothing=0.1,
    epochs=600,
    batch_size=2048,
    optimizer="lamb",
    learning_rate=5e-3,
    warmup=5 / 600,
    weight_decay=0.01,
    clip=1.0,
)

# This project's own, for some thousand recordings of a second; docs/sounds.md.
SOUNDS = Recipe(
    depth=8,
    augmentation="later,stretch,gain,stripes",
    epochs=30,
    batch_size=32,
    optimizer="muon",
    learning_rate=0.02,
    weight_decay=0.005,
    schedule="one_cycle",
    warmup=0.2,
    label_smoothing=0.1,
)

RECIPES = {
    # This project's own: a ResNet-8 on 1,151 pictures of 8x8 pixels, for the demo. Digits must not be mirrored.
    "digits": Recipe(
        dataset="digits",
        depth=8,
        epochs=40,
        batch_size=32,
        schedule="one_cycle",
        warmup=0.2,
        weight_decay=5e-4,
        augmentation="shift",
    ),
    # One cycle as in cifar10_fast. Digits and letters must not be mirrored.
    "mnist": Recipe(
        dataset="mnist",
        epochs=20,
        schedule="one_cycle",
        warmup=0.15,
        learning_rate=0.15,
        weight_decay=5e-4,
        augmentation="shift",
    ),
    # He et al. 2015, section 4.2: 64,000 steps of 128; a tenth of the learning rate at 32,000 and 48,000 steps.
    "cifar10": Recipe(epochs=182, schedule="steps", decay_at="0.5,0.75"),
    # One cycle as in the DAWNBench entries (Page 2018, https://myrtle.ai/learn/how-to-train-your-resnet/), with their
    # weight decay and cutout, for a budget of one to two hours on two CPU cores: docs/results.md.
    "cifar10_fast": Recipe(
        epochs=80,
        schedule="one_cycle",
        warmup=0.15,
        learning_rate=0.15,
        weight_decay=5e-4,
        augmentation="crop,flip,cutout",
    ),
    # As accurate as two CPU cores get in four minutes: Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon/),
    # smaller pictures at first and mirroring alone, as airbench and Page's series have it; docs/results.md.
    "cifar10_sprint": Recipe(
        epochs=6,
        batch_size=256,
        optimizer="muon",
        learning_rate=0.02,
        weight_decay=0.005,
        schedule="one_cycle",
        warmup=0.15,
        augmentation="flip",
        progressive=0.6,
        label_smoothing=0.1,
        shortcut="pool",
    ),
    # Goyal et al. 2017, https://arxiv.org/abs/1706.02677: 90 epochs, 0.1 for each 256 pictures, 5 epochs of warm-up;
    # cosine instead of steps and smoothed labels as in He et al. 2018, https://arxiv.org/abs/1812.01187.
    "imagenet": Recipe(
        dataset="imagenet2012",
        depth=50,
        image_size=224,
        crop_fraction=0.875,
        augmentation="resized_crop,flip",
        epochs=90,
        batch_size=256,
        warmup=5 / 90,
        label_smoothing=0.1,
    ),
    # Wightman et al. 2021, "ResNet strikes back", https://arxiv.org/abs/2110.00476, table 2: 80.4, 79.8 and 78.1 % of
    # ImageNet's validation pictures with a ResNet-50. Their RandAugment draws its magnitude about 7 (6) of 10.
    "imagenet_a1": STRIKES_BACK,
    "imagenet_a2": dataclasses.replace(
        STRIKES_BACK, epochs=300, warmup=5 / 300, weight_decay=0.02, label_smoothing=0.0, mixup=0.1
    ),
    "imagenet_a3": dataclasses.replace(
        STRIKES_BACK,
        train_size=160,
        epochs=100,
        warmup=5 / 100,
        learning_rate=8e-3,
        weight_decay=0.02,
        label_smoothing=0.0,
        stochastic_depth=0.0,
        repeats=1,
        magnitude=18,
        mixup=0.1,
    ),
    # Bello et al. 2021, "Revisiting ResNets", https://arxiv.org/abs/2103.07579, tables 7 and 11: 78.8 % at 160 pixels.
    # Theirs has no max-pooling, but one more strided convolution.
    "resnet_rs50": Recipe(
        dataset="imagenet2012",
        depth=50,
        stem="deep",
        shortcut="pool",
        se=0.25,
        image_size=160,
        crop_fraction=0.875,
        augmentation="resized_crop,flip,rand",
        magnitude=30,
        epochs=350,
        batch_size=4096,
        learning_rate=1.6,
        warmup=5 / 350,
        weight_decay=4e-5,
        label_smoothing=0.1,
        dropout=0.25,
        ema=0.9999,
    ),
    # This project's own, for some hundred pictures with boxes and an hour on two CPU cores; docs/places.md.
    "detection": Recipe(
        task="detection",
        depth=18,
        width=0.5,
        stem="imagenet",
        augmentation="zoom,flip,jitter",
        epochs=200,
        batch_size=8,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        warmup=0.05,
        ema=0.998,
    ),
    # This project's own, for some hundred pictures with masks and two hours on two CPU cores; docs/places.md.
    "segmentation": Recipe(
        task="segmentation",
        depth=18,
        width=0.5,
        stem="imagenet",
        augmentation="zoom,flip,jitter",
        zoom=1.7,
        epochs=100,
        batch_size=8,
        optimizer="muon",
        learning_rate=0.02,
        weight_decay=0.005,
        warmup=0.03,
        ema=0.998,
        class_weights="balanced",
    ),
    "sounds": SOUNDS,
    # For Speech Commands (Warden 2018, https://arxiv.org/abs/1804.03209), whose unknown words are half of it: nobody
    # has measured it yet; docs/sounds.md.
    "speech_commands": dataclasses.replace(
        SOUNDS, dataset="speech_commands", depth=14, width=1.5, sampling="balanced", batch_size=128
    ),
    # This project's own, for some thousand sentences; docs/texts.md.
    "texts": Recipe(
        depth=8,
        augmentation="forget",
        pairs=1 << 18,
        pieces=1 << 16,
        epochs=8,
        batch_size=64,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.01,
        warmup=0.1,
        dropout=0.5,
        ema=0.998,
    ),
    # This project's own, for some hundred rows of a table; docs/tables.md.
    "tables": Recipe(
        depth=8,
        augmentation="none",
        epochs=20,
        passes=4,
        batch_size=16,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        warmup=0.1,
        dropout=0.2,
        ema=0.99,
    ),
    # A network that has learned already, for a few hundred pictures: after Kumar et al. 2022,
    # https://arxiv.org/abs/2202.10054, the new last layer is fitted first, so that its errors do not distort the rest.
    "finetune": Recipe(
        augmentation="resized_crop,flip",
        head="probe",
        epochs=0,
        batch_size=32,
        learning_rate=0.01,
        warmup=0.1,
        label_smoothing=0.1,
        patience=20,
    ),
    # The last layer alone, fitted to features that are computed once.
    "probe": Recipe(head="probe", freeze="all", epochs=0, batch_size=32, augmentation="none"),
}


# TFDS sets of small pictures, and those of them that show digits and letters.
SMALL_PICTURES = ("cifar10", "cifar100", "fashion_mnist")
SPOKEN = ("spoken_digit",)
WRITTEN = ("imdb_reviews", "ag_news_subset", "yelp_polarity_reviews", "glue", "sentiment140", "tweet_eval")
BOXED = ("voc", "coco", "kitti", "wider_face", "lvis")
CHARACTERS = ("mnist", "mnist_corrupted", "kmnist", "emnist", "svhn_cropped", "cmaterdb", "binary_alpha_digits")


def default_recipe(dataset, task="auto"):
    """The name of the recipe that fits a data set when none is asked for, whatever its version and configuration."""
    name = "" if is_folder(dataset) else re.split("[:/]", dataset)[0]
    if task == "auto" and (name in BOXED or (is_folder(dataset) and layouts.boxes(dataset))):
        return "detection"
    if task == "auto" and is_folder(dataset) and layouts.masks(dataset):
        return "segmentation"
    if task in layouts.EXPECTED:
        return task
    if name == "speech_commands":
        return name
    if name in SPOKEN or (is_folder(dataset) and layouts.sounds(dataset)):
        return "sounds"
    if name in WRITTEN or (is_folder(dataset) and layouts.texts(dataset)):
        return "texts"
    if is_folder(dataset) and layouts.rows(dataset):
        return "tables"
    if name in SMALL_PICTURES or not dataset:
        return "cifar10"
    if name in CHARACTERS:
        return "mnist"
    return "digits" if dataset == "digits" else "imagenet"


# Fields that say what is made of one kind of thing alone.
FIELDS_OF = {
    "pictures": ("image_size", "channels", "crop_fraction", "resize", "axes"),
    "recordings": ("seconds", "bands", "sample_rate", "noise"),
    "texts": ("tokens", "vocabulary", "pairs", "pieces"),
}


def things(dataset, task="auto"):
    """What a data set holds, a name of `FIELDS_OF`; None where that is known only when it is loaded."""
    name = "" if is_folder(dataset) else re.split("[:/]", dataset)[0]
    if name and name not in ("digits", "speech_commands", *SMALL_PICTURES, *SPOKEN, *WRITTEN, *BOXED, *CHARACTERS):
        return None
    usual = default_recipe(dataset, task)
    held = {"sounds": "recordings", "speech_commands": "recordings", "texts": "texts", "tables": "rows"}
    return held.get(usual, "pictures")


def check_things(dataset, task, given):
    """Raises ValueError for a field among `given` that is of other things than a data set is known to hold."""
    held = things(dataset, task)
    for other in FIELDS_OF if held else ():
        for field in FIELDS_OF[other] if other != held else ():
            if given.get(field, getattr(Recipe(), field)) != getattr(Recipe(), field):
                said = f"it is of {other}, {dataset or 'cifar10'} has {held}"
                raise ValueError(f"--{field}={given[field]}: {said}; drop it")


# Fields that say where a run was made, not what it is.
PLACES = ("data_dir", "strategy", "compile")
# Fields that say which network it is.
NETWORK = ("depth", "axes", "width", "version", "stem", "shortcut", "se", "blur", "activation")


def finetuned(recipe, dataset):
    """A recipe's augmentation made that of a data set of small pictures, of those not to be mirrored, or of sounds."""
    usual = RECIPES[default_recipe(dataset, recipe.task)].augmentation
    others = not is_folder(dataset) or layouts.sounds(dataset) or layouts.texts(dataset) or layouts.rows(dataset)
    crops = "resized_crop" in recipe.augmentations and others
    return dataclasses.replace(recipe, augmentation=usual) if crops else recipe


GROWN = 0.75  # part of a training after which progressive pictures have their full size


def sides(recipe, full, epoch):
    """Height and width of an epoch's training pictures, where they are not the full ones'; else None.

    Their shorter side is a multiple of 8, or of 32 from 128 pixels on: each other size takes seconds to trace.

    Args:
        recipe: `Recipe`, its epochs known.
        full: (height, width) of the contract.
        epoch: number, from 0.
    """
    if recipe.train_size:
        return at_shorter(full, recipe.train_size)
    part = recipe.progressive + (1 - recipe.progressive) * epoch / max(1.0, GROWN * recipe.ends[0])
    if not recipe.progressive or part >= 1 or epoch >= recipe.ends[0] - 1:  # the last is full, of however few
        return None
    step = 8 if min(full) < 128 else 32
    return at_shorter(full, min(min(full), max(step, step * round(min(full) * part / step))))


def at_shorter(full, pixels):
    """A size of the same shape, whose shorter side has so many pixels."""
    return tuple(round(side * pixels / min(full)) for side in full)


# Of a training whose epochs are not said: steps, and the fewest and the most epochs. With 100 of them on 300 pictures,
# learning was over long before the rate fell.
STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 1000, 10, 50


def epochs_for(recipe, steps):
    """Epochs of a recipe that leaves them open, of so many steps each; none where there is nothing left to learn."""
    if recipe.epochs or (recipe.head == "probe" and recipe.freeze == "all" and not recipe.unfreeze):
        return recipe.epochs
    return min(max(STEPS // steps, FEWEST_EPOCHS), MOST_EPOCHS)


# Fewer steps an epoch, of more pictures than a small batch has, and a hint is printed.
FEW_STEPS, SMALL_BATCH = 8, 16


def smaller_batch(recipe, pictures):
    """The flags of a batch that few pictures fill more often, the learning rate in proportion (Goyal et al. 2017)."""
    batch = recipe.batch_size
    while batch > pictures or (batch > SMALL_BATCH and pictures // batch < FEW_STEPS):
        batch //= 2
    return f"--batch_size={batch} --learning_rate={recipe.learning_rate * batch / recipe.batch_size:.2g}"


def continued(recipe, init, quantize, norms="folded"):
    """The recipe of a short training from a finished run's weights, quantized or, as its control, in float.

    The control learns what the finished run has learned, labels or teachers; the quantized one, the finished run.
    A tenth of the float training's epochs, at least 3, at a two-hundredth of its learning rate, falling to zero: the
    weights have only to settle on the steps of int8 (Krishnamoorthi 2018, https://arxiv.org/abs/1806.08342), and norms
    that are folded no longer hold them: at a twentieth of the rate ResNet-8 diverged. Norms that are learning do.
    An int8 network resizes the maps of masks to fixed sizes, so that it takes no windows.
    """
    whole = quantize != "none" and recipe.task == "segmentation"
    return dataclasses.replace(
        recipe,
        init=init,
        quantize=quantize,
        norms=norms,
        train_size=0 if whole else recipe.train_size,
        weight_bits=recipe.weight_bits if quantize != "none" else 8,
        ranges=recipe.ranges if quantize != "none" else "found",
        teacher="" if quantize != "none" else recipe.teacher,
        extends="",
        head="random",
        freeze="none",
        unfreeze=0.0,
        head_learning_rate=0.0,
        layer_decay=1.0,
        patience=0,
        ema=0.0,
        stochastic_depth=0.0,
        dropout=0.0,
        epochs=max(3, recipe.epochs // 10),
        learning_rate=recipe.learning_rate / (20 if norms == "learning" else 200),
        schedule="cosine",
        warmup=0.1,
        precision="auto" if quantize != "none" else recipe.precision,
    )
