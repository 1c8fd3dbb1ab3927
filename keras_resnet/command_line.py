"""`train.py`: flags -> Recipe -> run. TensorFlow is loaded only when all flags are good."""

import dataclasses
import os
import pathlib

from absl import flags

from keras_resnet import depths, environment, models, origins, programs, recipes, runs, tasks, workers
from keras_resnet.data import data_service
from keras_resnet.recipes import RECIPES, Recipe
from keras_resnet.reports import wandb_writer

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
TUNING = ("finetune", "probe")  # recipes that know nothing of the data
_DEFINE = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    int | str: flags.DEFINE_string,
}


def define_flags():
    flags.DEFINE_enum(
        "recipe", None, list(RECIPES), "Named recipe; each of its fields has a flag below. By default by --dataset."
    )
    for field in dataclasses.fields(Recipe):
        text = field.metadata["help"] + f" (a recipe's default: {field.default!r})"
        if field.metadata["choices"] and field.type is str:
            flags.DEFINE_enum(field.name, None, field.metadata["choices"], text)
        else:
            _DEFINE[field.type](field.name, None, text)
    flags.DEFINE_bool("control", False, "With --init: train on in float for as long, to compare --quantize with.")
    flags.DEFINE_string(
        "run_dir",
        None,
        "The run's own folder; by default runs/DATA-NETWORK/RECIPE, and qat, control or taught in that of --init.",
    )
    flags.DEFINE_enum(
        "split", "validation", ["validation", "test"], "What the report at the end is about; ask for test once."
    )
    flags.DEFINE_integer(
        "logical_cpus", 1, "Show the CPU as several devices, to try --strategy=mirrored without GPUs.", 1, 64
    )
    flags.DEFINE_bool("dry_run", False, "Say what would be trained and how long it would take here; write nothing.")
    flags.DEFINE_integer("log_steps", 0, "Steps between loss, rate and norms in TensorBoard; 0: none.", 0)
    flags.DEFINE_bool("wandb", False, "Log to Weights & Biases, too; WANDB_MODE=offline needs no account.")
    flags.DEFINE_bool("profile", False, "Profile ten steps, for TensorBoard, and say which operations took the time.")
    flags.DEFINE_float("save_seconds", 300, "Time between two saves within an epoch.", 0)
    flags.DEFINE_string("data_service", None, "grpc://HOST:PORT of a tf.data service that makes the batches.")
    flags.DEFINE_float(
        "wait_seconds",
        300,
        "For other machines: all workers of --strategy=multi_worker at the start, each batch of --data_service.",
        1,
        86_400,
    )


def recipe_from_flags():
    """Returns (name, Recipe) that the flags ask for.

    Raises:
        ValueError: a flag's value can't be.
    """
    given = {f.name: FLAGS[f.name].value for f in dataclasses.fields(Recipe) if FLAGS[f.name].value is not None}
    if FLAGS.control and (not FLAGS.init or given.get("quantize", "none") != "none"):
        raise ValueError(
            "--control: it trains on in float from a finished run; give --init=runs/NAME and no --quantize"
        )
    # One spelling of a path, or a run would not know itself again; a data set's folder keeps its slash.
    if given.get("init"):
        given["init"] = _one_spelling_of_origin(given["init"])
    if given.get("teacher"):
        paths = [path.strip() for path in given["teacher"].split(",")]
        given["teacher"] = ",".join(path and _one_spelling_of_run(path) for path in paths)
    if given.get("dataset"):
        given["dataset"] = recipes.one_spelling(given["dataset"])
    if FLAGS.init:
        if not os.path.exists(given["init"]) and given["init"] in models.files():
            raise ValueError(f"--init={given['init']}: an int8 file, for keras-resnet predict; it learns no more")
        origins.check(given["init"], models.names())
        name, recipe = _recipe_from_origin(given)
    else:
        name = FLAGS.recipe or recipes.default_recipe(FLAGS.dataset or "", FLAGS.task or "auto")
        recipe = RECIPES[name]
        if name in TUNING:
            raise ValueError(
                f"--recipe={name}: it starts from a network that has learned; give --init=keras:resnet50, "
                + ", ".join(f"--init={model}" for model in models.names())
            )
    if given.get("optimizer", recipe.optimizer) != recipe.optimizer and "learning_rate" not in given:
        rate = {"sgd": 0.1, "lion": 1e-4, "lamb": 5e-3}.get(given["optimizer"], 1e-3)
        raise ValueError(f"--optimizer={given['optimizer']}: its rate is another; give one, as --learning_rate={rate}")
    if given.get("resize") == "stretch":
        given.setdefault("crop_fraction", 1.0)  # so that nothing is cut off
    recipe = dataclasses.replace(recipe, **given)
    recipe.check()
    recipes.check_things(recipe.dataset, recipe.task, given)
    tasks.check_best(recipe.best)
    return name, recipe


def _one_spelling_of_origin(init):
    """An --init as recipes have it."""
    kind = origins.kind(init)
    if kind == "run":
        return _one_spelling_of_run(init)
    prefix = "torch:" if kind == "torch" else ""
    return init if kind == "keras" else prefix + os.path.normpath(init.removeprefix(prefix))


def _one_spelling_of_run(path):
    """A run's folder as recipes have it; a shipped model's name becomes its folder."""
    return str(models.folder(path)) if not os.path.exists(path) and path in models.names() else os.path.normpath(path)


def _recipe_from_origin(given):
    """(name, recipe) of a training that starts from --init.

    The run of --init on its own data is continued, shortly. Another data set's, and other weights, are fine-tuned.

    Raises:
        ValueError: a flag asks for another network than --init is.
    """
    init, quantize = given["init"], given.get("quantize", "none")
    run, theirs = runs.Run(pathlib.Path(init)), None
    if origins.kind(init) == "run":
        theirs = runs.load_recipe(run)
        same_data = given.get("dataset", theirs.dataset) == theirs.dataset
        if not FLAGS.recipe and (same_data or FLAGS.control or quantize != "none"):
            return _continued_recipe(init, run, given)
        given_to = runs.load_contract(run).input
        held = recipes.things(given.get("dataset", theirs.dataset), given.get("task", "auto"))
        if held not in (None, given_to.THINGS) and {"texts", "rows"} & {held, given_to.THINGS}:
            raise ValueError(f"--init={init}: it has read {given_to.THINGS}, {given['dataset']} has {held}")
        fields = {name: getattr(theirs, name) for name in recipes.NETWORK}
        if given_to.KIND != "text":
            sides = given_to.shape[2 - given_to.axes : 2]
            fields["stem"] = depths.stem(theirs.stem, sides) if sides else "small"
        if held in (None, given_to.THINGS):
            fields |= given_to.as_flags()
    elif quantize != "none" or FLAGS.control:
        flag = f"--quantize={quantize}" if quantize != "none" else "--control"
        raise ValueError(f"{flag}: --init={init} is no run of this data; fine-tune it first, then give that run")
    else:
        fields = origins.described(init)
    for name in recipes.NETWORK:
        if name in fields and given.get(name, fields[name]) != fields[name]:
            raise ValueError(f"--{name}={given[name]}: the network is that of --init ({fields[name]}); drop --{name}")
    usual = recipes.default_recipe(given.get("dataset", ""), given.get("task", "auto"))
    name = FLAGS.recipe or (usual if usual in ("detection", "segmentation") else "finetune")
    if name in TUNING and not given.get("dataset"):
        if theirs is None:
            raise ValueError(f"--init={init}: expected data to learn from, as --dataset=photos/")
        fields |= {"dataset": theirs.dataset, "data_dir": theirs.data_dir}
    return name, dataclasses.replace(recipes.finetuned(RECIPES[name], given.get("dataset", "")), **fields)


def _continued_recipe(init, run, given):
    """The recipe of --init's run, shortened: `qat`, or `control` where nothing is quantized."""
    quantize = given.get("quantize", "none")
    kind = "control" if quantize == "none" else "qat"
    recipe = recipes.continued(runs.load_recipe(run), init, quantize, given.get("norms", "folded"))
    recipe = dataclasses.replace(recipe, teacher=",".join(map(_shipped, recipe.teachers)))
    missing = [path for path in recipe.teachers if not runs.Run(pathlib.Path(path)).model.exists()]
    if missing and FLAGS.teacher is None:
        print(
            f"{', '.join(missing)}: teachers that are not here: it learns the labels, or those of --teacher=runs/NAME"
        )
        recipe = dataclasses.replace(recipe, teacher="")
    return kind, recipe


def _shipped(path):
    """A shipped model's folder as it is here, where a recipe was made elsewhere."""
    name = os.path.basename(path)
    is_ours = pathlib.Path(path).parts[-3:-1] == ("keras_resnet", "models") and name in models.names()
    return str(models.folder(name)) if is_ours and not os.path.exists(path) else path


def default_run_dir(name, recipe):
    if FLAGS.teacher and recipe.quantize == "none":
        name = "taught"
    if name in ("qat", "control", "taught") and recipe.init and origins.kind(recipe.init) == "run":
        shipped = os.path.basename(recipe.init)
        of_package = os.path.abspath(recipe.init) == os.path.abspath(models.path(shipped))
        return (pathlib.Path("runs") / shipped if of_package else pathlib.Path(recipe.init)) / name
    dataset = pathlib.Path(recipe.dataset).name.replace(":", "-")
    network = f"resnet{recipe.depth}{'v2' if recipe.version == 2 else ''}"
    if origins.kind(recipe.init) == "file":
        network = pathlib.Path(recipe.init).stem
    return pathlib.Path("runs") / f"{dataset}-{network}" / name


def main(argv):
    if len(argv) > 1:
        raise ValueError(f"{argv[1]}: flags begin with --; see {argv[0]} --help")
    name, recipe = recipe_from_flags()
    if FLAGS.wandb:
        wandb_writer.check()
    run_dir = pathlib.Path(FLAGS.run_dir) if FLAGS.run_dir else default_run_dir(name, recipe)
    root = pathlib.Path(recipe.dataset).expanduser().resolve()
    if recipes.is_folder(recipe.dataset) and run_dir.resolve().is_relative_to(root):
        raise ValueError(
            f"--run_dir={run_dir}: it lies in the data set, of which its pictures would become a part; give another"
        )
    several = recipe.strategy == "multi_worker"
    if several and FLAGS.dry_run:
        raise ValueError("--dry_run: one machine tries what one would do; drop --strategy=multi_worker")
    if several and FLAGS.logical_cpus > 1:
        raise ValueError(f"--logical_cpus={FLAGS.logical_cpus}: a worker has one CPU; start more workers")
    if not several and workers.others_are_meant():
        print("TF_CONFIG names several workers, this one trains alone: --strategy=multi_worker joins them", flush=True)
    if FLAGS.data_service:
        data_service.check(FLAGS.data_service, "--data_service=")
    writes = not several or workers.place().is_chief
    if writes:
        runs.check(runs.Run(run_dir), recipe)
    environment.load_tensorflow()
    from keras_resnet.reports import evaluation
    from keras_resnet.training import distribution, monitoring, trainer

    distribution.split_cpu(FLAGS.logical_cpus)
    print(f"recipe {name}: {trainer.describe(recipe)} -> {run_dir}", flush=True)
    if FLAGS.dry_run:
        from keras_resnet.training.dry_run import dry_run

        dry_run(recipe, runs.Run(run_dir))
        return
    monitor = monitoring.Monitor(FLAGS.log_steps, FLAGS.wandb, FLAGS.profile)
    service = data_service.Service(FLAGS.data_service, FLAGS.wait_seconds) if FLAGS.data_service else None
    elsewhere = {"wait_seconds": FLAGS.wait_seconds, "service": service}
    data = trainer.train(recipe, run_dir, FLAGS.save_seconds, monitor=monitor, **elsewhere)
    if not writes:  # the report is the chief's
        return
    if data is None:
        print(f"{run_dir}: this run is finished; nothing to train")
        if evaluation.has_report(run_dir, FLAGS.split):
            print(f"its report on the {FLAGS.split} split is in {run_dir}/report.json")
            return
    evaluation.report(run_dir, FLAGS.split, data, recipe.dataset, recipe.data_dir)


def run():
    """The console script."""
    define_flags()
    programs.start("train", main)


if __name__ == "__main__":
    run()
