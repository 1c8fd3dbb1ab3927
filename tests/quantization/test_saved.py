"""`.keras` files of strangers: loading one executes nothing, writes nothing, and ends in one sentence."""

import json
import zipfile

import keras
import pytest

from keras_resnet import origins
from keras_resnet.quantization.saved import load_model
from keras_resnet.runs import RunError


def rewritten(finished, config=None, added=()):
    """A finished run's model with another config, and files more, as a `.keras` file beside it."""
    path = finished.parent / "stranger.keras"
    with zipfile.ZipFile(finished / "model.keras") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, json.dumps(config) if config and name == "config.json" else old.read(name))
        for name in added:
            new.writestr(name, "x")
    return path


def test_code_of_a_lambda_layer_is_not_executed(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "lambda.keras"
    code = keras.layers.Lambda(eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"))
    keras.Sequential([keras.Input((4,)), code]).save(path)
    marker.unlink()
    with pytest.raises(RunError, match=r"lambda\.keras: no Keras model of stock layers \(.*Lambda"):
        load_model(path)
    assert not marker.exists()
    keras.models.load_model(path, safe_mode=False)
    assert marker.exists()


@pytest.mark.parametrize(
    ("module", "name", "given"),
    [
        ("os", "system", {"command": "touch MARKER"}),
        ("subprocess", "Popen", {"args": ["touch", "MARKER"]}),
        ("pathlib", "Path.touch", {"self": "MARKER"}),
        ("keras.utils", "get_file", {"fname": "MARKER", "origin": "file:///etc/hostname"}),
        ("keras.config", "enable_unsafe_deserialization", {}),
        ("keras.src.utils.file_utils", "os", {}),
        ("keras.layers", "TFSMLayer", {"filepath": "MARKER"}),
        ("keras.layers", "StringLookup", {"vocabulary": "/etc/hostname"}),
    ],
)
def test_a_config_calls_nothing_but_layers(finished, tmp_path, module, name, given):
    marker = tmp_path / "marker"
    text = json.dumps({"module": module, "class_name": name, "registered_name": name, "config": given})
    called = json.loads(text.replace("MARKER", str(marker)))
    inside = origins.keras_config(finished / "model.keras")
    inside["config"]["layers"][3] |= called
    for config in (called, inside):
        with pytest.raises(RunError, match=r"stranger\.keras: no Keras model of stock layers \("):
            load_model(rewritten(finished, config))
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Skipping invalid path")
def test_names_in_the_archive_lead_nowhere(finished, tmp_path):
    marker = tmp_path / "marker"
    load_model(rewritten(finished, added=(str(marker), f"assets/{'../' * 20}{marker}", "../../marker")))
    assert not [*tmp_path.rglob("marker*")] and not (finished.parents[1] / "marker").exists()


def test_a_file_that_would_fill_the_memory(finished):
    path = finished.parent / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("config.json", "w") as file:
        for _ in range(11):
            file.write(bytes(100_000_000))
    with pytest.raises(RunError, match=r"bomb\.keras: no .* unpack to 1,100,000,000 bytes; expected at most"):
        load_model(path)
    with pytest.raises(ValueError, match="unpack to 1,100,000,000 bytes"):
        origins.described(str(path))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"bomb\.keras: no .*no zip archive"):
        load_model(path)


def test_brackets_without_end(finished):
    path = finished.parent / "deep.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    with pytest.raises(RunError, match=r"deep\.keras: no .*recursion"):
        load_model(path)
