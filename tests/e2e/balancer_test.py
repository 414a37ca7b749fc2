"""HAProxy before three servers, as packaging/haproxy has it: load goes where the
queue is short, and a rolling restart loses no request."""
import collections
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
from program import PROGRAM, ROOT

sys.path.insert(0, str(ROOT / "bench"))
import mossformer2  # noqa: E402

HAPROXY = ROOT / "packaging/haproxy"
NAMES = ("one", "two", "three")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Servers:
    """Three servers on ports of their own; restart(name) as systemd would."""

    def __init__(self, model):
        self.model = model
        self.ports = {name: free_port() for name in NAMES}
        self.processes = {}
        for name in NAMES:
            self.start(name)
        for name in NAMES:
            self.wait(name)

    def start(self, name):
        command = [PROGRAM, "serve", "--port", self.ports[name], "--model", f"tiny={self.model}",
                   "--preload", "tiny", "--queue", 64, "--log-level", "warning"]
        self.processes[name] = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"})

    def wait(self, name):
        for _ in range(600):
            try:
                with urllib.request.urlopen(self.url(name) + "/health/ready") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{name} is not ready")

    def url(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def restart(self, name):
        self.processes[name].send_signal(signal.SIGTERM)
        assert self.processes[name].wait(timeout=60) == 0
        self.start(name)

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    mossformer2.save(folder, mossformer2.make_tensors(dim=32, blocks=2))
    return folder


@pytest.fixture(scope="module")
def servers(model):
    three = Servers(model)
    yield three
    three.stop()


@pytest.fixture(scope="module")
def balancer(servers, tmp_path_factory):
    """(URL, address of the stats socket)."""
    folder = tmp_path_factory.mktemp("haproxy")
    port, admin = free_port(), free_port()
    text = (HAPROXY / "haproxy.cfg").read_text()
    for old, new in [("8100", port), ("8199", admin)] + [
            (str(8101 + i), servers.ports[name]) for i, name in enumerate(NAMES)]:
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    text = text.replace("queue_depth.lua", str(HAPROXY / "queue_depth.lua"))
    (folder / "haproxy.cfg").write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"])
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            assert process.poll() is None, "haproxy does not take its configuration"
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}", f"127.0.0.1:{admin}"
    process.terminate()
    process.wait()


def statistics(admin):
    host, port = admin.split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"show stat\n")
        data = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    lines = data.strip("# \n").splitlines()
    keys = lines[0].lstrip("# ").split(",")
    rows = [dict(zip(keys, line.split(","))) for line in lines[1:]]
    return {row["svname"]: row for row in rows if row["pxname"] == "speech"}


def upload(seconds, folder):
    file = folder / f"{seconds}.wav"
    mossformer2.write_wav(file, mossformer2.speech_like(seconds))
    edge = uuid.uuid4().hex
    part = f"--{edge}\r\ncontent-disposition: form-data; name="
    body = f'{part}"model"\r\n\r\ntiny\r\n{part}"file"; filename="a.wav"\r\n\r\n'.encode()
    body += file.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    return body, f"multipart/form-data; boundary={edge}"


def enhance(url, body, kind):
    request = urllib.request.Request(
        url + "/v1/audio/enhancements", body, {"content-type": kind})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


class Load:
    """Clients that send one request after the other until stop()."""

    def __init__(self, url, bodies, clients):
        self.results = collections.Counter()
        self.failures = []
        self.answers = [set() for _ in bodies]
        self.done = threading.Event()
        self.threads = [
            threading.Thread(target=self.work, args=(url, bodies, i)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def work(self, url, bodies, client):
        while not self.done.is_set():
            which = (client + sum(self.results.values())) % len(bodies)
            try:
                self.answers[which].add(enhance(url, *bodies[which]))
                self.results["ok"] += 1
            except Exception as error:  # noqa: BLE001
                self.failures.append(repr(error))

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join()


def test_a_rolling_restart_loses_no_request(servers, balancer, tmp_path):
    url, admin = balancer
    # One that fits into HAProxy's buffer, and one that it cannot send twice.
    bodies = [upload(0.3, tmp_path), upload(2, tmp_path)]
    # What the script calls asks this process to restart a server.
    calls, answers = tmp_path / "calls", tmp_path / "answers"
    os.mkfifo(calls)
    os.mkfifo(answers)

    def serve_calls():
        for _ in NAMES:
            with open(calls) as f:
                name = f.read().strip()
            servers.restart(name)
            with open(answers, "w") as f:
                f.write("done\n")

    restarter = threading.Thread(target=serve_calls, daemon=True)
    restarter.start()
    before = {name: servers.processes[name].pid for name in NAMES}
    load = Load(url, bodies, clients=6)
    time.sleep(1)
    done = subprocess.run(
        [HAPROXY / "rolling-restart", admin, "speech", "bash", "-c",
         f'echo "$1" >"{calls}"; cat "{answers}" >/dev/null', "restart"],
        capture_output=True, text=True, timeout=150, env={**os.environ, "PATIENCE": "60"})
    time.sleep(0.5)
    load.stop()
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == [f"{name} is back" for name in NAMES]
    assert all(servers.processes[name].pid != before[name] for name in NAMES)
    assert load.failures == []
    assert load.results["ok"] >= 20, load.results
    assert [len(answers) for answers in load.answers] == [1, 1]  # all alike
    assert all(int(statistics(admin)[name]["stot"]) > 0 for name in NAMES)


def test_a_plain_restart_loses_no_small_request(servers, balancer, tmp_path):
    """SIGTERM without drain: what the server refuses, another one answers."""
    url, _ = balancer
    load = Load(url, [upload(0.3, tmp_path)], clients=4)
    time.sleep(0.5)
    servers.restart("two")
    servers.wait("two")
    time.sleep(0.5)
    load.stop()
    assert load.failures == [] and load.results["ok"] >= 8


def test_requests_go_where_the_queue_is_short(servers, balancer, tmp_path):
    """Load that HAProxy does not see lowers a server's weight."""
    url, admin = balancer
    busy = Load(servers.url("one"), [upload(20, tmp_path)], clients=8)
    try:
        for _ in range(200):
            if int(statistics(admin)["one"]["weight"]) <= 20:
                break
            time.sleep(0.05)
        rows = statistics(admin)
        assert int(rows["one"]["weight"]) <= 20 < int(rows["two"]["weight"])
        before = {name: int(rows[name]["stot"]) for name in NAMES}
        light = Load(url, [upload(0.3, tmp_path)], clients=3)
        time.sleep(3)
        light.stop()
        rows = statistics(admin)
        taken = {name: int(rows[name]["stot"]) - before[name] for name in NAMES}
        assert light.failures == []
        assert taken["one"] < min(taken["two"], taken["three"]), taken
    finally:
        busy.stop()
    for name in NAMES:  # and it comes back
        with urllib.request.urlopen(servers.url(name) + "/health") as answer:
            assert json.load(answer)["queue_depth"] == 0
