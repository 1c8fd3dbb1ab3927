"""Measures a model on this machine: `python -m device benchmark MODEL.tflite`.

People read the lines on standard error; the one JSON line on standard output is for the table in docs/raspberry_pi.md.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

import numpy as np

from . import command_line

WARM_UP = 10
AT_LEAST = 20  # runs, where they take longer than the time that is given
PHOTO = (480, 640)
# What the bits of `vcgencmd get_throttled` say, from Raspberry Pi's documentation.
THROTTLING = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
    16: "under-voltage has occurred",
    17: "frequency capping has occurred",
    18: "throttling has occurred",
    19: "soft temperature limit has occurred",
}


def main(given, program):
    parser = argparse.ArgumentParser(program, description="Measures a model's latency on this machine.")
    parser.add_argument("model", metavar="MODEL.tflite")
    parser.add_argument("--threads", type=command_line.threads, default=os.cpu_count(), help="the most to try")
    parser.add_argument("--seconds", type=command_line.seconds, default=5.0, help="for each number of threads")
    chosen = parser.parse_args(given)
    readers = {n: command_line.load(parser, chosen.model, n) for n in range(1, chosen.threads + 1)}
    before = state()
    latency = {}
    for n, reader in readers.items():
        latency[n] = measure(reader, chosen.seconds)
        say("{:2} threads  median {median_ms:8.3f} ms  p90 {p90_ms:8.3f} ms  ({runs} runs)".format(n, **latency[n]))
    result = {
        "model": pathlib.Path(chosen.model).name,
        "bytes": os.path.getsize(chosen.model),
        "machine": machine(),
        "litert": command_line.litert_version(),
        "threads": latency,
        "preprocessing_ms": preprocessing(readers[1]),
        "peak_memory_mb": peak_memory(),
        "before": before,
        "after": state(),
    }
    say(f"preprocessing of {measured(readers[1].contract.input)}  median {result['preprocessing_ms']:.3f} ms")
    for flag in result["after"]["throttling"] or ():
        say(f"careful: {flag}")
    print(json.dumps(result))


def measure(reader, seconds):
    """Latency of the network alone, for one thing: median and 90th percentile in milliseconds, and runs."""
    tensor = reader.quantize(random_input(reader.contract.input))
    for _ in range(WARM_UP):
        reader.invoke(tensor)
    times = []
    end = time.perf_counter() + seconds
    while len(times) < AT_LEAST or time.perf_counter() < end:
        began = time.perf_counter()
        reader.invoke(tensor)
        times.append(1000 * (time.perf_counter() - began))
    p90 = float(np.percentile(times, 90))
    return {"median_ms": round(statistics.median(times), 3), "p90_ms": round(p90, 3), "runs": len(times)}


def random_input(given):
    """What a contract's input makes of a thing, at random: uint8, int32 of a text, of several inputs a dict."""
    numbers = np.random.default_rng(0)
    if given.KIND == "several":
        return {name: random_input(part) for name, part in given.parts.items()}
    if given.KIND == "text":
        return given.ids(" ".join(numbers.choice(given.vocabulary, given.length)))
    return numbers.integers(0, 256, given.shape, np.uint8)


def preprocessing(reader):
    """Median milliseconds to prepare a decoded photo, a recording as long as is heard, a text as is read, or a row."""
    prepare = preparing(reader.contract.input)

    def once():
        began = time.perf_counter()
        reader.quantize(prepare())
        return 1000 * (time.perf_counter() - began)

    return round(statistics.median(once() for _ in range(AT_LEAST)), 3)


def preparing(given):
    """A function that prepares the same thing again and again; of several inputs one for each."""
    if given.KIND == "several":
        each = {name: preparing(part) for name, part in given.parts.items()}
        return lambda: {name: prepare() for name, prepare in each.items()}
    if given.KIND == "text":
        words = " ".join((given.vocabulary * given.length)[: given.length])
        return lambda: given.ids(words)
    if given.KIND == "row":
        cells = [str(getattr(column, "mean", "")) for column in given.columns]
        return lambda: given.pixels(cells)
    numbers = np.random.default_rng(0)
    if given.KIND == "sound":
        noise = numbers.uniform(-0.5, 0.5, given.samples)
        return lambda: given.pixels(noise)
    from PIL import Image

    photo = Image.fromarray(numbers.integers(0, 256, (*PHOTO, 3), np.uint8))
    return lambda: given.pixels(photo)


def measured(given):
    """What `preparing` prepares, in words."""
    if given.KIND == "several":
        return " and ".join(measured(part) for part in given.parts.values())
    of = {"sound": "{0.seconds} s", "text": "{0.length} tokens", "row": "a row of {0.size} bytes"}
    return of.get(given.KIND, f"{PHOTO[1]}x{PHOTO[0]} pixels").format(given)


def state():
    """Temperature in degrees Celsius and throttling flags of a Raspberry Pi; None where nothing tells them."""
    temperature = re.search(r"temp=([\d.]+)", vcgencmd("measure_temp"))
    throttled = re.search(r"throttled=0x([0-9a-fA-F]+)", vcgencmd("get_throttled"))
    bits = int(throttled[1], 16) if throttled else 0
    flags = [text for bit, text in THROTTLING.items() if bits >> bit & 1]
    return {"celsius": float(temperature[1]) if temperature else None, "throttling": flags if throttled else None}


def vcgencmd(question):
    try:
        return subprocess.run(["vcgencmd", question], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def machine():
    """The board's or processor's name, with the instruction set."""
    for path, pattern in (("/proc/device-tree/model", r"([^\0]+)"), ("/proc/cpuinfo", r"model name\s*: (.+)")):
        try:
            name = re.search(pattern, pathlib.Path(path).read_text())
        except OSError:
            continue
        if name:
            return f"{name[1].strip()} ({platform.machine()})"
    return platform.machine()


def peak_memory():
    """The most memory that this process had, in MB, or None; Python, NumPy and all readers included."""
    try:
        return round(int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024, 1)
    except OSError:
        return None


def say(text):
    print(text, file=sys.stderr)
