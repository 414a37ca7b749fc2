"""A running `mlx-audio serve` for the end-to-end tests."""
import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request

import openai

from program import PROGRAM


class Server:
    def __init__(self, process, port, log):
        self.process, self.port, self.log = process, port, log
        self.url = f"http://127.0.0.1:{port}"

    @property
    def v1(self):
        return self.url + "/v1"

    def client(self):
        """OpenAI's own, without second tries."""
        return openai.OpenAI(base_url=self.v1, api_key="none", max_retries=0)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def wait_log(self, pattern, timeout=60):
        """The first line of the log that matches."""
        end = time.time() + timeout
        while time.time() < end:
            for line in list(self.log):
                if re.search(pattern, line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in\n" + "".join(self.log))


@contextlib.contextmanager
def serving(*arguments, env=None, program=PROGRAM, command=("serve",), ends=(0, -signal.SIGKILL)):
    """Starts a server on a free port; stops it, and checks that it stopped well: with an exit code of `ends`."""
    process = subprocess.Popen([str(program), *command, "--port", "0", *map(str, arguments)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
    log = []
    reader = threading.Thread(target=_keep, args=(process.stderr, log), daemon=True)
    reader.start()
    try:
        line = process.stdout.readline()
        assert "serves on" in line, (line, log, process.poll())
        server = Server(process, int(line.rsplit(":", 1)[1]), log)
        yield server
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in ends, "".join(log)
        assert not any(" defect " in line for line in log), "".join(log)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _keep(stream, lines):
    for line in stream:
        lines.append(line)


def get(url, timeout=30):
    with urllib.request.urlopen(url, timeout=timeout) as response:
        return response.read().decode()
