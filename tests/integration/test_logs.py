# SPDX-License-Identifier: Apache-2.0
"""The log of the real daemon: formats, levels by target, files, and what it does not hold."""

import datetime
import fcntl
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

from faults import FAULTY, Faults
from load import Load, Store
from node import MEMKV, SOURCE, Node, environment, free_port, run_memkv

DEADLINE_S = 60
LEVELS = ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")
TEXT_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (ERROR|WARN|INFO|DEBUG|TRACE) "
                       r"([a-z.]+): .")


def documented_targets():
    with open(os.path.join(SOURCE, "docs", "logs.md"), encoding="utf-8") as file:
        table = file.read().split("| target | tells of |")[1].split("##")[0]
    return set(re.findall(r"^\| `([a-z.]+)` \|", table, re.MULTILINE))


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not in {DEADLINE_S} s: {what}")
        time.sleep(0.01)


class LogTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def config(self, text):
        """The arguments of a node with one small drive and these lines of configuration."""
        with open(self.path("memkv.yaml"), "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\n"
                       "storage: {mode: file, drives: [{media: store, size: 256MiB}]}\n" + text)
        return ["--config", self.path("memkv.yaml")]


class DescriptorsTest(LogTest):
    def test_start__standard_descriptors_closed__no_file_of_ours_takes_their_place(self):
        program = self.path("closed")
        with open(program, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {MEMKV} "$@" <&- >&- 2>&-\n')
        os.chmod(program, 0o755)
        config = self.config(f"log: {{level: debug, file: {self.path('memkv.log')}}}\n")
        with Node(*config, program=program) as node:
            wait_until(lambda: os.path.exists(self.path("memkv.log"))
                       and "ready in " in self.read("memkv.log"), "ready")
            links = [os.readlink(f"/proc/{node.pid}/fd/{number}") for number in range(3)]
            self.assertEqual(links, ["/dev/null"] * 3)
            self.assertEqual(node.terminate(), 0)


class FormatTest(LogTest):
    def test_json__every_line__is_as_documented(self):
        with Node(*self.config("log: {level: trace}\n")) as node:
            node.ready()
            node.command("put", "key", os.path.join(SOURCE, "LICENSE"))
            node.terminate()
            lines = node.errors
        targets = set()
        for line in lines:
            parsed = json.loads(line)
            self.assertEqual(list(parsed), ["timestamp", "level", "target", "message", "fields"])
            self.assertRegex(parsed["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            at = datetime.datetime.fromisoformat(parsed["timestamp"])
            self.assertLess(abs(at.timestamp() - time.time()), 3600)
            self.assertIn(parsed["level"], LEVELS)
            self.assertIsInstance(parsed["message"], str)
            for value in parsed["fields"].values():
                self.assertIsInstance(value, (str, int))
            targets.add(parsed["target"])
        self.assertIn("server.node", targets)
        self.assertLessEqual(targets, documented_targets())

    def test_text__every_line__is_as_documented(self):
        with Node("--dev", self.path("data"), "--log-format", "text") as node:
            node.ready()
            node.signal(signal.SIGHUP)
            node.wait_for("SIGHUP: keys, users and tenants.rules are read again")
            node.terminate()
            lines = node.errors
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, TEXT_LINE)

    def test_sources__targets_in_calls__are_the_documented_list(self):
        """A call with another target would fall under no filter."""
        called = set()
        for folder in ("server", "admin"):
            for name in os.listdir(os.path.join(SOURCE, folder)):
                if not name.endswith(".c"):
                    continue
                with open(os.path.join(SOURCE, folder, name), encoding="utf-8") as file:
                    text = file.read()
                if "mkv_log_write(" not in text:
                    continue
                called.update(re.findall(r'#define TARGET "([^"]+)"', text))
                called.update(re.findall(
                    r'mkv_log_write\([^;]*?MKV_CONFIG_LOG_\w+,\s*"([^"]+)"', text))
        self.assertTrue(called)
        self.assertLessEqual(called, documented_targets())
        with open(os.path.join(SOURCE, "server", "log_filter.c"), encoding="utf-8") as file:
            known = set(re.findall(r'\[MKV_LOG_\w+\] = "([^"]+)"', file.read()))
        self.assertEqual(known, documented_targets())


class LevelTest(LogTest):
    def targets_at(self, filter_text):
        data = tempfile.mkdtemp(dir=self.folder)
        process = subprocess.Popen(
            [MEMKV, "start", "--dev", data, "--log-format", "json",
             "--listen", f"127.0.0.1:{free_port()}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(MEMKV_LOG=filter_text))
        try:
            for line in process.stdout:
                if "ready in" in line:
                    break
            process.terminate()
            _, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
        lines = [json.loads(line) for line in errors.splitlines()]
        return {(line["target"], line["level"]) for line in lines}

    def test_variable__levels_by_target__only_those_are_written(self):
        self.assertEqual(self.targets_at("error"), set())
        seen = self.targets_at("error,core.volume=info")
        self.assertEqual(seen, {("core.volume", "INFO")})
        seen = self.targets_at("server=debug,core=error,fabric=error")
        self.assertIn(("server.node", "DEBUG"), seen)
        self.assertEqual({target for target, _ in seen}, {"server.node"})

    def test_wrong_filter__is_refused_by_name(self):
        child = run_memkv("start", "--dev", self.path("data"),
                          env=environment(MEMKV_LOG="info,core.jornal=debug"))
        self.assertEqual(child.returncode, 78)
        self.assertEqual(child.stderr, "MEMKV_LOG: log.level: 'core.jornal' is no target of the "
                                       "log, did you mean 'core.journal'?\n")


    def test_log_level__put_at_run_time__takes_hold(self):
        with Node("--dev", self.path("data"), "--log-format", "json") as node:
            node.ready()
            self.assertEqual(self.level(node), (200, "info"))
            self.assertEqual(self.level(node, "info,server=debug,core.front=trace"),
                             (200, "info,core.front=trace,server.auth=debug,server.cluster=debug,"
                                   "server.log=debug,server.node=debug,"
                                   "server.record=debug"))
            node.wait_for("the level of the log was changed")
            status, text = self.level(node, "loud")
            self.assertEqual(status, 400)
            self.assertIn("'loud' names no level", text)
            self.assertEqual(self.level(node, "error")[0], 200)
            node.terminate()
            last = json.loads(node.errors[-1])
        self.assertEqual(last["message"][:8], "the leve")

    def test_logs__last_lines__as_they_were_written(self):
        with Node("--dev", self.path("data"), "--log-format", "json") as node:
            node.ready()
            for _ in range(5):
                self.level(node, "debug")
            wait_until(lambda: len([line for line in node.errors if "changed" in line]) == 5,
                       "five lines")
            status, text = node.http("/v1/logs?lines=3")
            self.assertEqual((status, text.splitlines()), (200, node.errors[-3:]))
            status, text = node.http("/v1/logs")
            self.assertEqual((status, text.splitlines()), (200, node.errors))
            self.assertEqual(node.http("/v1/logs?lines=0")[0], 400)
            self.assertEqual(node.http("/v1/logs?lines=1001")[0], 400)

    @staticmethod
    def level(node, new=None):
        """The status, and the level that the answer names or its error."""
        status, text = node.http("/v1/log-level") if new is None else node.http(
            "/v1/log-level", method="PUT", body=json.dumps({"level": new}))
        answer = json.loads(text)
        return status, answer["level"] if status == 200 else answer["error"]


class FileTest(LogTest):
    def test_file__renamed_and_sighup__no_line_is_lost(self):
        with Node(*self.config("log: {file: memkv.log, format: text}\n")) as node:
            node.ready()
            wait_until(lambda: "ready in " in self.read("memkv.log"), "ready in the file")
            for number in range(1, 4):
                os.rename(self.path("memkv.log"), self.path(f"memkv.log.{number}"))
                node.signal(signal.SIGHUP)
                wait_until(lambda: os.path.exists(self.path("memkv.log")) and
                           "SIGHUP: the log's file and" in self.read("memkv.log")
                           or "SIGHUP" in self.read(f"memkv.log.{number}"),
                           "a line behind SIGHUP")
                wait_until(lambda: os.path.exists(self.path("memkv.log")), "a new file")
            self.assertEqual(node.terminate(), 0)
            errors = node.errors
        in_files = "".join(self.read(name) for name in
                           ("memkv.log.1", "memkv.log.2", "memkv.log.3", "memkv.log"))
        self.assertEqual(in_files.splitlines(), errors)
        self.assertIn("stopped after", self.read("memkv.log"))
        self.assertEqual(os.stat(self.path("memkv.log")).st_mode & 0o777 & ~0o640, 0)

    def test_file__copied_and_truncated__goes_on_at_its_beginning(self):
        with Node(*self.config("log: {file: memkv.log, format: text}\n")) as node:
            node.ready()
            wait_until(lambda: "ready in " in self.read("memkv.log"), "ready in the file")
            os.truncate(self.path("memkv.log"), 0)
            node.terminate()
        self.assertRegex(self.read("memkv.log").splitlines()[0], TEXT_LINE)

    def test_file__cannot_be_opened__refused(self):
        child = run_memkv("start", *self.config("log: {file: nowhere/memkv.log, format: text}\n"))
        self.assertEqual(child.returncode, 78)
        self.assertEqual(child.stderr,
                         f"{self.path('memkv.yaml')}:3: log.file {self.path('nowhere/memkv.log')} "
                         "cannot be opened: No such file or directory. Make its directory, and let "
                         "this user write there\n")

    def test_logrotate__its_configuration__is_valid(self):
        try:
            child = subprocess.run(
                ["logrotate", "--debug", "--state", self.path("state"),
                 os.path.join(SOURCE, "deploy", "logrotate", "memkv")],
                capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        except FileNotFoundError:
            self.skipTest("logrotate is not installed")
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertNotIn("error:", child.stderr)


class ShipperTest(unittest.TestCase):
    def test_promtail_and_fluent_bit__are_yaml__and_read_the_documented_members(self):
        try:
            import yaml
        except ImportError:
            self.skipTest("python3-yaml is not installed")
        deploy = os.path.join(SOURCE, "deploy")
        with open(os.path.join(deploy, "promtail", "promtail.yml"), encoding="utf-8") as file:
            promtail = yaml.safe_load(file)
        stages = promtail["scrape_configs"][0]["pipeline_stages"]
        self.assertLessEqual({"timestamp", "level", "target", "message"},
                             set(stages[0]["json"]["expressions"]))
        with open(os.path.join(deploy, "fluent-bit", "fluent-bit.yaml"), encoding="utf-8") as file:
            fluent = yaml.safe_load(file)
        with open(os.path.join(deploy, "fluent-bit", fluent["service"]["parsers_file"]),
                  encoding="utf-8") as file:
            parsers = set(re.findall(r"^    Name +(\S+)$", file.read(), re.MULTILINE))
        self.assertEqual({source["parser"] for source in fluent["pipeline"]["inputs"]}, parsers)


class RequestTest(LogTest):
    def test_payload_and_keys__at_trace__stand_in_no_line(self):
        payload = self.path("payload")
        with open(payload, "w", encoding="ascii") as file:
            file.write("PAYLOAD-THAT-NOBODY-LOGS " * 4000)
        with Node(*self.config("log: {level: trace}\n")) as node:
            node.ready()
            for _ in range(2):
                self.assertEqual(node.command("put", "KEY-THAT-NOBODY-LOGS", payload).returncode, 0)
                got = node.command("get", "KEY-THAT-NOBODY-LOGS", self.path("got"))
                self.assertEqual(got.returncode, 0)
            node.command("exists", "KEY-THAT-NOBODY-LOGS", "other")
            node.command("get", "KEY-THAT-NOBODY-LOGS-EITHER")
            node.command("delete", "KEY-THAT-NOBODY-LOGS")
            node.terminate()
            said = "\n".join(node.errors)
        self.assertIn("L2 store task", said)
        self.assertIn("Retrieved 1 of 1 blocks", said)
        self.assertNotIn("NOBODY", said)

    def test_tokens__right_and_wrong__stand_in_no_line_and_in_no_answer(self):
        secret, wrong = "SECRET-" * 6, "GUESSED-" * 6
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write(secret + "\n")
        os.chmod(self.path("token"), 0o600)
        with Node(*self.config("log: {level: trace}\n"
                               "admin: {tokens: [{role: operator, file: token}]}\n")) as node:
            node.ready()
            for token, status in ((secret, 200), (wrong, 401), (secret[:-1], 401)):
                got, text = node.http_tcp("/v1/logs", headers={"Authorization": f"Bearer {token}"})
                self.assertEqual(got, status)
                self.assertNotIn(secret[:-1], text)
                self.assertNotIn(wrong, text)
            node.terminate()
            said = "\n".join(node.lines + node.errors)
        self.assertNotIn("SECRET", said)
        self.assertNotIn("GUESSED", said)
        self.assertIn("an admin request was refused", said)

    def test_load__volumes__stay_within_their_bounds(self):
        """Fewer than 1 ERROR, 10 WARN and 100 INFO lines a minute, and what the metric counts."""
        store = Store()
        self.addCleanup(store.close)
        node = store.start()
        before = len(node.errors)
        begin = time.monotonic()
        load = Load(store, "--threads", "4", "--keys", "32")
        load.begin("--seconds", "12")
        load.end()
        minutes = (time.monotonic() - begin) / 60
        lines = node.errors[before:]
        counts = {level: sum(f"Z {level} " in line for line in lines) for level in LEVELS}
        self.assertEqual(counts["ERROR"], 0, lines)
        self.assertLess(counts["WARN"], 10 * minutes, lines)
        self.assertLess(counts["INFO"], 100 * minutes, lines)
        self.assertTrue(any("core.front: Stored " in line for line in lines), lines)
        self.assertTrue(any("core.front: Retrieved " in line for line in lines), lines)
        for words in ("core.front: Stored ", "core.front: Retrieved "):
            told = [line for line in lines if words in line]
            self.assertLessEqual(len(told), 60 * minutes / 5 + 1, told)
        self.assertEqual(node.terminate(), 0)
        totals = [re.search(r"blocks=(\d+)", line) for line in node.errors
                  if "core.front: Stored " in line]
        self.assertGreater(sum(int(total.group(1)) for total in totals), 0)
        store.take()

    def test_metric__messages_by_level__is_the_lines(self):
        with Node("--dev", self.path("data"), "--log-format", "json") as node:
            node.ready()

            def told():
                _, text = node.http("/v1/metrics")
                return {level: int(float(value)) for level, value in re.findall(
                    r'^memkv_log_messages_total\{level="(\w+)"\} (\S+)$', text, re.MULTILINE)}

            def written():
                counts = dict.fromkeys(map(str.lower, LEVELS), 0)
                for line in node.errors:
                    counts[json.loads(line)["level"].lower()] += 1
                return counts
            wait_until(lambda: told() == written(), "the metric and the lines are the same")
            self.assertGreater(told()["info"], 0)


class FaultTest(LogTest):
    def test_drive_fails__puts_go_on__a_few_lines_say_so(self):
        faults = Faults(self.path("faults"))
        self.addCleanup(faults.close)
        config = self.config("log: {format: text}\n")
        with open(self.path("memkv.yaml"), encoding="utf-8") as file:
            text = file.read().replace("{media: store, size: 256MiB}",
                                       "{media: d0, size: 64MiB}, {media: d1, size: 64MiB}")
        with open(self.path("memkv.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        with Node(*config, program=FAULTY,
                  env=environment(MKV_FAULTY_DRIVES=self.path("faults"))) as node:
            node.ready()
            before = len(node.errors)
            faults.fail(0, "read", "write", "flush", "trim")
            for number in range(40):
                node.command("put", f"key-{number}", os.path.join(SOURCE, "LICENSE"))
            node.wait_for("is taken out of service")
            node.terminate()
            lines = node.errors[before:]
        counts = {level: sum(f"Z {level} " in line for line in lines) for level in LEVELS}
        self.assertIn(counts["ERROR"], (1, 2), lines)
        self.assertLess(counts["WARN"], 10, lines)


class StuckReaderTest(LogTest):
    def test_reader_of_standard_error_stops__requests_are_served(self):
        """More is logged than the pipe and memory hold, and nobody reads it."""
        port = free_port()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        with open(self.path("out"), "w", encoding="utf-8") as out:
            process = subprocess.Popen(
                [MEMKV, "start", *self.config("log: {level: trace}\n"), "--listen",
                 f"127.0.0.1:{port}"], stdout=out, stderr=writer, env=environment())
        os.close(writer)
        try:
            def put(number):
                return run_memkv("put", "--server", f"127.0.0.1:{port}", f"key-{number}",
                                 os.path.join(SOURCE, "LICENSE")).returncode == 0
            wait_until(lambda: put(0), "the first put")
            for number in range(60):
                self.assertTrue(put(number))
            process.terminate()
            # It ends although its last lines have no reader.
            process.wait(DEADLINE_S)
            self.assertEqual(process.returncode, 0)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    unittest.main(verbosity=2)
