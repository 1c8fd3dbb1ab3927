"""How several machines find each other, before TensorFlow: real sockets, odd surroundings."""

import concurrent.futures
import json
import socket

import pytest
from processes import free_ports, told

from keras_resnet import workers


def places(count):
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    return [workers.Place(index, addresses) for index in range(count)]


def test_all_hear_what_all_say():
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda here: workers.meet(here, {"of": here.index}, 20), places(3)))
    assert said == [[{"of": 0}, {"of": 1}, {"of": 2}]] * 3


def test_what_is_no_worker_is_not_heard():
    """A port scanner's connection, another program's line."""
    here, there = places(2)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        chief = pool.submit(workers.meet, here, {"of": "chief"}, 20)
        strangers = (
            b"",
            b"GET / HTTP/1.1\n",
            b"[5]\n",
            b"[[1], [], {}]\n",
            b'["1", [], {}]\n',
            b"[0, [], {}]\n",
            b"[" * 90_000,
        )
        for line in strangers:
            for _ in range(100):
                try:
                    with socket.create_connection(("127.0.0.1", int(here.addresses[0].split(":")[1])), 5) as one:
                        one.sendall(line)
                    break
                except (ConnectionRefusedError, ConnectionResetError):  # the chief tries its port for a moment first
                    pass
        assert workers.meet(there, {"of": 1}, 20) == chief.result() == [{"of": "chief"}, {"of": 1}]


def test_workers_that_were_told_otherwise_end_at_once_on_both_sides():
    here, there = places(2)
    more = workers.Place(1, (*there.addresses, "127.0.0.1:9"))
    for other, sentence in ((more, "worker 1 was told of the workers .*127.0.0.1:9, the chief of "),):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            both = [pool.submit(workers.meet, one, {}, 20) for one in (here, other)]
            for one in both:
                with pytest.raises(workers.WorkersError, match=sentence):
                    one.result()


def test_an_index_that_comes_twice_and_a_worker_that_has_gone_again():
    first, second, third = places(3)
    host, port = first.addresses[0].split(":")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        chief = pool.submit(workers.meet, first, {"of": 0}, 20)
        gone = workers.json.dumps([1, list(first.addresses), {"of": "gone"}]).encode() + b"\n"
        for _ in range(100):
            try:
                with socket.create_connection((host, int(port)), 5) as one:
                    one.sendall(gone)
                break
            except ConnectionRefusedError:
                pass
        said = list(pool.map(lambda here: workers.meet(here, {"of": here.index}, 20), (second, third)))
        assert said == [chief.result()] * 2 and said[0][1] == {"of": 1}
    first, second, third = places(3)
    twin = workers.Place(1, first.addresses)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        chief = pool.submit(workers.meet, first, {}, 20)
        # On another machine it would have its port.
        both = [pool.submit(workers._sent, one, {}, workers.time.monotonic() + 20, 20) for one in (second, twin)]
        for one in (chief, *both):
            with pytest.raises(workers.WorkersError, match="two workers have index 1; give each its own"):
                one.result()


def test_who_does_not_come_is_named_by_both_sides():
    here, there, _ = places(3)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(workers.meet, one, {}, 2) for one in (here, there)]
        with pytest.raises(workers.Absent, match=r"^worker 2 \(127.0.0.1:\d+\): not there after 2 s"):
            both[0].result()
        with pytest.raises(workers.Absent, match=r"worker 0 .*, the chief: not there, or not all others, after 2 s"):
            both[1].result()


def test_a_port_that_is_taken():
    for here in places(2):
        with (
            socket.create_server(("", int(here.addresses[here.index].split(":")[1]))),
            pytest.raises(
                workers.WorkersError, match=rf"worker {here.index} .*can't be used \(Address already in use\)"
            ),
        ):
            workers.meet(here, {}, 2)


def config(*addresses, index=0, kind="worker"):
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no TF_CONFIG; expected TF_CONFIG="),
        ("hm", "TF_CONFIG is 'hm'; expected TF_CONFIG="),
        ("{}", "(it has no 'cluster'); expected"),
        ("[" * 100_000, "; expected TF_CONFIG="),
        (config("one:1", "two:2", index=True), "(index True of 2 workers)"),
        (config("one:1", "two:2", index=1.7), "(index 1.7 of 2 workers)"),
        (config("[::1]:1", "two:2"), "('[::1]:1' is no HOST:PORT)"),
        (config("http://one:1", "two:2"), "('http://one:1' is no HOST:PORT)"),
        (json.dumps({"cluster": {"worker": "one:1"}, "task": {"index": 0}}), "worker is no list of addresses"),
        (config("one:1", "two:2", index=2), "(index 2 of 2 workers)"),
        (config("one:1", "two"), "('two' is no HOST:PORT)"),
        (config("one:1", "two:99999"), "('two:99999' is no HOST:PORT)"),
        (config("one:1", "one:1"), "(an address comes twice)"),
        (config("one:1", kind="ps"), "('ps' is no worker)"),
    ],
)
def test_what_is_no_place(monkeypatch, text, sentence):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    monkeypatch.setenv("TF_CONFIG", text) if text else monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError) as raised:
        workers.place()
    assert str(raised.value).startswith("--strategy=multi_worker: ") and sentence in str(raised.value)


def test_slurm_says_where_we_are(monkeypatch):
    monkeypatch.setattr(workers.os, "environ", {"SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "gpu[09-10],big"})
    workers.os.environ["SLURM_STEP_NUM_TASKS"] = "3"
    assert workers.place() == workers.Place(2, ("gpu09:12345", "gpu10:12345", "big:12345"))
    assert json.loads(workers.os.environ["TF_CONFIG"])["task"] == {"type": "worker", "index": 2}  # TensorFlow's
    del workers.os.environ["TF_CONFIG"]
    workers.os.environ["SLURM_STEP_NUM_TASKS"] = "6"
    with pytest.raises(ValueError, match=r"6 tasks on 3 nodes.*--ntasks-per-node=1"):
        workers.place()
    for name, text in (("SLURM_STEP_NODELIST", "n[a-b]"), ("SLURM_PROCID", "x")):
        monkeypatch.setitem(workers.os.environ, name, text)
        with pytest.raises(ValueError, match=r"SLURM's step can't be read .*; start it by srun, or set TF_CONFIG"):
            workers.place()


@pytest.mark.parametrize(
    ("nodes", "hosts"),
    [
        ("one", ["one"]),
        ("a[1-3,7],b", ["a1", "a2", "a3", "a7", "b"]),
        ("n[098-101]-ib,login", ["n098-ib", "n099-ib", "n100-ib", "n101-ib", "login"]),
    ],
)
def test_slurms_lists_of_nodes(nodes, hosts):
    assert workers.hosts_of(nodes) == hosts


def test_two_ranges_in_one_name_are_refused():
    for nodes in ("rack[1-2]n[01-02]", "a[1-3]b[1-2],c"):
        with pytest.raises(ValueError, match="two ranges in one name"):
            workers.hosts_of(nodes)


def test_wrong_flags_end_before_tensorflow_is_loaded():
    for flags, sentence, variables in (
        ([], "there is no TF_CONFIG", {"TF_CONFIG": ""}),
        (["--dry_run"], "--dry_run: one machine tries", {}),
        (["--logical_cpus=2"], "--logical_cpus=2: a worker has one CPU", {}),
    ):
        process = told("--dataset=digits", "--strategy=multi_worker", *flags, **variables)
        assert process.returncode == 2 and sentence in process.stderr and "loaded: False" in process.stdout
