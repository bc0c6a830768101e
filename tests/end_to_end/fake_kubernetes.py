"""A Kubernetes API over HTTPS: lists by pages, watches that break on demand, versions that are forgotten."""

import http.server
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse

PATHS = {"/api/v1/pods": "pods", "/api/v1/services": "services", "/api/v1/nodes": "nodes",
         "/api/v1/namespaces": "namespaces", "/apis/discovery.k8s.io/v1/endpointslices": "endpointslices",
         "/apis/networking.k8s.io/v1/ingresses": "ingresses"}


def certificate(directory):
    """A certificate of its own for 127.0.0.1, as the paths of it and its key."""
    crt, key = os.path.join(directory, "api.crt"), os.path.join(directory, "api.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=kubernetes",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return crt, key


class FakeKubernetes:
    def __init__(self, directory, token):
        self.crt, key = certificate(directory)
        self.token = token
        self.lock = threading.Condition()
        self.version = 100
        self.oldest_version = 0      # Watches from before are answered with 410.
        self.objects = {}            # (resource, namespace, name) -> object
        self.events = []             # (version, resource, type, object)
        self.requests = []           # Path and query of each.
        self.refused = 0             # Requests without the token.
        self.watches = []            # Sockets of the watches that run.
        self.is_down = False
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                fake.answer(self)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.crt, key)

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self):
                connection, address = self.socket.accept()
                connection.settimeout(60)
                return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass

        self.server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.break_watches()
        self.server.shutdown()
        self.server.server_close()

    def put(self, resource, name, detail, namespace="shop", labels=None):
        with self.lock:
            self.version += 1
            key = (resource, namespace, name)
            kind = "MODIFIED" if key in self.objects else "ADDED"
            self.objects[key] = {"metadata": {"name": name, "namespace": namespace, "uid": "uid-" + name,
                                              "labels": labels or {}, "resourceVersion": str(self.version)}, **detail}
            self.events.append((self.version, resource, kind, self.objects[key]))
            self.lock.notify_all()

    def delete(self, resource, name, namespace="shop", silently=False):
        with self.lock:
            self.version += 1
            gone = self.objects.pop((resource, namespace, name))
            gone["metadata"]["resourceVersion"] = str(self.version)
            if not silently:
                self.events.append((self.version, resource, "DELETED", gone))
            self.lock.notify_all()

    def forget(self):
        """Watches from versions so far are gone, as after a compaction of etcd."""
        with self.lock:
            self.version += 1
            self.oldest_version = self.version

    def break_watches(self):
        """Resets the connections of all watches in the middle of whatever they send."""
        with self.lock:
            watches, self.watches = self.watches, []
        for connection in watches:
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass
        return len(watches)

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.lock:
            self.requests.append(handler.path)
        if self.is_down:
            return self.send(handler, 503, {"message": "the API is down"})
        if handler.headers.get("Authorization") != "Bearer " + self.token:
            with self.lock:
                self.refused += 1
            return self.send(handler, 401, {"message": "Unauthorized"})
        resource = PATHS.get(url.path)
        if resource is None:
            return self.send(handler, 404, {"message": "no such resource"})
        return self.watch(handler, resource, query) if query.get("watch") else self.list(handler, resource, query)

    @staticmethod
    def send(handler, status, body):
        text = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def list(self, handler, resource, query):
        with self.lock:
            items = [o for key, o in sorted(self.objects.items()) if key[0] == resource]
            version = self.version
        begin = int(query.get("continue", "0"))
        end = begin + 2  # Small pages, whatever was asked for.
        metadata = {"resourceVersion": str(version)}
        if end < len(items):
            metadata["continue"] = str(end)
        self.send(handler, 200, {"metadata": metadata, "items": items[begin:end]})

    def watch(self, handler, resource, query):
        seen = int(query["resourceVersion"])
        if seen < self.oldest_version:
            return self.send(handler, 410, {"code": 410, "message": "too old resource version"})
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with self.lock:
            self.watches.append(handler.connection)
        handler.close_connection = True
        while True:
            with self.lock:
                news = [e for e in self.events if e[0] > seen and e[1] == resource]
                if not news:
                    if handler.connection not in self.watches:
                        return None
                    self.lock.wait(0.2)
                    continue
            for version, _, kind, item in news:
                seen = version
                line = json.dumps({"type": kind, "object": item}).encode() + b"\n"
                # In two pieces: whoever reads must not rely on whole lines.
                for piece in (line[:20], line[20:]):
                    handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    handler.wfile.flush()
