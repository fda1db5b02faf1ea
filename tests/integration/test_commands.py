#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of `memkv admin` against real daemons, and command lines that are refused."""

import json
import os
import stat
import tarfile
import tempfile
import time
import unittest

from node import Node, environment, run_memkv

VIEWS = ["health", "ready", "metrics", "logs", "latency", "hotkeys", "prefixes", "tenants", "slow",
         "clients", "warnings", "config"]
TEXT_VIEWS = {"metrics", "logs"}
# Nobody listens there: port 1 is not given out.
NOBODY = "127.0.0.1:1"
POLL_S = 60


def lines_of(child):
    return child.stdout.splitlines()


class CommandsTest(unittest.TestCase):
    """Two nodes for all tests of the class."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.nodes = [cls.enterClassContext(
            Node("--dev", os.path.join(cls.directory, f"data-{index}"), cwd=cls.directory))
            for index in range(2)]
        cls.payload = os.urandom(300_000)
        cls.value = os.path.join(cls.directory, "value")
        with open(cls.value, "wb") as file:
            file.write(cls.payload)
        for node in cls.nodes:
            node.ready()
            child = node.command("put", "llama@8b@0001", cls.value)
            assert child.returncode == 0, child.stderr

    def admin(self, *arguments, code=0):
        child = run_memkv("admin", *arguments, "--socket", self.nodes[0].socket)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)
        return child

    def both(self, *arguments, code=0, more=()):
        sockets = [part for node in self.nodes for part in ("--socket", node.socket)]
        child = run_memkv("admin", *arguments, *sockets, *more)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)
        return child

    def poll(self, check):
        """Figures lag behind; waits until `check` gives something true."""
        end = time.monotonic() + POLL_S
        while True:
            result = check()
            if result or time.monotonic() > end:
                self.assertTrue(result)
                return result
            time.sleep(0.05)

    def test_views__one_node__text_and_json(self):
        for view in VIEWS:
            with self.subTest(view):
                self.assertNotEqual(self.admin(view).stdout, "")
                answer = json.loads(self.admin(view, "--json").stdout)
                self.assertIsInstance(answer, dict)
                if view in TEXT_VIEWS:
                    self.assertEqual(list(answer), ["text"])

    def test_views__two_nodes__a_column_and_an_object_by_node(self):
        for view in VIEWS:
            with self.subTest(view):
                text = self.both(view).stdout
                if view in TEXT_VIEWS:
                    for node in self.nodes:
                        self.assertIn(f"# {node.socket}\n", text)
                else:
                    self.assertTrue(text.startswith("NODE "), text)
                answer = json.loads(self.both(view, "--json").stdout)
                self.assertEqual(list(answer), [node.socket for node in self.nodes])

    def test_views__one_of_them_unreachable__the_others_are_shown_and_the_code_is_3(self):
        for view in VIEWS:
            with self.subTest(view):
                child = self.both(view, code=3, more=("--server", NOBODY))
                self.assertTrue(child.stdout)
                self.assertIn(f"{NOBODY}: ", child.stderr)
                self.assertIn("does memkv run there?", child.stderr)
                child = self.both(view, "--json", code=3, more=("--server", NOBODY))
                answer = json.loads(child.stdout)
                self.assertEqual(len(answer), 3)
                self.assertIn("error", answer[NOBODY])

    def test_health_and_ready__of_a_node_that_serves(self):
        self.assertEqual(lines_of(self.admin("health")),
                         ["STATUS   RDMA  ONLINE  OFFLINE  DRIVES",
                          "healthy  no         1        0       1"])
        self.assertEqual(lines_of(self.admin("ready")), ["READY  REASON", "yes    -"])
        self.assertEqual(json.loads(self.admin("ready", "--json").stdout),
                         {"ready": True, "reason": None})

    def test_figures__of_what_was_asked_for__are_there(self):
        node = self.nodes[0]
        for _ in range(3):
            self.assertEqual(node.command("get", "llama@8b@0001", self.value + ".back").returncode,
                             0)
        self.poll(lambda: "llama@8b@0001" in self.admin("hotkeys", "--k", "3").stdout)
        latency = self.poll(lambda: [
            row for row in json.loads(self.admin("latency", "--json", "--op=get").stdout)
            ["operations"] if row["count"] >= 3])
        self.assertEqual(latency[0]["op"], "get")
        self.assertIn("llama@", self.admin("prefixes").stdout)
        self.assertIn("default", self.admin("tenants").stdout)

    def test_why__there_and_not__says_so(self):
        child = self.admin("why", "llama@8b@0001")
        self.assertIn("\nfound     on the drive\n", child.stdout)
        self.assertIn("\ndrive     d00\n", child.stdout)
        answer = json.loads(self.admin("why", "--json", "llama@8b@0001").stdout)
        self.assertTrue(answer["found"])
        self.assertEqual(answer["memory"]["length_bytes"], len(self.payload))
        self.assertGreaterEqual(answer["block"]["length_bytes_max"], len(self.payload))
        self.assertEqual(answer["block"]["tier"], "unhinted")
        answer = json.loads(self.admin("why", "no such key & none", "--json").stdout)
        self.assertEqual((answer["found"], answer["miss"], answer["key"]),
                         (False, "unknown", "no such key & none"))
        self.assertIn("PYTHONHASHSEED", answer["action"])
        self.assertIn("nobody has stored anything",
                      self.admin("why", "--tenant", "nobody", "k").stdout)
        as_hex = "hex:" + b"llama@8b@0001".hex()
        self.assertTrue(json.loads(self.admin("why", as_hex, "--json").stdout)["found"])

    def test_why__deleted_expired_and_pinned__each_told(self):
        node = self.nodes[0]
        self.assertEqual(node.command("put", "--expire", "3000", "--tier", "output_critical",
                                      "terms", self.value).returncode, 0)
        block = json.loads(self.admin("why", "terms", "--json").stdout)["block"]
        self.assertRegex(block["expires"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(block["tier"], "output_critical")
        self.assertFalse(block["leased"])
        self.assertEqual(node.command("delete", "terms").returncode, 0)
        answer = json.loads(self.admin("why", "terms", "--json").stdout)
        self.assertFalse(answer["found"])
        self.assertEqual(answer["miss"], "unknown")
        self.assertIn("a client deleted it", answer["explanation"])

    def test_log_level__shown_and_changed__and_audited(self):
        before = self.admin("log-level").stdout.strip()
        self.assertEqual(self.admin("log-level", "info,core.journal=debug").stdout.strip(),
                         "info,core.journal=debug")
        self.assertIn("LOG_LEVEL", self.admin("doctor").stdout)
        self.assertEqual(json.loads(self.admin("log-level", "--json").stdout),
                         {"level": "info,core.journal=debug"})
        child = self.admin("log-level", "loud", code=1)
        self.assertIn("level", child.stderr)
        self.admin("log-level", before)
        self.assertEqual(len(lines_of(self.both("log-level"))), 2)

    def test_doctor__of_two_nodes__findings_with_evidence(self):
        text = self.both("doctor").stdout
        for node in self.nodes:
            self.assertIn(f"# {node.socket}\n", text)
        self.assertIn("RESULT  CHECK ", text)
        for line in lines_of(self.both("doctor", "--json")):
            for finding in json.loads(line)["findings"]:
                self.assertEqual(list(finding),
                                 ["severity", "code", "message", "evidence", "action"])
            host = json.loads(line)["host"]
            self.assertEqual(list(host), ["checks", "passed", "warned", "failed"])
            results = {row["check"]: row["result"] for row in host["checks"]}
            # A node that runs has a ring and a kernel for it.
            self.assertEqual((results["io_uring"], results["kernel"]), ("pass", "pass"))
            self.assertIn("rdma_device", results)
            self.assertEqual(host["failed"], list(results.values()).count("fail"))
        child = self.both("doctor", code=3, more=("--server", NOBODY))
        self.assertIn(f"{NOBODY}: ", child.stderr)

    def test_audit__verified_and_exported__by_node_and_by_file(self):
        path = os.path.join(self.directory, "data-0", "audit.log")
        self.assertIn(": intact, ", self.admin("audit", "verify").stdout)
        verdict = json.loads(self.admin("audit", "verify", "--json").stdout)
        self.assertTrue(verdict["intact"])
        child = run_memkv("admin", "audit", "verify", "--file", path, "--expect-head",
                          verdict["head"])
        self.assertEqual(child.returncode, 0, child.stdout + child.stderr)
        child = run_memkv("admin", "audit", "verify", "--file", path, "--expect-head", "0" * 64)
        self.assertEqual(child.returncode, 1)
        self.assertIn("no record has the expected hash", child.stdout)
        output = os.path.join(self.directory, "export.json")
        self.admin("audit", "export", "--start", "2020-01-01", "--end", "2999-12-31", "--output",
                   output)
        with open(output, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        self.assertEqual([record["sequence"] for record in records], list(range(len(records))))
        self.assertEqual(records[1]["operation"], "start")
        self.assertEqual(stat.S_IMODE(os.stat(output).st_mode), 0o600)
        csv = self.admin("audit", "export", "--format", "csv").stdout
        self.assertTrue(csv.startswith("sequence,time,operation,entity,outcome,count,"))
        offline = run_memkv("admin", "audit", "export", "--file", path, "--end", "2020-01-01")
        self.assertEqual((offline.returncode, offline.stdout), (0, ""))
        both = self.both("audit", "verify")
        self.assertEqual(len(lines_of(both)), 2)

    def test_diagnostics__bundle__no_payload_and_no_secret(self):
        secret = "only-for-operators-0123456789abcdef"
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="utf-8", opener=lambda path, flags: os.open(
                path, flags, 0o600)) as file:
            file.write(secret + "\n")
        configuration = os.path.join(self.directory, "with-token.yaml")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(f"admin: {{tokens: [{{role: operator, file: {token}}}]}}\n")
        marker = b"a-payload-that-nobody-else-has-" * 40
        marked = os.path.join(self.directory, "marked")
        with open(marked, "wb") as file:
            file.write(marker)
        bundle = os.path.join(self.directory, "node.tar.gz")
        with Node("--dev", os.path.join(self.directory, "secret"), "--config",
                  configuration) as node:
            node.ready()
            self.assertEqual(node.command("put", "k", marked).returncode, 0)
            child = run_memkv("admin", "diagnostics", "--output", bundle, "--server",
                              f"127.0.0.1:{node.port + 1}", "--token-file", token,
                              "--server", NOBODY)
            self.assertEqual(child.returncode, 3, child.stderr)
            self.assertIn(f"{NOBODY}: ", child.stderr)
            again = node.admin("diagnostics", "--output", bundle)
            self.assertEqual(again.returncode, 4)
            self.assertIn("File exists; name a new file", again.stderr)
        self.assertEqual(stat.S_IMODE(os.stat(bundle).st_mode), 0o600)
        with tarfile.open(bundle) as archive:
            files = {member.name: archive.extractfile(member).read() for member in archive}
        manifest = json.loads(files["memkv-diagnostics/manifest.json"])
        self.assertEqual(len(manifest["nodes"]), 2)
        whole, unreachable = manifest["nodes"]
        self.assertEqual(whole["failed"], {})
        self.assertIn("status", unreachable["failed"])
        folder = f"memkv-diagnostics/{whole['folder']}"
        for name in ("status.json", "config.json", "system.json", "metrics.txt", "logs.txt",
                     "latency.json", "slow.json", "hotkeys.json", "clients.json", "audit.json",
                     "doctor.json"):
            self.assertIn(f"{folder}/{name}", files)
        self.assertIn(token, files[f"{folder}/config.json"].decode())
        system = json.loads(files[f"{folder}/system.json"])
        self.assertIn("/proc/meminfo", system["files"])
        for name, content in files.items():
            self.assertNotIn(secret.encode(), content, name)
            self.assertNotIn(marker[:31], content, name)

    def test_viewers__may_see_and_not_do(self):
        token = os.path.join(self.directory, "viewer")
        with open(token, "w", encoding="utf-8", opener=lambda path, flags: os.open(
                path, flags, 0o600)) as file:
            file.write("for-those-who-only-look-0123456789abcdef\n")
        configuration = os.path.join(self.directory, "viewer.yaml")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(f"admin: {{tokens: [{{role: viewer, file: {token}}}]}}\n")
        with Node("--dev", os.path.join(self.directory, "viewed"), "--config",
                  configuration) as node:
            node.ready()
            address = f"127.0.0.1:{node.port + 1}"
            asked = ("--server", address, "--token-file", token)
            for command in (("latency",), ("why", "k"), ("tenants",), ("warnings",), ("doctor",)):
                child = run_memkv("admin", *command, *asked)
                self.assertEqual(child.returncode, 0, child.stderr)
            self.assertIn("NOT_EXAMINED", run_memkv("admin", "doctor", *asked).stdout)
            for command in (("config",), ("audit", "verify"), ("audit", "export"),
                            ("log-level", "debug"), ("tenant-drop", "t")):
                child = run_memkv("admin", *command, *asked)
                self.assertEqual(child.returncode, 1, command)
                self.assertIn("needs the role operator", child.stderr)
            child = run_memkv("admin", "latency", "--server", address)
            self.assertEqual(child.returncode, 1)
            self.assertIn("this needs the role viewer", child.stderr)


class UsageTest(unittest.TestCase):
    """Nobody is asked: the command line is wrong, or only help is wanted."""

    def check(self, *arguments, code=2, error=""):
        child = run_memkv(*arguments, env=environment(MEMKV_SERVERS=NOBODY))
        self.assertEqual(child.returncode, code, (arguments, child.stdout, child.stderr))
        self.assertIn(error, child.stderr)
        return child

    def test_admin__no_command_or_another__said(self):
        self.assertIn("doctor", self.check("admin").stderr)
        self.check("admin", "nonsense", error="there is no command 'nonsense'; see memkv admin")

    def test_admin__help_of_every_command__usage_and_exit_status(self):
        listed = [line.split()[0] for line in self.check("admin", "--help", code=0)
                  .stdout.splitlines() if line.startswith("  ") and not line.startswith("   ")]
        self.assertIn("why", listed)
        for name in listed:
            if name == "-h,":
                continue
            text = self.check("admin", name, "--help", code=0).stdout
            self.assertTrue(text.startswith(f"usage: memkv admin {name}"), text)
            if name not in ("audit", "drive"):
                self.assertIn("Exit status", text)
                self.assertIn("--json", text)
        for name in ("export", "verify"):
            self.assertIn("Exit status", self.check("admin", "audit", name, "-h", code=0).stdout)
        for name in ("list", "show", "offline", "online", "drain", "replace", "erase"):
            text = self.check("admin", "drive", name, "-h", code=0).stdout
            self.assertTrue(text.startswith(f"usage: memkv admin drive {name}"), text)
            self.assertIn("Exit status", text)
        self.check("admin", "drive", "nonsense", error="see memkv admin drive --help")
        self.check("admin", "drive", "offline", error="needs the NAME of a drive")
        self.check("admin", "drive", "replace", "d0", error="the PATH of the new one")

    def test_admin__wrong_arguments__refused_with_where_to_look(self):
        for view in VIEWS:
            self.check("admin", view, "--nonsense", error=f"see memkv admin {view} --help")
            self.check("admin", view, "operand", error=f"{view} takes no 'operand'")
            self.check("admin", view, "--server", error="--server needs HOST:PORT")
            self.check("admin", view, "--server", "no-port", error="no-port")
            self.check("admin", view, "--token-file", "/nowhere", error="/nowhere cannot be read")
        self.check("admin", "latency", "--op", error="--op needs OP behind it")
        self.check("admin", "latency", "--op=", error="--op needs OP behind it")
        self.check("admin", "hotkeys", "--kk", "3", error="hotkeys takes no '--kk'")
        self.check("admin", "why", error="why needs a KEY")
        self.check("admin", "why", "a", "b", error="why takes no 'b'")
        self.check("admin", "why", "k" * 5000, error="too long")
        self.check("admin", "why", "--", "--help", code=3)
        self.check("admin", "log-level", "a", "b", error="log-level takes no 'b'")
        self.check("admin", "diagnostics", error="diagnostics needs --output FILE")
        self.check("admin", "diagnostics", "--output", error="--output needs FILE")
        self.check("admin", "diagnostics", "--output", "/nowhere/x", code=4,
                   error="/nowhere/x cannot be made")
        self.check("admin", "doctor", "x", error="doctor takes no 'x'")
        self.check("admin", "tenant-drop", error="tenant-drop needs the NAME")
        self.check("admin", "tenant-drop", "a/b", error="a name has 1 to 79 characters")
        self.check("admin", "audit", error="usage: memkv admin audit")
        self.check("admin", "audit", "sell", error="audit has export and verify, not 'sell'")
        self.check("admin", "audit", "export", "--start", "yesterday", error="days like 2026-01-31")
        self.check("admin", "audit", "export", "--format", "xml", error="use json or csv")
        self.check("admin", "audit", "export", "--server", "a:1,b:2", error="name one")
        self.check("admin", "audit", "verify", "--expect-head", "0" * 64, error="needs --file")
        self.check("admin", "audit", "verify", "--file", "/nowhere/audit.log", code=4,
                   error="cannot be read")
        self.check("admin", "audit", "verify", "--file", "x", "--expect-head", "xyz",
                   error="64 hexadecimal digits")

    def test_admin__random_arguments__never_a_crash(self):
        words = ["--json", "--server", "", "-", "--", "--op", "%00", "é", "a" * 300, "--server=",
                 "--k=-1", "--file", "--output=", "\n", "--help=1", "-x", "--socket", "=", "--="]
        commands = [*VIEWS, "why", "doctor", "audit", "log-level", "tenant-drop", "drive"]
        for number in range(120):
            chosen = [words[(number * 7 + step * step * 3 + step) % len(words)]
                      for step in range(number % 4 + 1)]
            child = run_memkv("admin", commands[number % len(commands)], *chosen,
                              env=environment(MEMKV_SERVERS=NOBODY))
            self.assertIn(child.returncode, (0, 1, 2, 3, 4), (commands, chosen))
            self.assertTrue(child.stderr or child.stdout)

    def test_config__shown_and_checked(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "memkv.yaml")
            shown = self.check("config", "show", "--dev", directory, code=0).stdout
            with open(path, "w", encoding="utf-8") as file:
                file.write(shown)
            self.assertIn("1 drive", self.check("config", "check", path, code=0).stdout)
            # What is shown can be read back, and is then the same.
            again = self.check("config", "show", "--config", path, code=0).stdout
            self.assertEqual(again, shown)
            origins = self.check("config", "show", "--origin", "--dev", directory, "--listen",
                                 "127.0.0.1:7000", code=0).stdout
            self.assertRegex(origins, r"address: 127\.0\.0\.1:7000 +# --listen\n")
            self.assertRegex(origins, r"media: .*/store\.memkv\n")
            answer = json.loads(self.check("config", "show", "--json", "--dev", directory,
                                           code=0).stdout)
            self.assertEqual(answer["drives"][0]["name"], "d00")
            with open(path, "a", encoding="utf-8") as file:
                file.write("nonsense: 1\n")
            self.check("config", "check", path, code=78, error="unknown key 'nonsense'")
            self.check("config", "check", os.path.join(directory, "none"), code=78)
            self.check("config", "check", code=64, error="takes one FILE")
            self.check("config", "sell", code=64, error="has show and check")
            self.check("config", "show", "--nonsense", code=64)


if __name__ == "__main__":
    unittest.main()
