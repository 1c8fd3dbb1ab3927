"""How the programs of this project start and end: one sentence on standard error, and an exit status with a meaning.

0: done. 2: a flag, a file or data that won't do. 4: the training diverged. 75: another machine is
gone, the same command continues. 128 and a signal's number: it came, as 143
(SIGTERM) and 130 (Ctrl-C); a training's state is saved. 1: a fault in this code, with its traceback; 1 and 3 are the
export's own, too.
"""

import atexit
import contextlib
import math
import os
import re
import signal
import sys
import threading
import traceback

from absl import app, flags

flags.disclaim_key_flags()  # they count as the script's own, so that its --help lists them
BAD_INPUT = 2
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
TERMINATED = 128 + signal.SIGTERM
SECONDS_TO_END = 10  # for functions of `atexit`; TensorFlow's remove files that it has written


def start(name, main):
    """Parses the flags, defined before, runs `main(argv)` and ends the process, for certain, with the status it gives.

    An exception ends the program `name` with its sentence. TensorFlow's pipelines can wait for ever in the destructor
    of an iterator that met an error: nothing that an exception holds is let go of, and the interpreter's own end, with
    all its destructors, is left out.
    """

    def parse(argv):
        try:
            rest = flags.FLAGS(argv)
        except flags.Error as error:
            fail(name, f"{_plain(error)}; --help lists all flags")
        for flag, value in flags.FLAGS.flag_values_dict().items():
            if isinstance(value, float) and not math.isfinite(value):  # NaN is beyond no limit
                fail(name, f"--{flag}={value}: expected a finite number")
        return rest

    # An orderly end: half-written files and processes that were started go, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(TERMINATED))
    try:
        app.run(main, flags_parser=parse)
    except BaseException as error:
        for number in (signal.SIGTERM, signal.SIGINT):  # the next one need not wait
            signal.signal(number, signal.SIG_DFL)
        end(_say(name, error))


def _plain(error):
    """What a flag's error says, without Python's words for what is no number."""
    text = re.sub(r"invalid literal for int\(\) with base \d+: .*", "expected a whole number", str(error))
    return re.sub(r"could not convert string to float: .*", "expected a number", text)


def define_places():
    """Flags for commands on finished runs: where their data lies now."""
    flags.DEFINE_string("dataset", None, "Where the run's folder of pictures lies now, if it has moved.")
    flags.DEFINE_string("data_dir", None, "Where TFDS keeps the run's data now, if it has moved.")


def end(status):
    """Ends the process without any destructor; what is registered for its end, as removing temporary files, is done."""
    # In a thread, since nothing that others have registered may keep the process.
    registered = threading.Thread(target=atexit._run_exitfuncs, daemon=True)
    registered.start()
    registered.join(SECONDS_TO_END)
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            status = 128 + signal.SIGPIPE
        except OSError:  # the disk that it went to is full
            status = status or BAD_INPUT
    os._exit(status)


def fail(name, error):
    """Ends the program `name` for bad input."""
    print(f"{name}: {error}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def sentence(error):
    """What an exception says; of TensorFlow's, the one line that is for people, and of the system's, no number."""
    text = str(error).strip()
    if isinstance(error, OSError) and error.filename:
        expected = "; expected a folder there" if isinstance(error, FileExistsError | NotADirectoryError) else ""
        return f"{error.filename}: {error.strerror}{expected}"
    if _is_tensorflows(error):
        lines = [line.strip() for line in text.splitlines()]
        text = next((line.rpartition("}} ")[2] for line in lines if line.rpartition("}} ")[2]), "")
    return text or type(error).__name__


def _say(name, error):
    """Prints why the program ends; returns its status."""
    if isinstance(error, SystemExit) and error.code != TERMINATED:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, BrokenPipeError):  # whoever read the output has gone
        return 128 + signal.SIGPIPE
    if isinstance(error, SystemExit):
        text, status = "ended by SIGTERM", TERMINATED
    elif isinstance(error, KeyboardInterrupt):
        text, status = "ended by Ctrl-C", 128 + signal.SIGINT
    elif hasattr(error, "exit_status"):
        text, status = error, error.exit_status
    elif isinstance(error, ValueError | OSError) or _is_tensorflows(error):
        text, status = sentence(error), BAD_INPUT
    elif isinstance(error, MemoryError):
        text, status = f"out of memory: {sentence(error)}", BAD_INPUT
    else:
        text, status = f"a fault in this program:\n{''.join(traceback.format_exception(error))}", 1
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"{name}: {text}", file=sys.stderr)
    return status


def _is_tensorflows(error):
    """Whether it is a `tf.errors.OpError`; TensorFlow is not loaded for the answer."""
    tensorflow = sys.modules.get("tensorflow")
    return hasattr(tensorflow, "errors") and isinstance(error, tensorflow.errors.OpError)
