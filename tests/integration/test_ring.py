#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients with different lists of servers: the node says so while they are connected, and names
one of each. Those with the same list in another order, and those with one server, differ in
nothing."""

import os
import sys
import tempfile
import time
import unittest

from node import BUILD, SOURCE, Node, free_port

os.environ["MEMKV_LIBRARY"] = os.path.join(BUILD, "libmemkv.so")
sys.path.insert(0, os.path.join(SOURCE, "client/python"))
import memkv  # noqa: E402

CHANGE_S_MAX = 60
CODE = "RING_MISMATCH"


def warning_of(node):
    """The warning, or None."""
    found = [warning for warning in node.status()["warnings"] if warning["code"] == CODE]
    return found[0] if found else None


def wait_for(what, look):
    end = time.monotonic() + CHANGE_S_MAX
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not seen in {CHANGE_S_MAX} s: {what}")


class Ring(unittest.TestCase):
    def test_ring__two_lists_of_servers__are_a_mismatch_while_both_are_connected(self):
        with tempfile.TemporaryDirectory() as folder, \
                Node("--dev", os.path.join(folder, "data")) as node:
            node.ready()
            gone = f"127.0.0.1:{free_port()}"
            first = memkv.Client([node.address, gone], client_name="engine-a")
            second = memkv.Client([gone, node.address], client_name="engine-b")
            alone = memkv.Client(node.address, client_name="engine-c")
            ring = node.status()["ring"]
            self.assertEqual(ring["views"], 1)
            self.assertEqual(ring["lists"][0]["connections"], 2)
            self.assertRegex(ring["lists"][0]["hash"], "^[0-9a-f]{16}$")
            self.assertIsNone(warning_of(node))

            third = memkv.Client([f"{node.address}*2", gone], client_name="engine-d")
            self.assertEqual(node.status()["ring"]["views"], 2)
            warning = wait_for("the mismatch", lambda: warning_of(node))
            self.assertIn("2 different lists", warning["message"])
            self.assertRegex(warning["message"], "engine-[ab] at 127.0.0.1:[0-9]+ and 1 more")
            self.assertRegex(warning["message"], "engine-d at 127.0.0.1:[0-9]+ and 0 more")
            self.assertIn("MEMKV_SERVERS", warning["action"])
            metrics = node.http("/v1/metrics")[1]
            text = metrics if isinstance(metrics, str) else metrics.decode()
            self.assertIn(f'memkv_warning{{code="{CODE}"}} 1', text)
            self.assertIn("ring views 2", node.admin("status").stdout)

            third.close()
            wait_for("the end of the mismatch", lambda: warning_of(node) is None)
            for client in (first, second, alone):
                client.close()
            wait_for("no list", lambda: node.status()["ring"] == {"views": 0, "lists": []})

    def test_ring__list_changes_in_a_living_client__is_told_anew(self):
        with tempfile.TemporaryDirectory() as folder, \
                Node("--dev", os.path.join(folder, "data")) as node:
            node.ready()
            path = os.path.join(folder, "servers")
            gone = f"127.0.0.1:{free_port()}"

            def write(*lines):
                with open(path + ".new", "w", encoding="utf-8") as file:
                    file.write("".join(line + "\n" for line in lines))
                os.replace(path + ".new", path)

            write(node.address, gone)
            moving = memkv.Client(discovery="file:" + path)
            fixed = memkv.Client([node.address, f"{gone}*3"])
            self.assertEqual(node.status()["ring"]["views"], 2)

            def look():
                moving.exists(b"key")
                return node.status()["ring"]["views"] == 1

            write(f"{gone}*3", node.address)
            wait_for("the new list", look)
            self.assertEqual(node.status()["ring"]["lists"][0]["connections"], 2)
            moving.close()
            fixed.close()


if __name__ == "__main__":
    unittest.main()
