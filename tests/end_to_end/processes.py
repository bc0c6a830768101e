"""Starts real programs on loopback, waits until they answer, and ends them by their own pid."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

PR_SET_PDEATHSIG = 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _end_with_parent():
    ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def http(url, body=None, headers=None, timeout=30):
    """(status, text) of a GET, or of a POST when there is a body."""
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def wait_until(condition, what, seconds=60):
    """Polls `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        outcome = condition()
        if outcome:
            return outcome
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.1)


class Server:
    """One program with a log file. `start` returns when `ready_path` answers 200."""

    def __init__(self, name, arguments, port, directory, ready_path="/-/ready"):
        self.name, self.arguments, self.port = name, arguments, port
        self.log_path = os.path.join(directory, f"{name}.log")
        self.url = f"http://127.0.0.1:{port}"
        self.ready_path = ready_path
        self.process = None

    def start(self, seconds=60):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=_end_with_parent)
        wait_until(self._is_ready, f"{self.name} ready", seconds)
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        try:
            return http(self.url + self.ready_path, timeout=2)[0] == 200
        except OSError:
            return False

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self, seconds=60):
        """Ends it cleanly and returns its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not stop:\n{self.log()[-4000:]}")
        finally:
            self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def get(self, path, **parameters):
        """The `data` of a successful API answer."""
        query = urllib.parse.urlencode(parameters, doseq=True)
        status, text = http(f"{self.url}{path}?{query}")
        answer = json.loads(text)
        if status != 200 or answer["status"] != "success":
            raise AssertionError(f"{self.name} {path} {parameters}: {status} {text[:500]}")
        return answer["data"]

    def query(self, expression, time=None):
        parameters = {"query": expression}
        if time is not None:
            parameters["time"] = f"{time:.3f}"
        return self.get("/api/v1/query", **parameters)["result"]

    def query_range(self, expression, start, end, step):
        return self.get("/api/v1/query_range", query=expression, start=f"{start:.3f}",
                        end=f"{end:.3f}", step=step)["result"]


class EndToEndTest(unittest.TestCase):
    """A test with a directory of its own and servers that are surely gone afterwards."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="tarsier_e2e_")
        self.servers = []
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        for server in self.servers:
            if server.process is not None:
                server.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def add(self, server):
        self.servers.append(server)
        return server

    def need(self, program):
        found = shutil.which(program)
        if found is None:
            raise AssertionError(f"{program} is not installed: script/test --all installs it")
        return found

    def tarsier(self, config="", data="data", arguments=()):
        port = free_port()
        config_path = self.write(f"tarsier-{port}.yml", config or "global: {}\n")
        return self.add(Server("tarsier", [
            os.environ["TARSIER"], f"--config.file={config_path}",
            f"--storage.tsdb.path={self.path(data)}", f"--web.listen-address=127.0.0.1:{port}",
            *arguments], port, self.directory))

    def prometheus(self, config="", data="data", arguments=()):
        port = free_port()
        config_path = self.write(f"prometheus-{port}.yml", config or "global: {}\n")
        return self.add(Server("prometheus", [
            self.need("prometheus"), f"--config.file={config_path}",
            f"--storage.tsdb.path={self.path(data)}", f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn", *arguments], port, self.directory))
