"""What a training starts from: new weights or those of `--init`, under int8 arithmetic or not, and its teachers."""

import pathlib

from keras_resnet import origins, runs
from keras_resnet.networks.transfer import backbone, classifies, copy_alike, split, transfer
from keras_resnet.networks.weights import fitting
from keras_resnet.quantization.saved import load_model
from keras_resnet.training import freezing, probe

CALIBRATION_PICTURES = 512


def build_model(recipe, data, task, run, model=None):
    """The float32 model that a recipe starts from, of stock Keras layers or quantized ones, and its teachers.

    Args:
        recipe: `Recipe`.
        data: `Data`.
        task: of it.
        run: `Run`; where it has begun, its model has the right layers, and the checkpoint the weights.
        model: what is trained instead of the recipe's network.

    Raises:
        RunError: `--init` or a teacher can't be had, or does not fit the data.
    """
    task.check(recipe)
    if model is not None:
        origin = fitting(model, data.contract, "model")
    elif recipe.init and recipe.quantize == "none" and run.model.exists():
        origin = load_model(run.model)
    else:
        origin = started(recipe, data, task) if recipe.init else task.network(recipe)
        if not recipe.init:
            task.begin(origin, data)
    teachers = load_teachers(recipe, data.contract, origin)
    if recipe.quantize == "none":
        return origin, teachers
    from keras_resnet.quantization import quantize_aware

    pictures = data.calibration(CALIBRATION_PICTURES, recipe.seed)
    learning = {
        "search": task.RANGES,
        "learn_ranges": recipe.ranges == "learned",
        "learn_norms": recipe.norms == "learning",
    }
    return quantize_aware(origin, pictures, weight_bits=recipe.widths, **learning), teachers


def load_teachers(recipe, contract, origin):
    """The networks whose answers a recipe learns that starts from `origin`; none, and it learns the labels."""
    if recipe.quantize != "none" and not recipe.teachers:
        return [origin]
    return [finished_model("teacher", path, contract) for path in recipe.teachers]


def finished_model(flag, path, contract):
    """The best model of a finished run, which a flag names, and whose data is `contract`'s.

    Raises:
        RunError: it is not finished, or was trained on pictures of another contract.
    """
    run = finished_run(flag, path)
    if runs.load_contract(run) != contract:
        would_do = {"init": "give its own --dataset", "teacher": "give a run of the same --dataset and --image_size"}
        raise runs.RunError(f"--{flag}={path}: it was trained on other pictures or labels; {would_do[flag]}")
    return load_model(run.model)


def finished_run(flag, path):
    """The `Run` that a flag names; raises RunError for one that is not finished."""
    run = runs.Run(pathlib.Path(path))
    if not runs.is_finished(run):
        raise runs.RunError(f"--{flag}={path}: this run is not finished; its own train.py command continues it")
    return run


def started(recipe, data, task):
    """The model of `--init`, its last layer new where its answers are others; one line is printed on what came over.

    Raises:
        RunError: it can't be had, or does not fit.
    """
    contract, labels = data.contract, None
    if recipe.quantize != "none":
        return finished_model("init", recipe.init, contract)
    kind = origins.kind(recipe.init)
    if kind == "run":
        run = finished_run("init", recipe.init)
        origin, theirs = load_model(run.model), runs.load_contract(run)
        if theirs == contract:
            return origin
        for kind, own in (("text", "vocabulary"), ("row", "columns")):
            if kind in (theirs.input.KIND, contract.input.KIND):
                raise runs.RunError(
                    f"--init={recipe.init}: a network of {kind}s goes on with its own {own} and data alone"
                )
        labels = theirs.output
    else:
        origin = load_origin(recipe.init, recipe.data_dir)
    if not task.PER_PICTURE:
        model = task.network_on(backbone(origin, contract.shape), recipe)
        came = f"{copy_alike(origin, model)} of {len(model.weights)} arrays come over"
        print(f"--init={recipe.init}: {came}; new are parts of pyramid and heads", flush=True)
        return model
    model = transfer(origin, contract.shape, len(contract.labels), recipe.seed)
    before, head = split(origin)[1] if classifies(origin) else None, split(model)[1]
    total, came = len(model.weights), f"{len(model.weights)} of {len(model.weights)} arrays come over"
    if labels == contract.output:
        head.set_weights(before.get_weights())
    else:
        came = f"{total - len(head.weights)} of {total} arrays come over; new: {head.name}, {head.units} answers"
        if before:
            came += f" where it had {before.units}" if labels is None else f" for its {before.units} of other labels"
        if recipe.head == "probe":
            freezing.frozen(model, recipe, 0)  # names an unknown stage before the features are computed
            probe.fit_head(model, data, task, recipe)
            came += ", fitted to the training pictures' features"
    print(f"--init={recipe.init}: {came}", flush=True)
    return model


def load_origin(init, data_dir):
    """The `keras.Model` of an origin that is no run."""

    from keras_resnet.networks import zoo

    path = origins.place(init)
    try:
        if path is None:
            return zoo.from_keras_applications(init[6:], data_dir)
        if origins.kind(init) == "torch":
            return zoo.from_torch(zoo.read_torch(path), f"torch:{path}")
        return load_model(path)
    except zoo.ZooError as error:
        raise runs.RunError(f"--init: {error}") from None
