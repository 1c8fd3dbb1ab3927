"""The Raspberry Pi's page in a real Chromium, and its server against clients that are not so kind."""

import base64
import configparser
import contextlib
import http.client
import http.server
import io
import json
import pathlib
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from browsers import open_page, wait_for
from edge import INT8, ROOT, answered, bare, run, surroundings
from PIL import Image
from tflite_files import overflow_file

from export.metadata import append_files
from keras_resnet.device.contract import Contract
from keras_resnet.device.labels import Labels
from keras_resnet.device.reader import Reader


@contextlib.contextmanager
def started(folder, model, *flags, settings="pass"):
    """The process that serves a page, and its address (host, port); `settings` are typed before it starts."""
    code = f"import sys; from device import bounded_server, commands; {settings}; "
    code += "commands.main(sys.argv[1:], 'python -m device')"
    command = [sys.executable, "-c", code, "serve", str(model), "--port=0", *flags]
    with open(folder / "log.txt", "w") as log:
        pipes = {"stdout": subprocess.PIPE, "stderr": log}
        process = subprocess.Popen(command, cwd=folder, text=True, env=surroundings(), **pipes)
    try:
        line = process.stdout.readline()
        assert line.startswith("http://"), (folder / "log.txt").read_text()
        host, port = re.match(r"http://\[?(.+?)\]?:(\d+) ", line).groups()
        yield process, (host, int(port))
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def served(folder, model, *flags):
    """The address (host, port) of a page that is being served."""
    with started(folder, model, *flags) as (_, address):
        yield address


def status_of(process, field):
    """A number of /proc/PID/status: `Threads`, or bytes of `VmRSS` (memory now) and `VmHWM` (its peak)."""
    number, unit = re.search(
        rf"{field}:\s+(\d+)( kB)?", pathlib.Path(f"/proc/{process.pid}/status").read_text()
    ).groups()
    return int(number) * (1024 if unit else 1)


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


def read_answer(page):
    """The (label, percentage) pairs that the page shows, and the widths of their bars as fractions."""
    texts = page.eval_on_selector_all("#answer span", "spans => spans.map(s => s.textContent)")
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    widths = page.eval_on_selector_all(".bar", "bars => bars.map(b => b.offsetWidth / b.parentElement.offsetWidth)")
    return pairs, widths


def test_dropped_and_chosen_pictures_are_answered_as_by_predict(folder, models, pictures, browser, tmp_path):
    reader = Reader(models / INT8)
    with served(folder, models / INT8) as address:
        page, errors = open_page(browser, address)
        wait_for(page, "#about", "10 classes · 32×32 pixels · 1 thread")
        assert page.title() == INT8
        assert not page.is_visible("#camera")
        for name, give in (("07.png", drop), ("12.png", lambda page, path: page.set_input_files("#file", path))):
            answer = reader.predict(pictures / name).top
            with page.expect_response("**/classify"):
                give(page, pictures / name)
            wait_for(page, "#answer li:first-child", re.compile(f"^{answer[0][0]}"))
            page.wait_for_function("document.querySelector('#picture').naturalWidth == 32")
            pairs, widths = read_answer(page)
            assert pairs == [(label, f"{100 * p:.1f} %") for label, p in answer]
            np.testing.assert_allclose(widths, [p for _, p in answer], atol=0.01)
        assert re.fullmatch(r"Preprocessing [\d.]+ ms · inference [\d.]+ ms", page.inner_text("#latency"))
        drop(page, folder / "device" / "requirements.txt")
        wait_for(page, "#error", re.compile("^requirements.txt: no picture; expected JPEG, PNG"))
        assert page.inner_text("#answer li:first-child") == "Nothing yet" and not page.is_visible("#picture")
        assert [e for e in errors if "415" not in e] == []
        page.screenshot(path=tmp_path / "page.png")
        assert len(np.unique(np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_width_and_colours(folder, models, pictures, browser, scheme):
    names = [f"a-very-long-label-without-a-space-{i}" * 2 for i in range(10)]
    odd = Labels(names, "logits", [1e-9 if i % 2 else 1 - 1e-9 for i in range(10)])  # these alone are there
    several = {"contract.json": json.dumps(Contract(Reader(models / INT8).contract.input, odd).as_json())}
    (folder / "labels.tflite").write_bytes(append_files(bare(models), several))
    answer = Reader(folder / "labels.tflite").predict(pictures / "01.png")
    with served(folder, folder / "labels.tflite") as address:
        page, errors = open_page(browser, address, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        page.set_input_files("#file", pictures / "01.png")
        wait_for(page, "#answer li:first-child", re.compile("a-very-long"))
        pairs = [(f"✓ {n}" if n in answer.labels else n, f"{100 * p:.1f} %") for n, p in answer.top]
        below = ", ".join(n for n in answer.labels if n not in dict(answer.top))
        texts = page.eval_on_selector_all("#answer span", "spans => spans.map(s => s.textContent)")
        assert texts == [*sum(pairs, ()), f"✓ {below}"] and below and "✓" in texts[0] + texts[2]
        wait_for(page, "#about", re.compile("^10 labels"))
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
    with served(folder, models / INT8, "--camera", f"--device={path}") as address:
        page, _ = open_page(browser, address)
        wait_for(page, "#latency", re.compile("frames/s"))
        pairs, _ = read_answer(page)
        answer = answered(Reader(models / INT8), shown)
        assert pairs == [(label, f"{100 * p:.1f} %") for label, p in answer]
        wait_for(page, "#error", re.compile("it gives no more pictures"))
        page.wait_for_function("document.querySelector('#picture').naturalWidth == 64")
        wait_for(page, "#camera", "Start camera")


def request(address, method, path, body=None, half=False, **headers):
    """Status and JSON (or text) of one request; `half`: the client goes silent after `body`."""
    connection = http.client.HTTPConnection(*address)
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
    assert len(text.encode()) == (0 if method == "HEAD" else int(response.headers.get("Content-Length", len(text))))
    return response.status, json.loads(text) if text and response.headers[
        "Content-Type"
    ] == "application/json" else text


def encoded(size, mode, kind, **options):
    """A black picture as the bytes of a file."""
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


def test_server_keeps_clients_from_memory_disk_and_camera(folder, models, pictures):
    before = sorted(p.name for p in folder.rglob("*"))
    with started(folder, models / INT8) as (process, address):
        picture = (pictures / "02.png").read_bytes()
        status, answer = request(address, "POST", "/classify", picture)
        expected = Reader(models / INT8).predict(pictures / "02.png").top
        assert status == 200
        assert [(a["label"], a["probability"]) for a in answer["top"]] == [(n, round(p, 6)) for n, p in expected]
        # Too large: refused before a byte of it has come.
        status, answer = request(address, "POST", "/classify", b"", **{"Content-Length": str(16 * 2**20 + 1)})
        assert (status, answer) == (413, {"error": "16,777,217 bytes; expected at most 16,777,216"})
        assert request(address, "POST", "/classify", b"", **{"Content-Length": "9" * 5000})[0] == 411
        assert request(address, "POST", "/classify", b"", **{"Content-Length": "-1"})[0] == 411
        assert request(address, "POST", "/classify")[0] == 411
        assert request(address, "POST", "/classify", b"half", half=True, **{"Content-Length": "8"})[0] == 400
        # Small files that unpack into 400 million pixels, or are resized to 20 gigabytes.
        for size in ((20000, 20000), (2_000_000, 1), (1, 2_000_000)):
            status, answer = request(address, "POST", "/classify", encoded(size, "1", "PNG"))
            assert status == 415 and "{}x{} pixels".format(*size) in answer["error"]
        # The largest that are taken: a phone's 50 megapixels, and a PNG that is turned and converted.
        turned = Image.Exif()
        turned[0x0112] = 6
        for picture_of_its_kind in (((8192, 6144), "RGB", "JPEG"), ((6144, 6144), "RGBA", "PNG")):
            assert request(address, "POST", "/classify", encoded(*picture_of_its_kind, exif=turned))[0] == 200
        assert 400e6 < status_of(process, "VmHWM") < 568e6  # 600 with the uploads that wait
        for path in (
            "/reader.py",
            "/../reader.py",
            "/device/reader.py",
            "//etc/passwd",
            "/classify/../page.html",
            "/%2e%2e/page.html",
        ):
            assert request(address, "GET", path)[0] == 404
            assert request(address, "POST", path, picture)[0] == 404
        assert request(address, "DELETE", "/")[0] == 501
        assert request(address, "GET", "/camera") == (503, {"error": "no camera is there"})
        assert request(address, "GET", "/about", Host="stranger.example")[0] == 421
    assert sorted(p.name for p in folder.rglob("*") if p.name != "log.txt") == before
    assert "Traceback" not in (folder / "log.txt").read_text()


def test_an_answer_that_is_no_number_is_a_sentence(folder):
    with served(folder, overflow_file(folder / "overflow.tflite")) as address:
        for _ in range(2):
            status, answer = request(address, "POST", "/classify", encoded((16, 16), "L", "PNG"))
            assert status == 422 and "no number" in answer["error"]
    assert "Traceback" not in (folder / "log.txt").read_text()


def test_names_addresses_and_paths_that_a_browser_may_ask_for(folder, models):
    own = socket.gethostname().lower()
    with served(folder, models / INT8, "--name=Kiosk.example.org") as address:
        names = (
            "localhost",
            own,
            f"{own}.local",
            f"{own.upper()}.LAN",
            f"{own}.fritz.box",
            "kiosk.example.org",
            f"{own}.",
        )
        for host in (*names, "192.168.1.7", "[::1]", "[fe80::1]"):
            assert request(address, "GET", "/about", Host=host)[0] == 200
            assert request(address, "GET", "/about", Host=f"{host}:8000")[0] == 200
        for host in (
            f"{own}.com",
            f"{own}.example.lan",
            f"{own}x",
            "example.org",
            "[::1",
            "1.2.3.4.example",
            "",
            ":80",
        ):
            status, answer = request(address, "GET", "/about", Host=host)
            assert status == 421 and "--name=" in answer["error"]
        page = request(address, "GET", "/")
        assert page[0] == 200 and page[1] == (folder / "device" / "page.html").read_text()
        assert request(address, "GET", "/?x=1") == page == request(address, "GET", "/?")
        assert request(address, "HEAD", "/") == request(address, "HEAD", "/about?x") == (200, "")
        assert request(address, "HEAD", "/none") == (404, "")
    for host in ("[::1]", "::1"):
        with served(folder, models / INT8, f"--host={host}") as (shown, port):
            assert shown == "::1" and request((shown, port), "GET", "/about")[0] == 200


def test_pages_of_other_origins_are_refused(folder, models, pictures):
    picture = (pictures / "02.png").read_bytes()
    with served(folder, models / INT8) as address:
        own = "http://{}:{}".format(*address)
        for headers in (
            {},
            {"Origin": own},
            {"Origin": own, "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
        ):
            assert request(address, "POST", "/classify", picture, **headers)[0] == 200
        origins = ("http://127.0.0.1", f"{own}0", "null", "", "http://[", "https://a.b")
        strangers = [{"Origin": origin} for origin in origins]
        for headers in (*strangers, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
            for asked in (("POST", "/classify", picture), ("GET", "/camera"), ("GET", "/about"), ("HEAD", "/about")):
                assert request(address, *asked, **headers)[0] == 403
        assert request(address, "GET", "/", **{"Sec-Fetch-Site": "cross-site"})[0] == 200  # a link to the page


class Stranger(http.server.BaseHTTPRequestHandler):
    """Another program's page."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>stranger</title>")


@pytest.fixture
def stranger():
    """The port of another program's page."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])  # another site, and the same with another port
def test_a_page_of_another_origin_in_a_browser(folder, models, browser, stranger, host):
    with served(folder, models / INT8) as address:
        own = "http://{}:{}".format(*address)
        page, _ = open_page(browser, (host, stranger))
        asked = {"/classify": "{method: 'POST', mode: 'no-cors', body: 'x'}", "/camera": "{mode: 'no-cors'}"}
        for path, options in asked.items():
            page.evaluate(f"own => fetch(own + '{path}', {options}).catch(() => {{}})", own)
        log = (folder / "log.txt").read_text()
        assert re.findall(r'"(\w+ /\w+) HTTP/1.1" (\d+)', log) == [("POST /classify", "403"), ("GET /camera", "403")]
        page.evaluate(
            """own => new Promise((loaded) => {
                const frame = Object.assign(document.createElement("iframe"), {src: own, onload: loaded});
                document.body.append(frame);
            }).then(() => 0)""",
            own,
        )
        assert page.frames[1].query_selector("#about") is None
        page.evaluate("own => { location = own }", own)  # as a link does
        wait_for(page, "#about", re.compile("10 classes"))


def test_refused_uploads_are_told_why(folder, models):
    """Without listening to their end, the connection is reset before the answer is read."""
    with served(folder, models / INT8) as address:
        for _ in range(3):
            status, answer = request(address, "POST", "/classify", bytes(40 * 2**20))
            assert (status, answer) == (413, {"error": "41,943,040 bytes; expected at most 16,777,216"})
        assert request(address, "GET", "/", Cookie="x" * 17000)[0] == 431
        assert request(address, "GET", "/" + "x" * 60000)[0] in (404, 431)
        assert request(address, "GET", "/", Cookie="x" * 15000)[0] == 200


@pytest.mark.slow
def test_slow_clients_are_left_and_others_answered(folder, models, pictures):
    """12 clients whose uploads never end and 60 that send half a line, beside one who would like an answer."""
    picture = (pictures / "02.png").read_bytes()
    upload = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n" + bytes(15_000_000)
    settings = "bounded_server.CROWDED = 1"
    with started(folder, models / INT8, settings=settings) as (process, address), contextlib.ExitStack() as sockets:
        assert request(address, "POST", "/classify", picture)[0] == 200
        memory, threads = status_of(process, "VmRSS"), status_of(process, "Threads")
        clients = {}  # socket: what it has still to send
        for i in range(72):
            client = sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
            clients[client] = memoryview(b"GET / HTTP/1.1\r\nHo" if i % 6 else upload)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(request(address, "POST", "/classify", picture)))
        asking.start()
        most, end = 0, time.monotonic() + 300
        while clients:
            assert time.monotonic() < end, f"{len(clients)} slow clients are still there"
            for client, rest in list(clients.items()):
                if left(client, rest[: 2**20] or b"x"):
                    clients.pop(client)
                else:
                    clients[client] = rest[2**20 :]
            most = max(most, status_of(process, "Threads"))
            time.sleep(0.1)
        asking.join()
        assert answers[0][0] == 200
        assert 0 < most - threads <= 32
        assert 15e6 < status_of(process, "VmHWM") - memory < 64e6
    assert "Traceback" not in (folder / "log.txt").read_text()


def left(client, content):
    """Sends what a non-blocking socket takes of `content`; whether the server has left it."""
    try:
        client.send(content)
        return client.recv(2**16) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


UPLOAD = "POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"


@pytest.mark.parametrize("head", ["GET / HTTP/1.1\r\nX: ", UPLOAD], ids=["head", "body"])
def test_a_request_has_a_deadline_though_its_bytes_keep_coming(folder, models, head):
    with started(folder, models / INT8, settings="bounded_server.DEADLINE = 2") as (_, address):
        with socket.create_connection(address) as client:
            client.sendall(head.encode())
            client.setblocking(False)
            end = time.monotonic() + 120
            while not left(client, b"x"):
                assert time.monotonic() < end
                time.sleep(0.1)
        assert request(address, "GET", "/about")[0] == 200


def test_many_clients_at_once_get_their_own_answers(folder, models, pictures):
    from concurrent.futures import ThreadPoolExecutor

    reader = Reader(models / INT8)
    expected = [reader.predict(pictures / f"{i:02}.png").top[0][0] for i in range(16)]
    contents = [(pictures / f"{i:02}.png").read_bytes() for i in range(16)]
    with served(folder, models / INT8) as address, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda c: request(address, "POST", "/classify", c)[1], contents * 4))
    assert [a["top"][0]["label"] for a in answers] == expected * 4


def test_only_this_machine_is_served_unless_asked(folder, models):
    with served(folder, models / INT8) as (host, port):
        assert host == "127.0.0.1"
        listening = pathlib.Path("/proc/net/tcp").read_text()
        assert f"0100007F:{port:04X} 00000000:0000 0A" in listening
        result = run(folder, "serve", models / INT8, f"--port={port}")
        assert result.returncode == 2 and "try another --port" in result.stderr
    with served(folder, models / INT8, "--host=0.0.0.0") as (_, port):
        assert f"00000000:{port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text()


def test_the_unit_for_systemd_serves_the_network(folder, models):
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string((ROOT / "raspberry_pi" / "keras-resnet.service").read_text())
    python, *command, model, host = shlex.split(unit["Service"]["ExecStart"])
    assert python.startswith(unit["Service"]["WorkingDirectory"]) and command == ["-m", "device", "serve"]
    assert model == "NAME.tflite" and unit["Service"]["RestartPreventExitStatus"] == "2"
    with started(folder, models / INT8, host) as (process, (shown, port)):
        assert shown == "0.0.0.0" and request(("127.0.0.1", port), "GET", "/about")[0] == 200
        process.terminate()  # as systemd stops it
        assert process.wait(60) in (0, -signal.SIGTERM)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["INT8", "--host=256.0.0.1"], "256.0.0.1:8000"),
        (["INT8", "--host=a..b"], "a..b:8000"),
        (["INT8", "--port=99999"], "127.0.0.1:99999"),
        (["INT8", "--camera", "--device=none.avi"], "camera"),  # none is there, or nothing that could read one
        (["INT8", "--labels=none.txt"], "--labels=none.txt"),
        (["none.tflite"], "none.tflite: no such file, and no model of that name is shipped (keras-resnet"),
    ],
)
def test_bad_input_ends_before_a_page_is_served(folder, models, arguments, sentence):
    result = run(folder, "serve", *(models / INT8 if argument == "INT8" else argument for argument in arguments))
    assert result.returncode == 2 and sentence in result.stderr
    assert "Traceback" not in result.stderr and not result.stdout
