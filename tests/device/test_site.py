"""Static pages in a real Chromium: JavaScript held to the app's golden vectors, and files that LiteRT.js runs."""

import base64
import contextlib
import functools
import hashlib
import http.server
import io
import json
import pathlib
import re
import shutil
import threading

import numpy as np
import pytest
from browsers import open_page, wait_for
from edge import INT8, ROOT, run
from PIL import Image

from keras_resnet import models as shipped
from keras_resnet.device import site, sound_files, text_files
from keras_resnet.device.boxes import Boxes
from keras_resnet.device.classes import Classes
from keras_resnet.device.contract import Contract, read
from keras_resnet.device.labels import Labels
from keras_resnet.device.picture import Picture, upright
from keras_resnet.device.reader import Reader

VECTORS = ROOT / "android_demo" / "core" / "src" / "test" / "resources"
SAID = re.compile(".+")
RUNTIME = ROOT / "build" / "node_modules" / "@litertjs"
# What JavaScript makes of all cases of a kind, as lists and base64.
SCRIPT = """async ([module, cases]) => {
    const {Contract, typed} = await import("/contract.js");
    const {readWav, Sound} = await import("/sound.js");
    const {Text, tokens, readText} = await import("/text.js");
    const {Picture} = await import("/picture.js");
    const bytesOf = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const textOf = (bytes) => Array.from(new Uint8Array(bytes.buffer), (one) => String.fromCharCode(one)).join("");
    const makes = {
        preparation: ({input, width, height, rgba}) => {
            try { return btoa(textOf(new Picture(input).pixels({width, height, rgba: bytesOf(rgba)}))); }
            catch (error) { return error.message; }
        },
        sounds: ({sound, wav}) => {
            const input = new Sound(sound), {rate, samples} = readWav(bytesOf(wav));
            return [rate, input.shape, btoa(textOf(input.pixels(samples)))];
        },
        texts: (saved) => {
            const {vocabulary, length, pairs, pieces} = saved, input = new Text({vocabulary, length, pairs, pieces});
            return [tokens(saved.text), input.shape, [...input.ids(saved.text)]];
        },
        files: ({kind, content}) => {
            try { return kind === "wav" ? Array.from(readWav(bytesOf(content)).samples) : readText(bytesOf(content)); }
            catch { return null; }
        },
        quantization: ({contract, tensors, pixels}) => btoa(textOf(new Contract(contract, tensors).quantized(pixels))),
        answers: ({contract, tensors, bytes, size, top}) => {
            const made = new Contract(contract, tensors);
            try {
                const outputs = bytes.map((text, i) => typed(tensors.outputs[i].type, bytesOf(text)));
                const answer = made.answer(outputs, size, top);
                return {...answer, mask: answer.mask && btoa(textOf(answer.mask))};
            } catch (error) { return error.message; }
        },
    };
    return cases.map(makes[module]);
}"""


@contextlib.contextmanager
def files_served(folder):
    """The address of a server of a folder's files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def end_headers(self):
            self.send_header("Access-Control-Allow-Origin", "*")  # as jsDelivr
            super().end_headers()

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address
        server.shutdown()


def vectors(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def encoded(content):
    return base64.b64encode(content).decode()


@pytest.fixture
def javascript(browser, tmp_path):
    """A function of a kind of cases and a list of them: what JavaScript makes of each."""
    web = tmp_path / "web"
    shutil.copytree(site.WEB, web)
    (web / "index.html").write_text("<!doctype html><title>-</title><link rel=icon href=data:,>")
    with files_served(web) as address:
        page, errors = open_page(browser, address)
        yield lambda kind, cases: page.evaluate(SCRIPT, [kind, cases])
        assert not errors


def test_pictures_are_prepared_as_by_pillow(javascript):
    rng, cases = np.random.default_rng(0), []
    for case in vectors("preparation"):
        height, width, _ = case["source"]
        pixels = rng.integers(0, 256, (height, width, 4) if height * width < 1e6 else (height, width, 1), np.uint8)
        pixels = np.broadcast_to(pixels, (height, width, 4))
        picture = Picture(*case["input"], case["crop_fraction"], resize=case.get("resize", "cover"))
        # Alpha is dropped there, too.
        try:
            expected = picture.pixels(upright(Image.fromarray(np.ascontiguousarray(pixels[..., :3]))))
            expected = encoded(expected.tobytes())
        except ValueError:
            expected = f"{width}x{height} pixels: too long for an input of {picture.width}x{picture.height}; cut the "
            expected += "picture into parts"
        saved = {"height": picture.height, "width": picture.width, "channels": picture.channels}
        saved |= {"crop_fraction": picture.crop_fraction, "resize": picture.resize}
        rgba = encoded(np.ascontiguousarray(pixels).tobytes())
        cases.append((expected, {"input": saved, "height": height, "width": width, "rgba": rgba}))
    made = javascript("preparation", [case for _, case in cases])
    assert made == [expected for expected, _ in cases]
    assert len(made) > 45 and sum("too long" in one for one in made) == 4


def test_sounds_and_texts_are_prepared_as_by_python(javascript):
    cases = vectors("sounds")
    assert javascript("sounds", cases) == [[c["sound"]["rate"], c["shape"], c["pixels"]] for c in cases]
    assert len(cases) == 14
    cases = vectors("texts")
    assert javascript("texts", cases) == [[c["tokens"], c["shape"], c["ids"]] for c in cases]
    assert len(cases) > 20


def chunk(name, content):
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def test_odd_and_broken_files_are_read_or_refused_as_by_python(javascript):
    sound = sound_files.wav(np.linspace(-0.5, 0.5, 7), 8000)
    form, data = sound[12:36], sound[36:]
    floats = form[:8] + (3).to_bytes(2, "little") + form[10:]
    mute = form[:10] + bytes(2) + form[12:]  # no channel
    wide = form[:22] + (40).to_bytes(2, "little")  # bits of a sample
    early, cut = form[:20], chunk(b"data", bytes(range(6)))[:-2]
    noted = chunk(b"LIST", b"odd") + chunk(b"note", b"")
    wavs = [chunk(b"RIFF", b"WAVE" + b"".join(parts)) for parts in (
        (form, data), (noted, form, noted, data, noted), (form, cut), (form, chunk(b"data", b"")), (form, data, data),
        (floats, data), (mute, data), (wide, data), (data, form), (form,), (early,), (noted, form, noted), (),
    )]  # fmt: skip
    wavs += [sound[:11], b"", b"RIFX" + sound[4:], sound[:8] + b"AVI " + sound[12:]]
    texts = ["\ufeffgood \ud55c".encode(), "caf\xe9".encode("latin-1"), b"a\xed\xa0\x80b", b"", b"\xc3", b"a\x00b"]
    read = {
        "wav": lambda file: sound_files.read(stack.enter_context(sound_files.opened(file, "it")), 1000).tolist(),
        "text": lambda file: text_files.read(file, "it"),
    }
    cases, expected = [("wav", one) for one in wavs] + [("text", one) for one in texts], []
    for kind, content in cases:
        with contextlib.ExitStack() as stack:
            try:
                expected.append(read[kind](io.BytesIO(content)))
            except (sound_files.SoundError, text_files.TextError):
                expected.append(None)
    assert javascript("files", [{"kind": kind, "content": encoded(content)} for kind, content in cases]) == expected
    assert [len(one) if one is not None else None for one in expected[: len(wavs)]] == [7, 7, 2, 0, 7] + 12 * [None]
    assert expected[len(wavs) :] == ["good \ud55c", None, None, "", None, "a\x00b"]


def tensors(*outputs, given=("uint8", 1 / 128, 128)):
    of = ("type", "scale", "zero")
    return {"input": dict(zip(of, given, strict=True)), "outputs": [dict(zip(of, one, strict=True)) for one in outputs]}


def test_pixels_become_the_tensors_bytes(javascript):
    cases = []
    for case in (case for case in vectors("quantization") if case["type"] in site.TYPES):
        picture = {"kind": "picture", "height": 256, "width": 1, "channels": 3, "crop_fraction": 1.0}
        picture |= {"mean": case["mean"], "std": case["std"]}
        contract = {"input": picture, "output": {"kind": "classes", "labels": ["a"], "scores": "logits"}}
        given = (case["type"], case["scale"], case["zero"])
        pixels = [value for value in range(256) for _ in range(3)]
        cases.append((case["bytes"], {"contract": contract, "tensors": tensors(given=given), "pixels": pixels}))
    assert javascript("quantization", [case for _, case in cases]) == [expected for expected, _ in cases]
    assert len(cases) > 6


def test_numbers_become_probabilities_and_labels(javascript):
    found = [case for case in vectors("output") if case["type"] in site.TYPES]
    cases = []
    for case in found:
        labels = [str(i) for i in range(len(case["expected"]))]
        output = {"kind": "labels" if "thresholds" in case else "classes", "labels": labels, "scores": case["output"]}
        output |= {"thresholds": case.get("thresholds", [])}
        contract = {"input": {"kind": "picture", "height": 1, "width": 1, "channels": 1}, "output": output}
        contract["input"] |= {"crop_fraction": 1.0, "mean": 128, "std": 128}
        described = tensors((case["type"], case["scale"], case["zero"]))
        cases.append({"contract": contract, "tensors": described, "bytes": [case["bytes"]], "top": len(labels)})
    for case, made in zip(found, javascript("answers", cases), strict=True):
        assert [one["label"] for one in made["top"]] == case["top"]
        expected = [round(case["expected"][int(label)], 6) for label in case["top"]]
        np.testing.assert_allclose([one["probability"] for one in made["top"]], expected, atol=1.1e-6)
        assert made.get("labels", []) == case["there"]


def test_boxes_and_masks_are_pythons(javascript):
    for vector in vectors("places"):
        contract = read(vector["contract"])
        content, bytes_, start = base64.b64decode(vector["bytes"]), [], 0
        for shape in contract.output.shapes:
            bytes_.append(content[start : start + 4 * int(np.prod(shape))])
            start += len(bytes_[-1])
        case = {"contract": contract.as_json(), "tensors": tensors(*[("float32", 1, 0)] * len(bytes_))}
        sizes = [(answer["height"], answer["width"]) for answer in vector["answers"]]
        case |= {"bytes": list(map(encoded, bytes_))}
        made = javascript("answers", [case | {"size": size} for size in sizes])
        for answer, one in zip(vector["answers"], made, strict=True):
            if contract.output.KIND == "mask":
                assert hashlib.sha256(base64.b64decode(one["mask"])).hexdigest() == answer["sha256"]
                parts = [[part["label"], pytest.approx(part["part"], abs=1e-4)] for part in one["parts"]]
                assert parts == answer["rows"]
                continue
            sides = ("probability", "left", "top", "right", "bottom")
            assert [box["label"] for box in one["boxes"]] == [row[0] for row in answer["rows"]]
            rows = [[box[side] for side in sides] for box in one["boxes"]]
            np.testing.assert_allclose(rows, [row[1:] for row in answer["rows"]], atol=0.011)
        no_numbers = [encoded(b"\xff" * len(one)) for one in bytes_]
        assert "no number" in javascript("answers", [case | {"bytes": no_numbers, "size": sizes[0]}])[0]


def test_odd_numbers_are_answered_as_by_python(javascript):
    """Points in place of boxes, scores that are equal, infinite ones, halves that are rounded, means of channels."""
    rng, cases, expected = np.random.default_rng(0), [], []
    picture, size = Picture(24, 40, 3, 0.8, mean=(100, 120, 140), std=(30, 40, 50)), (75, 99)

    def asked(output, described, *numbers):
        saved = read(json.dumps(Contract(picture, output).as_json())).as_json()
        cases.append({"contract": saved, "tensors": tensors(*described), "size": size, "top": 300})
        cases[-1]["bytes"] = [encoded(one.tobytes()) for one in numbers]
        values = [
            (one - np.float32(zero)) * np.float32(scale) if kind != "float32" else one
            for one, (kind, scale, zero) in zip(numbers, described, strict=True)
        ]
        answer = Contract(picture, output).answer(values if len(values) > 1 else values[0], size)
        expected.append(answer.as_json())

    for _ in range(40):
        location = rng.normal(0, 1, (15, 4)).astype(np.float32)
        location[rng.random(15) < 0.4, 2:] = rng.choice([-20, 30])
        score = rng.choice([-3, -0.84729785, 0, 2, 60], (15, 2)).astype(np.float32)
        asked(Boxes(("a", "b"), ((3, 5, 8),)), [("float32", 1, 0)] * 2, location, score)
    for kind in (Classes, Labels):
        asked(kind(("a", "b", "c")), [("float32", 1, 0)], np.float32([1, -np.inf, 2]))
        for start in range(0, 256, 4):  # ties
            names = tuple("abcd")
            asked(kind(names, "probabilities"), [("uint8", 1 / 256, 0)], np.arange(start, start + 4, dtype=np.uint8))
    for one, other in zip(javascript("answers", cases), expected, strict=True):
        one.pop("mask", None)
        if "boxes" not in other:
            assert {**one, "top": one["top"][:5]} == other
            continue
        assert [box.pop("label") for box in one["boxes"]] == [box.pop("label") for box in other["boxes"]]
        rows = [[list(box.values()) for box in answer["boxes"]] for answer in (one, other)]
        np.testing.assert_allclose(*rows, rtol=1e-6, atol=0.011)
    pixels = np.arange(256, dtype=np.uint8).repeat(3)
    given = {"contract": Contract(picture, Classes(("a",))).as_json(), "pixels": pixels.tolist()}
    made = javascript("quantization", [given | {"tensors": tensors(given=("float32", 1, 0))}])[0]
    scaled = picture.scaled(pixels.reshape(-1, 3))
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(made), np.float32).reshape(-1, 3), scaled)


@pytest.fixture
def runtime():
    if not RUNTIME.exists():
        pytest.skip("LiteRT.js is not here; make browser gets it where npm is")
    return RUNTIME


def checked(browser, folder, things):
    """A page whose golden examples are replayed, once they are; with the label that it shows first for each file."""
    with files_served(folder) as address:
        page, errors = open_page(browser, address)
        wait_for(page, "#proof", SAID)  # by Playwright's own eyes: the page forbids eval
        proof, labels = page.inner_text("#proof"), []
        for path in things:
            page.evaluate("document.querySelector('#latency').textContent = ''")
            page.set_input_files("#file", path)
            wait_for(page, "#latency", re.compile("ms"))
            labels.append(page.inner_text("#answer li:first-child").split("\n")[0])
        failed = [
            error for error in errors if not error.startswith(("INFO:", "WARNING:"))
        ]  # LiteRT's, on its own stderr
        assert not failed and not page.inner_text("#error")
        return proof, labels


def test_browser_answers_as_python_to_the_last_bit(folder, models, pictures, browser, runtime):
    result = run(folder, "site", models / INT8, "--output=page", f"--runtime={runtime}")
    assert result.returncode == 0, result.stderr
    paths = sorted(pictures.glob("*.png"))[:3]
    proof, labels = checked(browser, folder / "page", paths)
    assert proof == "Golden examples: 16/16 identical to those of the exporting machine"
    assert labels == [Reader(models / INT8).predict(path).top[0][0] for path in paths]


@pytest.mark.slow
def test_boxes_masks_sounds_and_texts_in_the_browser(folder, browser, runtime):
    files = [pathlib.Path(path) for name, path in shipped.files().items() if name in ("bccd-resnet18", "fsdd-resnet8")]
    files += sorted((VECTORS / "models").glob("*.tflite"))
    for number, model in enumerate(files):
        page = folder / f"page{number}"
        site.write(page, Reader(model), model, runtime)
        count = len(json.loads(model.with_suffix(".golden.json").read_text()).popitem()[1])
        proof, _ = checked(browser, page, [])
        assert proof == f"Golden examples: {count}/{count} identical to those of the exporting machine"
    assert len(files) == 6


@pytest.mark.slow
def test_camera_in_the_browser(folder, models, browser, runtime):
    site.write(folder / "page", Reader(models / INT8), models / INT8, runtime)
    with files_served(folder / "page") as address:
        page, errors = open_page(browser, address)
        wait_for(page, "#proof", SAID)
        assert page.inner_text("#camera") == "Start camera" and "frames/s" not in page.inner_text("#latency")
        for _ in range(2):
            page.evaluate("document.querySelector('#latency').textContent = ''")
            page.click("#camera")
            wait_for(page, "#latency", re.compile("frames/s"))
            assert page.evaluate("document.querySelector('#picture').naturalWidth") > 100
            page.click("#camera")
            page.wait_for_timeout(300)  # the frame that was under way
            assert page.inner_text("#camera") == "Start camera" and not page.inner_text("#error")
        # A camera that is let go before it was opened, as when nobody has said yet that it may.
        page.evaluate("""() => {
            const media = navigator.mediaDevices, open = media.getUserMedia.bind(media);
            window.streams = [];
            media.getUserMedia = async (asked) => {
                await new Promise((resolve) => setTimeout(resolve, 500));
                streams.push(await open(asked));
                return streams.at(-1);
            };
        }""")
        for _ in range(4):
            page.click("#camera")
        page.wait_for_timeout(1500)
        assert page.evaluate("streams.map((s) => s.getTracks()[0].readyState)") == ["ended", "ended"]
        assert not [error for error in errors if not error.startswith(("INFO:", "WARNING:"))]


@pytest.mark.slow
def test_a_damaged_golden_example_shows(folder, models, browser, runtime):
    site.write(folder / "page", Reader(models / INT8), models / INT8, runtime)
    path = folder / "page" / "golden.json"
    examples = json.loads(path.read_text())
    changed = bytearray(base64.b64decode(examples[3]["outputs"][0]))
    changed[4] ^= 1
    examples[3]["outputs"][0] = encoded(bytes(changed))
    path.write_text(json.dumps(examples))
    assert checked(browser, folder / "page", [])[0].startswith("Golden examples: 15/16 identical")


def test_what_cannot_be_a_page_is_a_sentence(folder, models):
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").touch()
    for flags, said in (
        (["--output=full"], "full: there is something in it; give a new folder"),
        (["--output=device/page.html"], "device/page.html: a file; give a folder"),
        (
            ["--output=page", "--runtime=full"],
            "--runtime=full: there is no core/dist/index.js; npm install @litertjs/core",
        ),
        (["--output=page", "--labels=none.txt"], "none.txt"),
        (["--output="], "argument --output: got nothing, expected a path"),
        (["--output=page", "--runtime="], "argument --runtime: got nothing, expected a path"),
        (["--output=device/page.html/page"], "device/page.html/page: Not a directory; give another folder"),
    ):
        result = run(folder, "site", models / INT8, *flags)
        assert result.returncode == 2 and said in result.stderr and "Traceback" not in result.stderr, result.stderr
        assert not (folder / "page").exists()
    golden = (folder / INT8).with_suffix(".golden.json")
    shutil.copy(models / INT8, folder)
    golden.write_text("{")
    result = run(folder, "site", INT8, "--output=page")
    assert result.returncode == 2 and "broken golden examples" in result.stderr
    golden.write_text("{}")
    result = run(folder, "site", INT8, "--output=page")
    assert result.returncode == 2 and "broken golden examples (ValueError: there are none)" in result.stderr
    assert not [*folder.glob("*page*")]


def test_other_names_of_classes(folder, models):
    """Of boxes with other names the golden answers do not hold any more; what enters and comes out does."""
    model = VECTORS / "models" / "detector.tflite"
    names = [f"other {label}" for label in Reader(model).contract.labels]
    (folder / "names.txt").write_text("\n".join(names))
    result = run(folder, "site", model, "--output=a page", "--labels=names.txt")
    assert result.returncode == 0 and "--directory='a page'" in result.stdout, result.stderr
    examples = json.loads((folder / "a page" / "golden.json").read_text())
    assert len(examples) == 4 and all(one["answer"] is None and one["outputs"] for one in examples)
    assert json.loads((folder / "a page" / "site.json").read_text())["contract"]["output"]["labels"] == names


def test_without_a_runtime_browsers_get_it_elsewhere(folder, models):
    assert run(folder, "site", models / INT8, "--output=page").returncode == 0
    text = (folder / "page" / "index.html").read_text()
    assert f'"{site.CDN}/core@{site.LITERT}/dist/index.js"' in text
    assert json.loads((folder / "page" / "site.json").read_text())["runtime"].startswith(site.CDN)
    assert not (folder / "page" / "litert").exists()


@pytest.mark.slow
def test_a_runtime_of_another_origin(folder, models, browser, runtime, monkeypatch):
    for package in site.PACKAGES:
        shutil.copytree(runtime / package, folder / "cdn" / f"{package}@{site.LITERT}")
    with files_served(folder / "cdn") as (host, port):
        monkeypatch.setattr(site, "CDN", f"http://{host}:{port}")
        site.write(folder / "page", Reader(models / INT8), models / INT8)
        assert checked(browser, folder / "page", [])[0].startswith("Golden examples: 16/16 identical")
