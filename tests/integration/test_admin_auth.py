#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may ask the admin listener of a real daemon: the Unix socket, tokens, and nobody."""

import json
import os
import socket
import stat
import subprocess
import tempfile
import unittest

from node import MEMKV, Node, environment, free_port, run_memkv

NOBODY = 65534
OPEN = ["/v1/live", "/livez", "/health/live", "/v1/ready", "/readyz", "/health/ready",
        "/v1/health", "/v1/metrics", "/metrics"]
CLOSED = ["/v1/status", "/status", "/v1/tenants"]
VIEW, OPERATE = "v" * 40, "o" * 40
STORE = "storage: {mode: file, drives: [{media: store.memkv, size: 1GiB}]}\n" \
        "memory: {max_size: 256MiB}\n"


def write_token(directory, name, token, mode=0o600):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="ascii") as file:
        file.write(token + "\n")
    os.chmod(path, mode)
    return path


def as_nobody(path, method="GET", gid=NOBODY, socket_path=None):
    """The HTTP status that another user of this machine gets on the socket."""
    program = "import socket, sys\n" \
              "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n" \
              "s.sendall((sys.argv[2] + ' ' + sys.argv[3] + ' HTTP/1.1\\r\\nHost: x\\r\\n" \
              "Connection: close\\r\\n\\r\\n').encode())\n" \
              "print(s.makefile().readline().split()[1])\n"
    child = subprocess.run(["/usr/bin/python3", "-c", program, socket_path, method, path],
                           capture_output=True, text=True, check=False, user=NOBODY, group=gid,
                           extra_groups=[], timeout=60)
    return child.stdout.strip() or child.stderr.strip().splitlines()[-1]


class AdminAuthTest(unittest.TestCase):
    """One node with two tokens and a group, for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        os.chmod(cls.directory, 0o711)
        cls.view = write_token(cls.directory, "view", VIEW)
        cls.operate = write_token(cls.directory, "operate", OPERATE)
        cls.socket = os.path.join(cls.directory, "s")
        config = os.path.join(cls.directory, "memkv.yaml")
        port = free_port()
        with open(config, "w", encoding="utf-8") as file:
            file.write(STORE + f"network: {{admin_address: '0.0.0.0:{port + 1}'}}\n"
                       f"admin:\n  socket: s\n  viewer_group: '{NOBODY}'\n"
                       "  tokens: [{role: viewer, file: view}, {role: operator, file: operate}]\n")
        cls.node = cls.enterClassContext(
            Node("--config", config, port=port, env=environment(), cwd=cls.directory))
        cls.node.socket = cls.socket
        cls.node.ready()

    def test_auth__nobody__health_and_metrics_alone(self):
        for path in OPEN:
            self.assertEqual(self.node.http_tcp(path)[0], 200, path)
        for path in CLOSED:
            status, body = self.node.http_tcp(path)
            self.assertEqual(status, 401, path)
            self.assertIn("--token-file", json.loads(body)["error"])
        self.assertEqual(self.node.http_tcp("/v1/tenants/x", "DELETE")[0], 401)
        for wrong in ("x" * 40, VIEW[:-1], VIEW + "v"):
            self.assertEqual(self.node.http_tcp(
                "/v1/status", headers={"Authorization": f"Bearer {wrong}"})[0], 401)

    def test_auth__tokens__what_their_role_allows(self):
        viewer = {"Authorization": f"Bearer {VIEW}"}
        operator = {"Authorization": f"Bearer {OPERATE}"}
        for path in CLOSED:
            self.assertEqual(self.node.http_tcp(path, headers=viewer)[0], 200, path)
        self.assertEqual(self.node.http_tcp("/v1/tenants/x", "DELETE", headers=viewer)[0], 403)
        self.assertEqual(self.node.http_tcp("/v1/tenants/x", "DELETE", headers=operator)[0], 404)

    def test_auth__commands__token_file_and_its_variable(self):
        server = f"127.0.0.1:{self.node.port + 1}"
        child = run_memkv("admin", "status", "--server", server)
        self.assertEqual(child.returncode, 3)
        self.assertIn("this needs the role viewer", child.stderr)
        child = run_memkv("admin", "status", "--server", server, "--token-file", self.view)
        self.assertEqual(child.returncode, 0, child.stderr)
        child = run_memkv("admin", "tenant-drop", "x", "--server", server, "--token-file",
                          self.view)
        self.assertEqual(child.returncode, 1)
        self.assertIn("this needs the role operator, and token 0 is viewer", child.stderr)
        child = run_memkv("admin", "tenants", "--server", server,
                          env=environment(MEMKV_ADMIN_TOKEN_FILE=self.operate))
        self.assertEqual(child.returncode, 0, child.stderr)
        child = run_memkv("admin", "status", env=environment(MEMKV_ADMIN_SOCKET=self.socket))
        self.assertEqual(child.returncode, 0, child.stderr)
        short = write_token(self.directory, "short", "x" * 31)
        child = run_memkv("admin", "status", "--server", server, "--token-file", short)
        self.assertEqual(child.returncode, 2)
        self.assertIn("holds no token", child.stderr)

    def test_auth__the_socket__mode_and_group(self):
        found = os.lstat(self.socket)
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o660)
        self.assertEqual(found.st_gid, NOBODY)

    @unittest.skipUnless(os.geteuid() == 0, "only root can be another user")
    def test_auth__another_user__viewer_by_group(self):
        self.assertEqual(as_nobody("/v1/status", socket_path=self.socket), "200")
        self.assertEqual(as_nobody("/v1/tenants/x", "DELETE", socket_path=self.socket), "403")
        self.assertIn("PermissionError",
                      as_nobody("/v1/status", gid=NOBODY - 1, socket_path=self.socket))


class AdminOpenTest(unittest.TestCase):
    """A node that asks nobody who he is."""

    def test_auth_none__everybody_may_do_all__under_a_warning(self):
        with tempfile.TemporaryDirectory() as directory:
            with Node("--dev", os.path.join(directory, "data"),
                      env=environment(MEMKV_ADMIN_AUTH="none"), cwd=directory) as node:
                node.ready()
                status, body = node.http_tcp("/v1/status")
                self.assertEqual(status, 200)
                self.assertIn("AUTH_DISABLED",
                              [warning["code"] for warning in json.loads(body)["warnings"]])
                self.assertEqual(node.http_tcp("/v1/tenants/x", "DELETE")[0], 404)


class AdminSocketTest(unittest.TestCase):
    """The socket's file through the lives of a node, and what is refused at the start."""

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory())
        self.data = os.path.join(self.directory, "data")
        self.socket = os.path.join(self.data, "admin.sock")

    def start(self, *arguments):
        node = self.enterContext(Node("--dev", self.data, *arguments, env=environment(),
                                      cwd=self.directory))
        node.socket = self.socket
        return node

    def refused(self, text, config):
        path = os.path.join(self.directory, "memkv.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(STORE + config)
        child = subprocess.run([MEMKV, "start", "--config", path, "--listen",
                                f"127.0.0.1:{free_port()}", "--log-format", "text"],
                               capture_output=True, text=True, check=False, timeout=60,
                               env=environment(), cwd=self.directory)
        self.assertIn(text, child.stderr)
        return child.returncode

    def test_socket__killed_and_started_again__replaced(self):
        node = self.start().ready()
        self.assertEqual(node.http("/v1/status")[0], 200)
        node.kill()
        self.assertTrue(os.path.exists(self.socket))
        node = self.start().ready()
        self.assertEqual(node.http("/v1/status")[0], 200)
        self.assertEqual(node.terminate(), 0)
        self.assertFalse(os.path.exists(self.socket))

    def test_socket__default_of_commands__the_one_of_dev(self):
        node = self.enterContext(Node("--dev", env=environment(), cwd=self.directory)).ready()
        child = run_memkv("admin", "status", cwd=self.directory)
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertEqual(node.terminate(), 0)

    def test_socket__a_path_beyond_the_kernels_limit__served(self):
        self.data = os.path.join(self.directory, "d" * 120, "data")
        os.mkdir(os.path.dirname(self.data))
        self.socket = os.path.join(self.data, "admin.sock")
        self.start().ready()
        child = run_memkv("admin", "status", "--check", "--socket", self.socket)
        self.assertEqual(child.returncode, 0, child.stderr)

    def test_socket__in_use_or_no_socket__refused(self):
        path = os.path.join(self.directory, "taken")
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(path)
            taken.listen(1)
            self.assertEqual(self.refused("is in use by another process",
                                          f"admin: {{socket: {path}}}\n"), 69)
        with open(path + "2", "w", encoding="ascii") as file:
            file.write("precious")
        self.assertEqual(self.refused("is there and is no socket",
                                      f"admin: {{socket: {path}2}}\n"), 78)
        with open(path + "2", encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        self.assertEqual(self.refused("admin.socket", "admin: {socket: /nowhere/s}\n"), 69)

    def test_token__a_file_that_others_may_read_or_none__refused(self):
        write_token(self.directory, "open", VIEW, mode=0o640)
        write_token(self.directory, "short", "x" * 31)
        for name, text in (("open", "may be read or written by others"),
                           ("short", "holds no token"), ("missing", "cannot be read")):
            self.assertEqual(self.refused(
                text, f"admin: {{tokens: [{{role: viewer, file: {name}}}]}}\n"), 78)
        self.assertEqual(self.refused("has no group 'no-such-group'",
                                      "admin: {socket: s, viewer_group: no-such-group}\n"), 78)


if __name__ == "__main__":
    unittest.main()
