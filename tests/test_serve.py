"""The Raspberry Pi's page in a real Chromium, and its server against clients that are not so kind."""

import base64
import contextlib
import http.client
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from edge import surroundings
from PIL import Image

from raspberry_pi.classifier import Classifier

MODEL = "resnet8-int8-ptq.tflite"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Quiet where there is no network and no display.
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
SWITCHES += ["--disable-background-networking", "--disable-component-update"]


@contextlib.contextmanager
def served(folder, model, *flags):
    """The address (host, port) of a page that is being served."""
    command = [sys.executable, "classify.py", str(model), "--serve", "--port=0", *flags]
    with open(folder / "log.txt", "w") as log:
        pipes = {"stdout": subprocess.PIPE, "stderr": log}
        process = subprocess.Popen(command, cwd=folder, text=True, env=surroundings(), **pipes)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://"), (folder / "log.txt").read_text()
        host, port = re.match(r"http://([\d.]+):(\d+)", line).groups()
        yield host, int(port)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium is here; as root on Debian, make browser installs it")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


def open_page(browser, address, **options):
    """A page, and the list that its errors will be in."""
    page = browser.new_page(**options)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto("http://{}:{}".format(*address))
    return page, errors


def drop(page, path):
    """Drops a file on the page as a hand with a mouse does."""
    transfer = page.evaluate_handle(
        """([content, name]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [base64.b64encode(path.read_bytes()).decode(), path.name],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def wait_for(page, selector, text):
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_text(text)


def read_answer(page):
    """The (label, percentage) pairs that the page shows, and the widths of their bars as fractions."""
    texts = page.eval_on_selector_all("#answer span", "spans => spans.map(s => s.textContent)")
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    widths = page.eval_on_selector_all(".bar", "bars => bars.map(b => b.offsetWidth / b.parentElement.offsetWidth)")
    return pairs, widths


def test_dropped_and_chosen_pictures_are_answered_as_by_classify(folder, models, pictures, browser, tmp_path):
    reader = Classifier(models / MODEL)
    with served(folder, models / MODEL) as address:
        page, errors = open_page(browser, address)
        assert page.title() == MODEL and page.inner_text("#about") == "10 classes · 32×32 pixels · 1 thread"
        assert not page.is_visible("#camera")
        for name, give in (("07.png", drop), ("12.png", lambda page, path: page.set_input_files("#file", path))):
            answer = reader.classify(Image.open(pictures / name))
            with page.expect_response("**/classify"):
                give(page, pictures / name)
            wait_for(page, "#answer li:first-child", re.compile(f"^{answer[0][0]}"))
            pairs, widths = read_answer(page)
            assert pairs == [(label, f"{100 * p:.1f} %") for label, p in answer]
            np.testing.assert_allclose(widths, [p for _, p in answer], atol=0.01)
        assert re.fullmatch(r"Preprocessing [\d.]+ ms · inference [\d.]+ ms", page.inner_text("#latency"))
        assert page.evaluate("document.querySelector('#picture').naturalWidth") == 32
        drop(page, folder / "requirements.txt")
        wait_for(page, "#error", re.compile("^this file: no picture; expected JPEG, PNG"))
        assert [e for e in errors if "415" not in e] == []
        page.screenshot(path=tmp_path / "page.png")
        assert len(np.unique(np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_and_colours(folder, models, pictures, browser, scheme):
    labels = folder / "labels.txt"
    labels.write_text("\n".join(f"a-very-long-class-name-without-a-space-{i}" * 2 for i in range(10)))
    with served(folder, models / MODEL, "--labels=labels.txt") as address:
        page, errors = open_page(browser, address, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        page.set_input_files("#file", pictures / "01.png")
        wait_for(page, "#answer li:first-child", re.compile("^a-very-long"))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        style = "id => getComputedStyle(document.querySelector(id))"
        text, card = (page.evaluate(f"({style})('section').{p}") for p in ("color", "backgroundColor"))
        contrast = contrast_ratio(*(list(map(int, re.findall(r"\d+", c)[:3])) for c in (text, card)))
        assert contrast > 7
        assert (sum(map(int, re.findall(r"\d+", card)[:3])) > 382) == (scheme == "light")
        assert not errors


def contrast_ratio(one, other):
    """Of two sRGB colours, as WCAG 2 defines it."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_camera_is_shown_with_its_answers(folder, models, pictures, browser):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed; pip install opencv-python-headless")
    path = str(folder / "digits.avi")
    video = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"FFV1"), 10, (64, 64))
    shown = Image.open(pictures / "05.png").convert("RGB").resize((64, 64))
    for _ in range(150):
        video.write(np.asarray(shown)[:, :, ::-1])
    video.release()
    with served(folder, models / MODEL, "--camera", f"--device={path}") as address:
        page, _ = open_page(browser, address)
        wait_for(page, "#latency", re.compile("frames/s"))
        pairs, _ = read_answer(page)
        answer = Classifier(models / MODEL).classify(shown)
        assert pairs == [(label, f"{100 * p:.1f} %") for label, p in answer]
        wait_for(page, "#error", re.compile("it gives no more pictures"))
        assert page.evaluate("document.querySelector('#picture').naturalWidth") == 64
        assert page.inner_text("#camera") == "Start camera"


def request(address, method, path, body=None, half=False, **headers):
    """Status and JSON (or text) of one request; `half`: the client goes silent after `body`."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    if body is not None:
        headers.setdefault("Content-Length", str(len(body)))
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders(body)
    if half:
        connection.sock.shutdown(socket.SHUT_WR)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, json.loads(text) if response.headers["Content-Type"] == "application/json" else text


def test_server_keeps_clients_from_memory_disk_and_camera(folder, models, pictures):
    before = sorted(p.name for p in folder.rglob("*"))
    with served(folder, models / MODEL) as address:
        picture = (pictures / "02.png").read_bytes()
        status, answer = request(address, "POST", "/classify", picture)
        expected = Classifier(models / MODEL).classify(Image.open(pictures / "02.png"))
        assert status == 200
        assert [(a["label"], a["probability"]) for a in answer["top"]] == [(n, round(p, 6)) for n, p in expected]
        # Too large: refused before a byte of it has come.
        status, answer = request(address, "POST", "/classify", b"", **{"Content-Length": str(16 * 2**20 + 1)})
        assert (status, answer) == (413, {"error": "16,777,217 bytes; expected at most 16,777,216"})
        assert request(address, "POST", "/classify", b"", **{"Content-Length": "9" * 5000})[0] == 411
        assert request(address, "POST", "/classify", b"", **{"Content-Length": "-1"})[0] == 411
        assert request(address, "POST", "/classify")[0] == 411
        assert request(address, "POST", "/classify", b"half", half=True, **{"Content-Length": "8"})[0] == 400
        # A small file that unpacks into 400 million pixels.
        bomb = Image.new("1", (20000, 20000))
        bomb.save(folder.parent / "bomb.png")
        status, answer = request(address, "POST", "/classify", (folder.parent / "bomb.png").read_bytes())
        assert status == 415 and "pixels" in answer["error"]
        for path in (
            "/classifier.py",
            "/../classifier.py",
            "//etc/passwd",
            "/classify/../page.html",
            "/%2e%2e/page.html",
        ):
            assert request(address, "GET", path)[0] == 404
            assert request(address, "POST", path, picture)[0] == 404
        assert request(address, "DELETE", "/")[0] == 501
        assert request(address, "GET", "/camera") == (503, {"error": "no camera is there"})
        assert request(address, "GET", "/about", Host="stranger.example")[0] == 421
        for host in ("localhost:80", "192.168.1.7:8000", "[::1]:8000"):
            assert request(address, "GET", "/about", Host=host)[0] == 200
    assert sorted(p.name for p in folder.rglob("*") if p.name != "log.txt") == before
    assert "Traceback" not in (folder / "log.txt").read_text()


def test_many_clients_at_once_get_their_own_answers(folder, models, pictures):
    from concurrent.futures import ThreadPoolExecutor

    reader = Classifier(models / MODEL)
    expected = [reader.classify(Image.open(pictures / f"{i:02}.png"))[0][0] for i in range(16)]
    contents = [(pictures / f"{i:02}.png").read_bytes() for i in range(16)]
    with served(folder, models / MODEL) as address, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda c: request(address, "POST", "/classify", c)[1], contents * 4))
    assert [a["top"][0]["label"] for a in answers] == expected * 4


def test_only_this_machine_is_served_unless_asked(folder, models):
    with served(folder, models / MODEL) as (host, port):
        assert host == "127.0.0.1"
        listening = pathlib.Path("/proc/net/tcp").read_text()
        assert f"0100007F:{port:04X} 00000000:0000 0A" in listening
        taken = [sys.executable, "classify.py", str(models / MODEL), "--serve", f"--port={port}"]
        result = subprocess.run(taken, cwd=folder, capture_output=True, text=True, env=surroundings(), timeout=60)
        assert result.returncode == 2 and "try another --port" in result.stderr
    with served(folder, models / MODEL, "--host=0.0.0.0") as (_, port):
        assert f"00000000:{port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text()
