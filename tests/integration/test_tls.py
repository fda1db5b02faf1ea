#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TLS of a real daemon: its files, its clients, and those that do not speak it."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import libmemkv
from node import Node, free_port, run_memkv

VALUE = os.urandom(9_000_017)


def make_certificate(directory, name, curve="P-256"):
    """A certificate that signs itself, and its key: paths."""
    paths = [os.path.join(directory, f"{name}-{what}.pem") for what in ("cert", "key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    f"ec_paramgen_curve:{curve}", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1",
                    "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    os.chmod(paths[1], 0o600)
    return paths


class Tls(unittest.TestCase):
    def setUp(self):
        self._directory = tempfile.TemporaryDirectory(prefix="memkv-tls-")
        self.addCleanup(self._directory.cleanup)
        self.directory = self._directory.name
        self.cert, self.key = make_certificate(self.directory, "node")

    def start(self, **variables):
        node = Node("--dev", os.path.join(self.directory, "store"),
                    variables={"MEMKV_NETWORK_TLS_CERT": self.cert,
                               "MEMKV_NETWORK_TLS_KEY": self.key, **variables})
        self.addCleanup(node.__exit__)
        return node.ready()

    def session(self, node, **options):
        """A connection of Python's own TLS."""
        context = ssl.create_default_context(cafile=self.cert)
        for name, value in options.items():
            setattr(context, name, value)
        with socket.create_connection(("127.0.0.1", node.port), 60) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as made:
                return made.version()

    def test_commands_and_library(self):
        node = self.start()
        path = os.path.join(self.directory, "value")
        with open(path, "wb") as file:
            file.write(VALUE)
        # Whoever connects and says nothing keeps nobody waiting.
        with socket.create_connection(("127.0.0.1", node.port)):
            put = node.command("put", "--tls-ca", self.cert, "key", path)
            self.assertEqual((put.returncode, put.stderr), (0, ""))
            out = os.path.join(self.directory, "out")
            got = node.command("get", "--tls-ca", self.cert, "key", out)
            self.assertEqual((got.returncode, got.stderr), (0, ""))
        with open(out, "rb") as file:
            self.assertEqual(file.read(), VALUE)
        self.assertEqual(self.session(node), "TLSv1.3")
        self.assertEqual(self.session(node, maximum_version=ssl.TLSVersion.TLSv1_2), "TLSv1.2")

        client = libmemkv.Client(node.address, tls_ca=self.cert)
        self.addCleanup(client.close)
        self.assertEqual(client.get(b"key", capacity=len(VALUE)), VALUE)

        # SIGHUP: whoever is connected stays, whoever connects meets the new certificate.
        old_cert = self.cert
        new_cert, new_key = make_certificate(self.directory, "other")
        os.replace(new_key, self.key)
        os.rename(old_cert, old_cert + ".old")
        os.replace(new_cert, self.cert)
        node.signal(signal.SIGHUP)
        node.wait_for("the certificate is read again")
        self.assertEqual(client.get(b"key", capacity=len(VALUE)), VALUE)
        self.assertEqual(self.session(node), "TLSv1.3")
        refused = node.command("get", "--tls-ca", old_cert + ".old", "key", out)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("certificate is not trusted", refused.stderr)
        with open(self.key, "w", encoding="ascii") as file:
            file.write("no key")
        node.signal(signal.SIGHUP)
        node.wait_for("the certificate stays the one of before")
        self.assertEqual(self.session(node), "TLSv1.3")

    def test_those_that_speak_something_else(self):
        node = self.start(MEMKV_NETWORK_TLS_MIN="1.3")
        plain = node.command("get", "key", "-")
        self.assertEqual(plain.returncode, 1)
        self.assertIn("this port speaks TLS", plain.stderr)
        with self.assertRaises(ssl.SSLError):
            self.session(node, maximum_version=ssl.TLSVersion.TLSv1_2)
        wrong_name = run_memkv("get", "--server", node.address, "--tls-ca", self.cert, "key", "-",
                               env={**os.environ, "MEMKV_TLS_NAME": "elsewhere"})
        self.assertEqual(wrong_name.returncode, 3)
        self.assertIn("certificate is not trusted: hostname mismatch", wrong_name.stderr)
        self.assertEqual(self.session(node), "TLSv1.3")

    def test_resp(self):
        port = free_port()
        node = self.start(MEMKV_NETWORK_RESP_ADDRESS=f"127.0.0.1:{port}")
        context = ssl.create_default_context(cafile=self.cert)
        # Whoever connects and says nothing keeps nobody waiting.
        with socket.create_connection(("127.0.0.1", port)), \
                socket.create_connection(("127.0.0.1", port), 60) as bare:
            with context.wrap_socket(bare, server_hostname="localhost") as made:
                with made.makefile("rwb") as file:
                    file.write(b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n%s\r\n"
                               % (len(VALUE), VALUE))
                    file.flush()
                    self.assertEqual(file.readline(), b"+OK\r\n")
                    file.write(b"GET key\r\nPING\r\n")
                    file.flush()
                    self.assertEqual(file.readline(), b"$%d\r\n" % len(VALUE))
                    self.assertEqual(file.read(len(VALUE) + 2), VALUE + b"\r\n")
                    self.assertEqual(file.readline(), b"+PONG\r\n")
        with socket.create_connection(("127.0.0.1", port), 60) as plain:
            plain.sendall(b"PING\r\n")
            self.assertIn(b"-ERR this port speaks TLS", plain.recv(1000))
        self.assertEqual(self.session(node), "TLSv1.3")

    def start_admin(self):
        """A node whose admin listener speaks TLS: 1.3 only, and with a listener of metrics."""
        self.metrics_port = free_port()
        node = Node("--dev", os.path.join(self.directory, "store"),
                    variables={"MEMKV_NETWORK_TLS_CERT": self.cert,
                               "MEMKV_NETWORK_TLS_KEY": self.key,
                               "MEMKV_NETWORK_TLS_MIN": "1.3", "MEMKV_ADMIN_TLS": "true",
                               "MEMKV_PROMETHEUS_PORT": str(self.metrics_port)})
        self.addCleanup(node.__exit__)
        node.wait_for("ready in ")
        return node

    def ask(self, port, path, cafile=None, **options):
        context = ssl.create_default_context(cafile=cafile or self.cert)
        for name, value in options.items():
            setattr(context, name, value)
        url = f"https://localhost:{port}{path}"
        with urllib.request.urlopen(url, timeout=60, context=context) as answer:
            return answer.read().decode()

    def test_admin(self):
        node = self.start_admin()
        port = node.port + 1
        self.assertIn("memkv_", self.ask(port, "/v1/metrics"))
        self.assertIn("memkv_", self.ask(self.metrics_port, "/v1/metrics"))
        self.assertTrue(json.loads(self.ask(port, "/v1/health")))
        with self.assertRaises(urllib.error.URLError):
            self.ask(port, "/v1/health", maximum_version=ssl.TLSVersion.TLSv1_2)
        # Who says nothing, or speaks no TLS, is closed, and keeps nobody waiting.
        with socket.create_connection(("127.0.0.1", port)), \
                socket.create_connection(("127.0.0.1", port), 60) as plain:
            plain.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                self.assertNotIn(b"HTTP/1.1 200", plain.recv(1000))
            except ConnectionError:
                pass
            self.assertIn("memkv_", self.ask(port, "/v1/metrics"))

        def status(*arguments, server=f"https://127.0.0.1:{port}"):
            return run_memkv("admin", "status", "--server", server, *arguments)
        # Who has no token is told so: the answer came over TLS.
        for answer, words in ((status("--tls-ca", self.cert), "needs the role viewer"),
                              (status("--tls-ca", self.cert, server=f"127.0.0.1:{port}"),
                               "needs the role viewer"),
                              (status(), "certificate is not trusted"),
                              (status("--tls-ca", self.cert, "--tls-name", "elsewhere"),
                               "certificate is not trusted: hostname mismatch"),
                              (status("--tls-ca", "/nowhere"), "No such file"),
                              (status(server=f"127.0.0.1:{port}"), f"127.0.0.1:{port}")):
            self.assertNotEqual(answer.returncode, 0)
            self.assertIn(words, answer.stdout + answer.stderr)
        self.assertEqual(node.admin("status").returncode, 0)  # over its socket, plain

    def reload_until(self, node, text, count):
        """Until it is said so often: who was connected may not have left before the first time."""
        for _ in range(300):
            node.signal(signal.SIGHUP)
            time.sleep(0.2)
            if sum(text in line for line in node.lines + node.errors) >= count:
                return
        self.fail(f"no '{text}':\n" + "\n".join(node.lines + node.errors))

    def test_admin__reload__those_who_connect_meet_it(self):
        node = self.start_admin()
        port = node.port + 1
        context = ssl.create_default_context(cafile=self.cert)
        stays = http.client.HTTPSConnection("localhost", port, timeout=60, context=context)
        self.addCleanup(stays.close)
        stays.request("GET", "/v1/live")
        self.assertEqual(stays.getresponse().read() != b"", True)
        os.rename(self.cert, self.cert + ".old")
        new_cert, new_key = make_certificate(self.directory, "other")
        os.replace(new_key, self.key)
        os.replace(new_cert, self.cert)
        node.signal(signal.SIGHUP)
        node.wait_for("the certificate is read again")
        stays.request("GET", "/v1/live")
        answer = stays.getresponse()
        self.assertEqual((answer.status, answer.read() != b""), (200, True))
        for where in (port, self.metrics_port):
            self.assertIn("memkv_", self.ask(where, "/v1/metrics"))
            with self.assertRaises(urllib.error.URLError):
                self.ask(where, "/v1/metrics", cafile=self.cert + ".old")
        # It was asked to come back: it keeps no later reload from being done.
        self.assertEqual(answer.getheader("Connection", "").lower(), "close")
        third_cert, third_key = make_certificate(self.directory, "third")
        os.replace(third_key, self.key)
        os.replace(third_cert, self.cert)
        self.reload_until(node, "the certificate is read again", 2)
        self.assertIn("memkv_", self.ask(port, "/v1/metrics"))
        # One that the library of this listener does not take: that of before stays.
        odd_cert, odd_key = make_certificate(self.directory, "odd", "secp256k1")
        good = self.cert + ".good"
        os.rename(self.cert, good)
        os.replace(odd_key, self.key)
        os.replace(odd_cert, self.cert)
        self.reload_until(node, "GnuTLS does not take", 1)
        for where in (port, self.metrics_port):
            self.assertIn("memkv_", self.ask(where, "/v1/metrics", cafile=good))
        stays.close()
        node.signal(signal.SIGTERM)
        self.assertEqual(node.wait(), 0)

    def test_files_that_are_no_good(self):
        none = Node("--dev", os.path.join(self.directory, "store"),
                    variables={"MEMKV_ADMIN_TLS": "true"})
        self.assertEqual(none.wait(), 78)
        self.assertIn("admin.tls is true and there is no certificate", "\n".join(none.errors))
        half = Node("--dev", os.path.join(self.directory, "store"),
                    variables={"MEMKV_NETWORK_TLS_CERT": self.cert})
        self.assertEqual(half.wait(), 78)
        self.assertIn("TLS takes both, or neither", "\n".join(half.errors))
        other_key = make_certificate(self.directory, "other")[1]
        wrong = Node("--dev", os.path.join(self.directory, "store"),
                     variables={"MEMKV_NETWORK_TLS_CERT": self.cert,
                                "MEMKV_NETWORK_TLS_KEY": other_key})
        self.assertEqual(wrong.wait(), 78)
        self.assertIn("network.tls_key", "\n".join(wrong.errors))
        odd_cert, odd_key = make_certificate(self.directory, "odd", "secp256k1")
        odd = Node("--dev", os.path.join(self.directory, "store"),
                   variables={"MEMKV_NETWORK_TLS_CERT": odd_cert, "MEMKV_ADMIN_TLS": "true",
                              "MEMKV_NETWORK_TLS_KEY": odd_key})
        self.assertNotEqual(odd.wait(), 0)
        self.assertIn("GnuTLS does not take", "\n".join(odd.errors))


if __name__ == "__main__":
    unittest.main()
