"""--web.config.file on every listener: TLS, client certificates and basic authentication, over HTTP and gRPC."""

import base64
import http.client
import os
import ssl
import subprocess
import unittest

from processes import EndToEndTest, Server, free_port, wait_until

# bcrypt of "test".
HASH = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"
AUTHORIZATION = "Basic " + base64.b64encode(b"alice:test").decode()
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class WebConfigTest(EndToEndTest):
    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.directory)

    def make(self, name, *more):
        """A certificate of the CA, or the CA itself."""
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
        if name == "ca":
            self.openssl("req", "-x509", *key, "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca")
            return
        self.openssl("req", *key, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self.write(f"{name}.ext", "subjectAltName=IP:127.0.0.1,DNS:" + name + "\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                     "-out", f"{name}.crt", "-days", "2", "-extfile", f"{name}.ext")

    def setUp(self):
        super().setUp()
        for name in ("ca", "server", "client"):
            self.make(name)
        web = self.write("web.yml", f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
basic_auth_users: {{alice: {HASH}}}
""")
        self.ports = [free_port() for _ in range(3)]
        self.config = self.write("tarsier.yml", "write_limits:\n- {tenant: small, max_body_size: 10B}\n")
        server = self.add(Server("tarsier", [
            os.environ["TARSIER"], f"--config.file={self.config}", f"--storage.tsdb.path={self.path('data')}",
            f"--web.listen-address=127.0.0.1:{self.ports[0]}", f"--otlp.http-address=127.0.0.1:{self.ports[1]}",
            f"--otlp.grpc-address=127.0.0.1:{self.ports[2]}", f"--web.config.file={web}",
            "--web.enable-otlp-receiver"], self.ports[0], self.directory))
        server._is_ready = lambda: self.is_ready()
        server.start()

    def context(self, with_certificate=True):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if with_certificate:
            context.load_cert_chain(self.path("client.crt"), self.path("client.key"))
        return context

    def ask(self, port, path, method="GET", with_certificate=True, authorization=AUTHORIZATION, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=self.context(with_certificate), timeout=20)
        try:
            headers = {"Content-Type": "application/x-protobuf"}
            if authorization:
                headers["Authorization"] = authorization
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def is_ready(self):
        try:
            return self.ask(self.ports[0], "/-/ready") == 200
        except OSError:
            return False

    def test_http_listeners_want_certificate_and_password(self):
        for port, path, method, body in ((self.ports[0], "/api/v1/query?query=1", "GET", None),
                                         (self.ports[1], "/v1/traces", "POST", b"")):
            self.assertEqual(self.ask(port, path, method, body=body), 200)
            self.assertEqual(self.ask(port, path, method, body=body, authorization=None), 401)
            wrong = "Basic " + base64.b64encode(b"alice:wrong").decode()
            self.assertEqual(self.ask(port, path, method, body=body, authorization=wrong), 401)
            with self.assertRaises((ssl.SSLError, OSError)):
                self.ask(port, path, method, body=body, with_certificate=False)
            plain = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            plain.request("GET", path)
            self.assertEqual(plain.getresponse().status, 400)
            plain.close()

    def test_grpc_wants_them_too_and_knows_tenants(self):
        try:
            import grpc
        except ImportError:
            self.skipTest("python3-grpcio is not installed: script/test --all installs it")
        with open(self.path("ca.crt"), "rb") as ca, open(self.path("client.crt"), "rb") as crt, \
                open(self.path("client.key"), "rb") as key:
            ca, crt, key = ca.read(), crt.read(), key.read()

        def export(credentials, metadata, message=b""):
            with grpc.secure_channel(f"127.0.0.1:{self.ports[2]}", credentials) as channel:
                call = channel.unary_unary(METRICS)
                try:
                    call(message, metadata=metadata, timeout=20)
                    return grpc.StatusCode.OK
                except grpc.RpcError as error:
                    return error.code()

        ours = grpc.ssl_channel_credentials(ca, key, crt)
        alice = (("authorization", AUTHORIZATION),)
        self.assertEqual(export(ours, alice), grpc.StatusCode.OK)
        self.assertEqual(export(ours, ()), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(export(ours, (("authorization", "Basic eDp5"),)), grpc.StatusCode.UNAUTHENTICATED)
        self.assertEqual(export(grpc.ssl_channel_credentials(ca), alice), grpc.StatusCode.UNAVAILABLE)
        # A password is wanted before anything is read, however much it is.
        self.assertEqual(export(ours, (), b"x" * (50 << 20)), grpc.StatusCode.UNAUTHENTICATED)
        # The limit of a tenant counts over gRPC as over HTTP.
        message = b"\x0a\x20" + b"\x22\x1e" + b"x" * 30  # A resource with an unknown field: 34 bytes.
        self.assertEqual(export(ours, alice, message), grpc.StatusCode.OK)
        self.assertEqual(export(ours, alice + (("x-scope-orgid", "small"),), message),
                         grpc.StatusCode.RESOURCE_EXHAUSTED)


if __name__ == "__main__":
    unittest.main()
