"""What a run computes on: strategy, precision and compilation, chosen by the hardware, checked and printed here."""

import dataclasses
import os
import platform

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Hardware:
    """The choice.

    Attributes:
        strategy: a `tf.distribute.Strategy`.
        precision: Keras dtype policy, as `"float32"`.
        xla: whether the training step is compiled by XLA.
        batch_norm: `auto`, `synchronized` or `per_replica`: what several replicas do.
        description: one line for people.
    """

    strategy: tf.distribute.Strategy
    precision: str
    xla: bool
    batch_norm: str
    description: str

    @property
    def replicas(self):
        return self.strategy.num_replicas_in_sync

    @property
    def chosen(self):
        """The flags that ask for this choice, for the day when `auto` would be another one."""
        kinds = {
            tf.distribute.MirroredStrategy: "mirrored",
            tf.distribute.MultiWorkerMirroredStrategy: "multi_worker",
            tf.distribute.OneDeviceStrategy: "one_device",
        }
        return {
            "strategy": kinds[type(self.strategy)],
            "precision": self.precision,
            "compile": "xla" if self.xla else "none",
            "batch_norm": "synchronized" if self.batch_norm == "auto" else self.batch_norm,
        }

    @property
    def norm(self):
        """The kind of `normalization.training_twin`: the fused kernel can't synchronize, and XLA fuses by itself."""
        if self.batch_norm == "frozen":
            return "frozen"
        if self.replicas > 1:
            return "per_replica" if self.batch_norm == "per_replica" else "synchronized"
        return "stock" if self.xla else "fused"


def choose(
    strategy="auto", precision="auto", compile="auto", batch_norm="auto", batch_size=None, accumulate=1, workers=None
):
    """Chooses and checks what a run computes on.

    Args:
        strategy: `auto`, `one_device`, `mirrored` (all GPUs, or all logical CPUs where there is no GPU) or
            `multi_worker`, the same on several machines.
        precision: `auto`, `float32`, `mixed_bfloat16`, `mixed_float16`.
        compile: `auto`, `xla`, `none`.
        batch_norm: `auto` (synchronized), `synchronized` or `per_replica`, the same thing on one device; or `frozen`.
        batch_size: the global one; it must be a multiple of the replicas.
        accumulate: batches whose mean gradient makes one update.
        workers: `Cluster`, of several machines.

    Raises:
        ValueError: the parts do not go together on this machine.
    """
    gpus, cpus = tf.config.list_logical_devices("GPU"), tf.config.list_logical_devices("CPU")
    devices = gpus or cpus
    if strategy == "auto":
        strategy = "mirrored" if len(gpus) > 1 else "one_device"
    if strategy == "multi_worker":
        tf_strategy = workers.strategy
    elif strategy == "mirrored":
        tf_strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    else:
        tf_strategy = tf.distribute.OneDeviceStrategy(devices[0].name)
    replicas = tf_strategy.num_replicas_in_sync
    if precision == "auto":
        precision = _precision(gpus)
    if compile == "xla" and strategy in ("mirrored", "multi_worker"):
        raise ValueError(
            f"--compile=xla --strategy={strategy}: TensorFlow can't compile a replicated Keras 3 step; "
            "drop --compile, or use --strategy=one_device"
        )
    # On a CPU the compiled step was slower than oneDNN's kernels (benchmarks/training_step.py).
    xla = compile == "xla" or (compile == "auto" and bool(gpus) and strategy == "one_device")
    if batch_size and batch_size % replicas:
        raise ValueError(
            f"--batch_size={batch_size}: {replicas} devices can't share it evenly; "
            f"give a multiple, as {max(batch_size // replicas, 1) * replicas}"
        )
    if accumulate > 1 and replicas > 1:
        raise ValueError(
            f"--accumulate={accumulate}: Keras can't accumulate gradients on {replicas} devices; drop it, and give "
            "--batch_size times as many, which they share"
        )
    what = [_machine(gpus, replicas), strategy, precision, "XLA" if xla else "no XLA"]
    hardware = Hardware(tf_strategy, precision, xla, batch_norm, "")
    what.append(f"{hardware.norm.replace('_', '-')} batch norm")
    return dataclasses.replace(hardware, description=" · ".join(what))


def split_cpu(devices):
    """Shows the CPU as several logical devices, before TensorFlow has begun to use it."""
    if devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)


def make_fit_work(model, spec):
    """Makes `fit` of a compiled model work on several machines, which Keras 3's own doesn't (keras issue #20585).

    It would reduce a whole batch by the strategy, and each log along an axis that it lacks. So the model is built here,
    from what batches look like, and gets a train function of its own, which Keras leaves alone. One private name of
    Keras is called, `_symbolic_build`, and one replaced.

    Args:
        model: `keras.Model`, in the scope of its strategy.
        spec: `element_spec` of its batches.
    """
    model._symbolic_build(data_batch=spec)  # reads shapes and dtypes alone
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
    make_train_function(model)


def make_train_function(model):
    """What `make_train_function(force=True)` is to Keras, with logs that are equal on all machines."""
    strategy = model.distribute_strategy

    def step(data):
        # One collective: who stops at a loss that is not finite stops with all.
        return tf.distribute.get_replica_context().all_reduce("MEAN", model.train_step(data))

    @tf.function(reduce_retracing=True)
    def train_function(iterator):
        logs = strategy.run(step, (next(iterator),))
        return tf.nest.map_structure(lambda log: strategy.experimental_local_results(log)[0], logs)

    model.train_function = train_function


def of_each(strategy, batches):
    """What `fit` takes on several machines, of this one's parts of the batches: a replica each."""

    def parts(context):
        replicas = context.num_replicas_in_sync // context.num_input_pipelines
        size = batches.element_spec[0].shape[0]
        return batches.rebatch(size // replicas) if replicas > 1 else batches

    return strategy.distribute_datasets_from_function(parts)


def _precision(gpus):
    """Mixed precision where the hardware gains from it: bfloat16 from Ampere (8.0) on, float16 on Volta and Turing."""
    if not gpus:
        return "float32"
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    capability = details.get("compute_capability", (0, 0))
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else "float32"


def _machine(gpus, replicas):
    if gpus:
        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        return f"{replicas} x {details.get('device_name', 'GPU')}"
    on = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "by TensorFlow's own choice")
    return f"CPU ({os.cpu_count()} cores, {platform.machine()}, {replicas} replica(s), oneDNN {on})"
