"""The flags of an export, and its options."""

import dataclasses
import os
import pathlib

from absl import flags

from keras_resnet import programs

from . import android

FORMATS = ("float32", "float16", "dynamic", "int8-ptq", "int8-qat", "int16x8", "int8-tfmot")
OF_A_RUN = ("qat_epochs", "split", "tolerance", "dataset", "data_dir")
OF_A_CONTRACT = ("android", "license", "author", "description", "model_version")
FLAGS = flags.FLAGS


def define_flags():
    flags.DEFINE_list(
        "formats",
        None,
        f"What to make, of {', '.join(FORMATS)}; by default all but int8-tfmot, and int8-qat where its run is there.",
    )
    flags.DEFINE_integer("qat_epochs", 0, "Train int8-aware for so many epochs first, in the run's qat/ folder.", 0)
    flags.DEFINE_enum(
        "io", "uint8", ["uint8", "int8", "float32"], "Input and output of int8 files; int8 for microcontrollers."
    )
    flags.DEFINE_enum(
        "output", "logits", ["logits", "probabilities"], "What files answer; probabilities for clients without softmax."
    )
    flags.DEFINE_enum("split", "validation", ["validation", "test"], "Pictures to compare on; ask for test once.")
    flags.DEFINE_integer("pictures", 0, "Compare on so many of them, drawn by a fixed seed; 0 for all.", 0)
    flags.DEFINE_float("tolerance", 0.5, "Points of accuracy that int8-qat may lose before the exit status is 1.", 0)
    flags.DEFINE_integer("threads", 1, "Of LiteRT, for the answers.", 1, max(64, os.cpu_count() or 1))
    flags.DEFINE_integer("calibration", 512, "Training pictures (of MODEL.keras, examples) that ranges are set by.", 1)
    programs.define_places()
    flags.DEFINE_string("examples", None, "Of MODEL.keras: .npz with an array for each input, or a folder of pictures.")
    flags.DEFINE_string("contract", None, "Of MODEL.keras, where it takes pictures and tells classes: contract.json.")
    flags.DEFINE_bool("layers", False, "Report layer by layer how much int8 rounding disturbs the signal.")
    flags.DEFINE_bool("android", False, "Copy the best file (int8 before float) and its golden set into the app.")
    flags.DEFINE_bool("c_array", False, "Write each int8 file as C++, too: model_data.cc and .h.")
    flags.DEFINE_string("license", "", "Of the model and what it learned from, for the files' metadata; none if empty.")
    flags.DEFINE_string("author", "", "Of the model, for the files' metadata; none if empty.")
    flags.DEFINE_string("description", "", "Of the model, for the files' metadata; none if empty.")
    flags.DEFINE_string("model_version", "", "For the files' metadata; none if empty.")


def main(argv):
    from keras_resnet import environment

    if len(argv) != 2:
        raise ValueError(f"expected one run's folder or NAME.keras, got {argv[1:]}; type python -m export runs/NAME")
    alone = argv[1].endswith(".keras")
    _check_kind(argv[1], alone)
    asked = FORMATS if FLAGS.formats is None else FLAGS.formats
    if alone and FLAGS.formats and "int8-tfmot" in FLAGS.formats:
        raise ValueError("--formats=int8-tfmot: it learns, by a run's data and recipe; it is for runs/NAME")
    unknown = sorted(set(asked) - set(FORMATS))
    if unknown:
        raise ValueError(f"--formats={','.join(unknown)}: no such format; choose {', '.join(FORMATS)}")
    if not asked:
        raise ValueError(f"--formats=: expected at least one of {', '.join(FORMATS)}")
    if FLAGS.qat_epochs and not {"int8-qat", "int8-tfmot"} & set(asked):
        raise ValueError(f"--qat_epochs={FLAGS.qat_epochs}: none of --formats learns; add int8-qat to them")
    if FLAGS.c_array and not any(name.startswith("int8") for name in asked):
        raise ValueError("--c_array: it is made of int8 files; add int8-ptq or int8-qat to --formats")
    if FLAGS.android and not android.ASSETS.parents[4].is_dir():
        raise ValueError(f"--android: {android.ASSETS.parents[4]} is not there; export from a clone of the repository")
    environment.load_tensorflow()
    try:
        from . import exporting, network
    except ModuleNotFoundError as error:
        raise ValueError(f'{error}; type pip install -e ".[export]"') from error
    return (network if alone else exporting).export(pathlib.Path(argv[1]), options())


def _check_kind(name, alone):
    """Holds the flags to what is exported, a run or a model alone."""
    if not alone:
        if given := [name for name in ("examples", "contract") if FLAGS[name].present]:
            raise ValueError(
                f"{name}: --{given[0]} is for a model alone, NAME.keras, as model.save('NAME.keras') writes it; a run "
                "has its own"
            )
        return
    if FLAGS["output"].present:
        raise ValueError("--output: the file of a model alone answers as the model does; end that with a softmax")
    if given := [name for name in OF_A_RUN if FLAGS[name].present]:
        raise ValueError(f"--{given[0]}: a model alone has no training and no data set; it is for runs/NAME")
    if FLAGS.examples is None:
        raise ValueError("--examples: expected what the model takes, as --examples=inputs.npz (np.savez, from Python)")
    if FLAGS.contract is None and (given := [name for name in OF_A_CONTRACT if FLAGS[name].present]):
        raise ValueError(f"--{given[0]}: files without --contract have no metadata and no place in the app")


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of one export."""

    formats: list | None
    qat_epochs: int
    io: str
    output: str
    split: str
    pictures: int
    tolerance: float
    threads: int
    calibration: int
    layers: bool
    android: bool
    c_array: bool
    license: str
    author: str
    description: str
    model_version: str
    dataset: str | None = None
    data_dir: str | None = None
    examples: str | None = None
    contract: str | None = None


def options():
    names = [field.name for field in dataclasses.fields(Options)]
    return Options(**{name: FLAGS[name].value for name in names})


def run():
    """The program."""
    flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
    define_flags()
    programs.start("export", main)
