"""Targets that are slow, huge, endless, garbage, redirect for ever, bomb with compression or reset: each fails alone."""

import gzip
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
import unittest

from processes import EndToEndTest, wait_until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
GOOD = b"good_metric 1\n"


class Hostile:
    """One listener; the path of a request says how it is answered."""

    def __init__(self, bombs):
        self.bombs = bombs
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.is_open = True
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.is_open = False
        self.listener.close()

    def serve(self):
        while self.is_open:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        connection.settimeout(20)
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            path = head.split()[1].decode().split("?")[0].lstrip("/")
            getattr(self, path)(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def while_open(self, connection, piece, pause=0.0):
        while self.is_open:
            connection.sendall(piece)
            time.sleep(pause)

    def good(self, c):
        c.sendall(HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(GOOD) + GOOD)

    def slow_head(self, c):
        self.while_open(c, b"H", 0.2)

    def slow_body(self, c):
        c.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")
        self.while_open(c, b"#", 0.2)

    def huge(self, c):
        c.sendall(HEAD + b"Content-Length: 100000000000\r\n\r\n")
        self.while_open(c, b"x 1\n" * 10000)

    def lying(self, c):
        c.sendall(HEAD + b"Content-Length: 9000000000000000000\r\n\r\nx 1\n")
        time.sleep(5)

    def endless(self, c):
        c.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        self.while_open(c, b"a000\r\n" + b"x" * 0xA000 + b"\r\n")

    def endless_head(self, c):
        c.sendall(HEAD)
        self.while_open(c, b"X-More: " + b"y" * 1000 + b"\r\n")

    def garbage(self, c):
        c.sendall(os.urandom(100000))

    def ssh(self, c):
        c.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        time.sleep(5)

    def bad_lines(self, c):
        body = os.urandom(10000)
        c.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def bad_gzip(self, c):
        c.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!")

    def loop(self, c):
        c.sendall(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def gzip_bomb(self, c):
        self.bomb(c, "gzip")

    def zstd_bomb(self, c):
        self.bomb(c, "zstd")

    def bomb(self, c, name):
        body = self.bombs[name]
        c.sendall(HEAD + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (name.encode(), len(body)) + body)

    def reset(self, c):
        c.sendall(HEAD + b"Content-Length: 1000\r\n\r\nx 1\n")
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def cut(self, c):
        c.sendall(HEAD + b"Content-Length: 1000\r\n\r\nx 1\n")

    def gone(self, _):
        pass


# Path to what its error says.
EXPECTED = {
    "slow_head": "context deadline exceeded", "slow_body": "context deadline exceeded",
    "huge": "body size limit exceeded", "endless": "body size limit exceeded",
    "gzip_bomb": "body size limit exceeded", "zstd_bomb": "body size limit exceeded",
    "lying": "", "endless_head": "", "garbage": "", "ssh": "", "bad_lines": "", "bad_gzip": "",
    "loop": "stopped after 10 redirects", "reset": "", "cut": "", "gone": "EOF"}


class HostileTargetsTest(EndToEndTest):
    def test_each_fails_alone(self):
        zeros = b"# " + b"x" * (64 << 20)
        bombs = {"gzip": gzip.compress(zeros)}
        if shutil.which("zstd"):
            bombs["zstd"] = subprocess.run(["zstd", "-c"], input=zeros, capture_output=True, check=True).stdout
        del zeros
        hostile = Hostile(bombs)
        self.addCleanup(hostile.close)
        paths = [p for p in EXPECTED if p != "zstd_bomb" or "zstd" in bombs]
        jobs = "".join(f"""
  - job_name: {path}
    metrics_path: /{path}
    static_configs: [{{targets: ["{hostile.address}"]}}]""" for path in [*paths, "good"])
        server = self.tarsier(f"""
global: {{scrape_interval: 1s, scrape_timeout: 900ms, body_size_limit: 1MB}}
scrape_configs:{jobs}
""").start()

        def errors():
            found = {t["scrapePool"]: t for t in server.get("/api/v1/targets")["activeTargets"]}
            if any(t["health"] == "unknown" for t in found.values()):
                return None
            return found

        found = wait_until(errors, "all were scraped", 60)
        time.sleep(4)  # Some rounds more.
        found = errors()
        for path in paths:
            self.assertEqual(found[path]["health"], "down", path)
            self.assertNotEqual(found[path]["lastError"], "", path)
            self.assertIn(EXPECTED[path], found[path]["lastError"], path)
        self.assertEqual(found["good"]["health"], "up", found["good"]["lastError"])
        self.assertEqual(server.query("good_metric")[0]["value"][1], "1")
        self.assertEqual(server.query("count(up == 0)")[0]["value"][1], str(len(paths)))
        with open(f"/proc/{server.process.pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        self.assertLess(peak, 400 << 10, "KiB of memory at most")
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main()
