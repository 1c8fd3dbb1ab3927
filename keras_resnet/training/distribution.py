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
        mirrored = isinstance(self.strategy, tf.distribute.MirroredStrategy)
        return {
            "strategy": "mirrored" if mirrored else "one_device",
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


def choose(strategy="auto", precision="auto", compile="auto", batch_norm="auto", batch_size=None, accumulate=1):
    """Chooses and checks what a run computes on.

    Args:
        strategy: `auto`, `one_device` or `mirrored` (all GPUs, or all logical CPUs where there is no GPU).
        precision: `auto`, `float32`, `mixed_bfloat16`, `mixed_float16`.
        compile: `auto`, `xla`, `none`.
        batch_norm: `auto` (synchronized), `synchronized` or `per_replica`, the same thing on one device; or `frozen`.
        batch_size: the global one; it must be a multiple of the replicas.
        accumulate: batches whose mean gradient makes one update.

    Raises:
        ValueError: the parts do not go together on this machine.
    """
    gpus, cpus = tf.config.list_logical_devices("GPU"), tf.config.list_logical_devices("CPU")
    devices = gpus or cpus
    if strategy == "auto":
        strategy = "mirrored" if len(gpus) > 1 else "one_device"
    if strategy == "mirrored":
        tf_strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    else:
        tf_strategy = tf.distribute.OneDeviceStrategy(devices[0].name)
    replicas = tf_strategy.num_replicas_in_sync
    if precision == "auto":
        precision = _precision(gpus)
    if compile == "xla" and strategy == "mirrored":
        raise ValueError(
            "--compile=xla --strategy=mirrored: TensorFlow can't compile a replicated Keras 3 step; "
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
