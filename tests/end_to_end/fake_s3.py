"""A small S3: objects in memory, multipart uploads, signatures of version 4 checked for themselves, failures on demand."""

import hashlib
import hmac
import http.server
import threading
import urllib.parse
from xml.sax.saxutils import escape


class FakeS3:
    def __init__(self, bucket, access_key, secret_key):
        self.bucket, self.access_key, self.secret_key = bucket, access_key, secret_key
        self.lock = threading.Lock()
        self.objects = {}       # name -> bytes
        self.order = []         # Names as they became objects.
        self.uploads = {}       # id -> {part number: bytes}
        self.refused = []       # Why requests were not signed well.
        self.requests = 0
        self.fail_next = 0      # So many requests are answered with 503.
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                fake.answer(self)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def what_is_wrong(self, handler, body):
        """Computes the signature anew from what came over the wire; None if it is right."""
        given = handler.headers.get("Authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            return "no signature"
        parts = dict(p.split("=", 1) for p in given.split(" ", 1)[1].split(", "))
        key, day, region, service, _ = parts["Credential"].split("/")
        if (key, service) != (self.access_key, "s3"):
            return "the credential is wrong"
        digest = hashlib.sha256(body).hexdigest()
        if handler.headers["x-amz-content-sha256"] != digest:
            return "the digest of the body is wrong"
        path, _, query = handler.path.partition("?")
        query = "&".join(sorted(query.split("&"))) if query else ""
        names = parts["SignedHeaders"].split(";")
        canonical = "\n".join([handler.command, path, query]
                              + [f"{name}:{handler.headers[name].strip()}" for name in names]
                              + ["", parts["SignedHeaders"], digest])
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", handler.headers["x-amz-date"], scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        signing = ("AWS4" + self.secret_key).encode()
        for piece in (day, region, "s3", "aws4_request"):
            signing = hmac.new(signing, piece.encode(), hashlib.sha256).digest()
        want = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
        return None if parts["Signature"] == want else "the signature is wrong"

    def answer(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self.lock:
            self.requests += 1
            if self.fail_next > 0:
                self.fail_next -= 1
                return self.send(handler, 503, "<Error><Code>SlowDown</Code></Error>")
            wrong = self.what_is_wrong(handler, body)
            if wrong:
                self.refused.append(wrong)
                return self.send(handler, 403, f"<Error><Code>AccessDenied</Code><Message>{wrong}</Message></Error>")
            url = urllib.parse.urlsplit(handler.path)
            query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
            bucket, _, name = urllib.parse.unquote(url.path).lstrip("/").partition("/")
            if bucket != self.bucket:
                return self.send(handler, 404, "<Error><Code>NoSuchBucket</Code></Error>")
            return self.serve(handler, name, query, body)

    def serve(self, handler, name, query, body):
        method = handler.command
        if method == "GET" and "list-type" in query:
            items = "".join(f"<Contents><Key>{escape(urllib.parse.quote(n))}</Key><Size>{len(o)}</Size></Contents>"
                            for n, o in sorted(self.objects.items()) if n.startswith(query["prefix"]))
            return self.send(handler, 200, f"<ListBucketResult>{items}</ListBucketResult>")
        if method == "POST" and "uploads" in query:
            upload = f"upload-{len(self.uploads)}"
            self.uploads[upload] = {}
            return self.send(handler, 200, f"<R><UploadId>{upload}</UploadId></R>")
        if method == "PUT" and "partNumber" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return self.send(handler, 200, "", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})
        if method == "POST":
            parts = self.uploads.pop(query["uploadId"])
            if body.decode().count("<Part>") != len(parts):
                return self.send(handler, 400, "<Error><Code>InvalidPart</Code></Error>")
            body = b"".join(part for _, part in sorted(parts.items()))
        elif method == "DELETE":
            self.uploads.pop(query.get("uploadId"), None)
            return self.send(handler, 204, "")
        elif method != "PUT":
            return self.send(handler, 405, "")
        self.objects[name] = body
        self.order.append(name)
        return self.send(handler, 200, "<Done/>")

    def send(self, handler, status, text, headers=None):
        data = text.encode()
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
