#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each page of docs/clients/ by pasting it: its blocks of sh, python and js are run against a node,
on the node's port instead of 9902."""

import glob
import os
import re
import subprocess
import tempfile
import unittest

import npm
from node import BUILD, SOURCE
from resp import RespNode, need

PAGES = os.path.join(SOURCE, "docs/clients")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Blocks that show something: a command that goes on, a file of another program.
SHOWN = {"console", "yaml", "json"}
BLOCK_S_MAX = 120


def blocks_of(page):
    with open(os.path.join(PAGES, page), encoding="utf-8") as file:
        return BLOCK.findall(file.read())


class ClientPagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.node = RespNode("--dev", os.path.join(cls.folder.name, "data"))
        cls.node.ready()

    @classmethod
    def tearDownClass(cls):
        cls.node.kill()
        cls.folder.cleanup()

    def paste(self, page):
        environment = dict(os.environ)
        programs = {"sh": ["sh", "-eu", "-c"], "python": ["/usr/bin/python3", "-c"],
                    "js": ["node", "-e"]}
        count = 0
        for language, text in blocks_of(page):
            if language in SHOWN:
                continue
            if "redis-cli" in text or "redis-benchmark" in text:
                need("redis-cli", "redis-tools")
            if "import redis" in text:
                self.need_redis_py()
            if language == "js":
                modules = os.path.join(BUILD, "redis_client")
                npm.install(os.path.join(SOURCE, "tests/integration/redis_client"), modules,
                            "the redis client of npm")
                environment["NODE_PATH"] = os.path.join(modules, "node_modules")
            self.assertIn("9902", text, "a block names no port")
            child = subprocess.run(
                [*programs[language], text.replace("9902", str(self.node.resp_port))],
                cwd=self.folder.name, env=environment, capture_output=True, text=True,
                check=False, timeout=BLOCK_S_MAX)
            self.assertEqual(child.returncode, 0, f"{text}\n{child.stdout}\n{child.stderr}")
            for line in child.stdout.splitlines():
                self.assertNotRegex(line, r"^(\(error\) )?(ERR|NOPERM|WRONG)", text)
            count += 1
        self.assertGreater(count, 0)

    def need_redis_py(self):
        child = subprocess.run(["/usr/bin/python3", "-c", "import redis"], capture_output=True,
                               check=False)
        if child.returncode != 0:
            self.skipTest("redis-py is not installed; apt-get install python3-redis")

    def test_pages__all_of_them__are_tested_here(self):
        self.assertEqual(sorted(map(os.path.basename, glob.glob(os.path.join(PAGES, "*.md")))),
                         ["lmcache-redis.md", "lmcache-resp.md", "node-redis.md", "redis-cli.md",
                          "redis-py.md"])

    def test_page__redis_cli__works_as_it_is_pasted(self):
        self.paste("redis-cli.md")

    def test_page__redis_py__works_as_it_is_pasted(self):
        self.paste("redis-py.md")

    def test_page__node_redis__works_as_it_is_pasted(self):
        self.paste("node-redis.md")

    def test_page__lmcache_resp__works_as_it_is_pasted(self):
        self.paste("lmcache-resp.md")

    def test_page__lmcache_redis__works_as_it_is_pasted(self):
        self.paste("lmcache-redis.md")


if __name__ == "__main__":
    unittest.main()
