#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`memkv drive` on stores of real daemons: what a killed node left is verified, damaged,
repaired and served; blocks go from one store to another and are the same; what a daemon
has is refused."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from node import Node, run_memkv

UNIT = 4096
# Below and above what is inline, several classes, and a value in three segments.
LENGTHS = [0, 1, 2048, 2049, 40_000, 300_000]
BLOCK = 1 << 20
SEGMENTS = 3
LARGE = SEGMENTS * BLOCK
TENANT = "batch"


def payload(number, length):
    block = bytes((number * 31 + index * 7) % 251 for index in range(1009))
    return (block * (length // len(block) + 1))[:length]


class DriveToolTest(unittest.TestCase):
    """One store for all tests, left by a node that was killed; each works on a copy."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="memkv-drive-", dir=os.environ.get("TMPDIR"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.store = os.path.join(cls.folder, "store.memkv")
        cls.keys = {}
        config = cls.configure("node", [cls.store], "192MiB")
        for killed in (False, True):
            with Node("--config", config, cwd=cls.folder) as node:
                node.ready()
                cls.fill(node, "clean" if not killed else "killed")
                if not killed:
                    cls.put(node, "large", payload(77, LARGE))
                    assert node.terminate() == 0
                else:
                    cls.put(node, "gone", b"x" * 5000)
                    assert node.command("delete", "gone").returncode == 0
                    del cls.keys[("", "gone")]
                    node.kill()

    @classmethod
    def configure(cls, name, paths, size=None):
        path = os.path.join(cls.folder, f"{name}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("memory: {max_size: 256MiB}\nlog: {format: text}\n"
                       f"storage:\n  mode: file\n  block_bytes_max: {BLOCK}\n  drives:\n")
            for index, media in enumerate(paths):
                file.write(f"    - media: {media}\n      name: d{index:02}\n")
                if size:
                    file.write(f"      size: {size}\n")
        return path

    @classmethod
    def put(cls, node, key, value, tenant=""):
        source = os.path.join(cls.folder, "value")
        with open(source, "wb") as file:
            file.write(value)
        more = ["--tenant", tenant] if tenant else []
        child = node.command("put", key, source, *more)
        assert child.returncode == 0, child.stderr
        cls.keys[(tenant, key)] = value

    @classmethod
    def fill(cls, node, prefix):
        for number, length in enumerate(LENGTHS):
            cls.put(node, f"{prefix}-{number}", payload(number, length))
        cls.put(node, f"{prefix}-of-tenant", payload(9, 5000), TENANT)

    def path(self, name):
        return os.path.join(self.folder, f"{self.id().rsplit('.', 1)[-1][:40]}-{name}")

    def copy(self):
        target = self.path("copy")
        subprocess.run(["cp", "--sparse=always", self.store, target], check=True)
        self.addCleanup(os.unlink, target)
        return target

    def drive(self, *arguments, code=0, **options):
        child = run_memkv("drive", *arguments, **options)
        self.assertEqual(child.returncode, code, child.stdout + child.stderr)
        return child

    def asked(self, *arguments, code=0):
        return json.loads(self.drive(*arguments, "--json", code=code).stdout)

    def flip(self, path, unit, offset):
        with open(path, "r+b") as file:
            file.seek(unit * UNIT + offset)
            byte = file.read(1)[0]
            file.seek(unit * UNIT + offset)
            file.write(bytes([byte ^ 0x20]))

    def regions(self, path):
        found = self.asked("inspect", path)
        return found, {region["name"]: region["unit"] for region in found["geometry"]["regions"]}

    def expect_served(self, paths, lost=()):
        """A node on these drives has every key with its value, but those that are lost."""
        with Node("--config", self.configure(os.path.basename(paths[0]), paths),
                  cwd=self.folder) as node:
            node.ready()
            for (tenant, key), value in self.keys.items():
                target = self.path("got")
                more = ["--tenant", tenant] if tenant else []
                child = node.command("get", key, target, *more)
                if key in lost:
                    self.assertEqual(child.returncode, 1, key)
                    continue
                self.assertEqual(child.returncode, 0, (key, child.stderr))
                with open(target, "rb") as file:
                    self.assertEqual(file.read(), value, key)
                os.unlink(target)
            self.assertEqual(node.command("get", "gone", self.path("got")).returncode, 1)

    # ---- verify and repair ----------------------------------------------------------------------

    def test_verify__store_of_a_killed_node__sound_and_not_written(self):
        path = self.copy()
        os.chmod(path, 0o400)
        found = self.asked("verify", path)
        self.assertTrue(found["sound"])
        self.assertEqual(found["tenants"], 2)
        # One block each, and of the large value a manifest and three segments.
        self.assertEqual(found["blocks"], len(self.keys) + SEGMENTS)
        self.assertGreater(found["journal_records"], 5)
        self.assertEqual(subprocess.run(["cmp", path, self.store], check=False).returncode, 0)

    def test_damage__of_every_region__named_and_repaired(self):
        path = self.copy()
        found, regions = self.regions(path)
        side = next(side for side in found["checkpoints"] if side["state"] == "current")
        checkpoint = regions[f"checkpoint {side['side']}"]
        tenant_units = found["geometry"]["tenants_max"] // 42
        journal = found["journal"]["first"] % found["geometry"]["ring_blocks"]
        with open(path, "rb") as file:
            file.seek((regions["directory"] + found["directory"]["commit"] % 2) * UNIT + 40)
            root = struct.unpack("<I", file.read(4))[0]
        rounds = [
            # What has a twin, or can be made anew: nothing is lost.
            [("superblock_copy", regions["superblock 0"], 700),
             ("superblock_copy", regions["superblock 3"], 700),
             ("journal_copy", regions["journal A"] + journal, 140),
             ("journal_copy", regions["journal B"] + journal + 1, 140),
             ("directory_root", regions["directory"] + (found["directory"]["commit"] + 1) % 2, 60),
             ("directory_node", regions["directory"] + root, 4000)],
            # The first checkpoint, before which there is none.
            [("checkpoint_head", checkpoint, 100),
             ("checkpoint_tenants", checkpoint + 1, 100),
             ("checkpoint_page", checkpoint + 1 + tenant_units, 100)],
        ]
        for damages, empty in zip(rounds, (False, True)):
            for _, unit, offset in damages:
                self.flip(path, unit, offset)
            faults = self.asked("verify", path, code=1)["faults"]
            named = [(fault["kind"], fault["unit"]) for fault in faults]
            for kind, unit, offset in damages:
                self.assertIn((kind, unit), named)
            target = self.path("repaired")
            repaired = self.asked("repair", "--to", target, path)
            for _, unit, offset in damages:
                self.flip(path, unit, offset)
            self.assertTrue(repaired["sound"])
            self.assertEqual(repaired["came_up_empty"], empty)
            self.assertEqual(repaired["blocks"], 0 if empty else len(self.keys) + SEGMENTS)
            self.assertTrue(self.asked("verify", target)["sound"])
            os.unlink(target)
        self.assertTrue(self.asked("verify", path)["sound"])

    def test_repair__in_place__the_named_block_is_lost_and_all_others_served(self):
        path = self.copy()
        with open(path, "rb") as file:
            image = file.read()
        _, regions = self.regions(path)
        # The key stands at byte 128 of its block's header.
        at = image.index(b"killed-5\0", regions["extents"] * UNIT) - 128
        self.assertEqual(at % UNIT, 0)
        self.flip(path, at // UNIT + 3, 11)
        self.flip(path, regions["superblock 1"], 700)
        self.flip(path, regions["directory"] + 2, 3000)
        child = self.drive("verify", path, code=1)
        self.assertIn("slot_payload at unit", child.stdout)
        self.assertIn("its key: killed-5", child.stdout)
        child = self.drive("repair", "--in-place", path)
        self.assertIn("1 lost; sound now", child.stdout)
        self.assertIn("mended: 1 copies of the superblock", child.stdout)
        self.expect_served([path], lost=["killed-5"])
        self.assertIn("sound", self.drive("verify", path).stdout)

    def test_repair__without_saying_where__refused(self):
        child = self.drive("repair", self.store, code=2)
        self.assertIn("--to FILE", child.stderr)

    # ---- who has it -----------------------------------------------------------------------------

    def test_commands__on_a_drive_of_a_node__refused_with_its_pid(self):
        path = self.copy()
        with Node("--config", self.configure("busy", [path]), cwd=self.folder) as node:
            node.ready()
            for command in (["verify", path], ["inspect", path], ["repair", "--in-place", path],
                            ["wipe", "--yes", path], ["export", path, "--to", self.path("x")],
                            ["repair", "--to", self.path("y"), path]):
                child = self.drive(*command, code=4)
                self.assertIn("in use", child.stderr)
                self.assertIn(f"pid {node.pid}", child.stderr)
            row = self.asked("list", path)["drives"][0]
            self.assertEqual(row["state"], "in use")
            self.assertEqual(row["members"], 1)
            self.assertFalse(os.path.exists(self.path("x")))
            self.assertFalse(os.path.exists(self.path("y")))

    # ---- wipe, export, import -------------------------------------------------------------------

    def test_wipe__asks_for_the_uuid_of_the_store(self):
        path = self.copy()
        uuid = self.asked("list", path)["drives"][0]["store_uuid"]
        for answer in ("", "yes\n", uuid.replace(uuid[0], "f" if uuid[0] != "f" else "0") + "\n"):
            child = self.drive("wipe", path, code=2, input=answer)
            self.assertIn("nothing was changed", child.stderr)
        self.assertTrue(self.asked("verify", path)["sound"])
        child = self.drive("wipe", path, input=uuid + "\n")
        self.assertIn("is blank now", child.stdout)
        self.assertEqual(self.asked("list", path)["drives"][0]["state"], "blank")
        self.assertIn("blank already", self.drive("wipe", path).stdout)

    def test_wipe__of_what_is_no_store__only_by_force(self):
        path = self.path("other")
        with open(path, "wb") as file:
            file.write(b"something else\n" * 200_000)
        self.addCleanup(os.unlink, path)
        self.assertIn("no memkv store", self.drive("wipe", "--yes", path, code=4).stderr)
        self.assertIn("--yes", self.drive("wipe", "--force", path, code=2).stderr)
        self.assertIn("blank now", self.drive("wipe", "--force", "--yes", path).stdout)

    def test_export_wipe_import__every_value_is_the_same(self):
        path = self.copy()
        stream = self.path("stream")
        self.addCleanup(os.unlink, stream)
        out = self.asked("export", path, "--to", stream)
        self.assertEqual(out["blocks"], len(self.keys) + SEGMENTS)
        self.drive("wipe", "--yes", path)
        back = self.asked("import", stream, "--to", path)
        self.assertEqual((back["blocks"], back["formatted"]), (out["blocks"], 1))
        self.assertEqual(back["bytes"], out["bytes"])
        self.assertTrue(self.asked("verify", path)["sound"])
        again = self.asked("import", stream, "--to", path)
        self.assertEqual((again["blocks"], again["there"]), (0, out["blocks"]))
        self.expect_served([path])

    def test_import__to_three_drives_of_a_configuration__served_by_a_node(self):
        stream = self.path("stream")
        self.addCleanup(os.unlink, stream)
        self.drive("export", self.store, "--to", stream)
        paths = [self.path(f"d{index}") for index in range(3)]
        for path in paths:
            with open(path, "wb") as file:
                file.truncate(160 << 20)
            self.addCleanup(os.unlink, path)
        config = self.configure("three", paths)
        self.assertEqual(self.asked("import", stream, "--config", config)["formatted"], 3)
        rows = self.asked("list", "--config", config)["drives"]
        self.assertEqual([row["state"] for row in rows], ["clean"] * 3)
        self.assertTrue(all(row["blocks"] > 0 and row["members"] == 3 for row in rows))
        child = self.drive("import", stream, "--to", paths[0], code=4)
        self.assertIn("2 of the store's 3 drives are missing", child.stderr)
        self.expect_served(paths)

    def test_import__torn_stream__refused_by_name(self):
        stream = self.path("stream")
        self.addCleanup(os.unlink, stream)
        self.drive("export", self.store, "--to", stream)
        os.truncate(stream, os.path.getsize(stream) - 1)
        path = self.copy()
        child = self.drive("import", stream, "--to", path, code=4)
        self.assertIn(f"{stream} is torn", child.stderr)

    def test_pipe__that_nobody_writes_to__refused_at_once(self):
        pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(pipe)
        self.addCleanup(os.unlink, pipe)
        answer = run_memkv("drive", "import", pipe, "--to", self.store)
        self.assertEqual((answer.returncode, "is no file" in answer.stderr), (4, True),
                         answer.stderr)
        answer = run_memkv("drive", "list", pipe)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn("neither a file nor a block device", answer.stdout + answer.stderr)

    def test_device__that_can_only_be_read__verified_and_exported(self):
        path = self.copy()
        made = subprocess.run(["losetup", "--find", "--show", path], capture_output=True,
                              text=True, check=False)
        if made.returncode != 0:
            self.skipTest(f"no loop device can be made here: {made.stderr.strip()}")
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", device], check=False)
        stream = self.path("stream")
        self.addCleanup(os.unlink, stream)
        subprocess.run(["blockdev", "--setro", device], check=True)
        self.assertTrue(self.asked("verify", device)["sound"])
        # The file behind it is not locked by the kernel, but somebody has it through the device.
        for command in (["wipe", "--yes", "--force", path], ["repair", "--in-place", path]):
            refused = run_memkv("drive", *command)
            self.assertEqual(refused.returncode, 4, refused.stderr)
            self.assertIn(f"is attached to {os.path.basename(device)}", refused.stderr)
        out = self.asked("export", device, "--to", stream)
        subprocess.run(["blockdev", "--setrw", device], check=True)
        self.assertEqual(self.asked("inspect", device)["medium"]["type"], "device")
        self.drive("wipe", "--yes", device)
        self.assertEqual(self.asked("list", device)["drives"][0]["state"], "blank")
        self.assertEqual(self.asked("import", stream, "--to", device)["blocks"], out["blocks"])
        self.assertTrue(self.asked("verify", device)["sound"])

    # ---- the rest -------------------------------------------------------------------------------

    def test_help__of_each_command__names_it(self):
        whole = self.drive("--help").stdout
        for name in ("list", "inspect", "verify", "repair", "wipe", "export", "import"):
            self.assertIn(f"  {name} ", whole)
            self.assertIn(f"usage: memkv drive {name}", self.drive(name, "--help").stdout)
        child = self.drive("verfy", "x", code=2)
        self.assertIn("did you mean 'verify'", child.stderr)
        self.assertIn("takes no '--to'", self.drive("verify", "--to", "x", "y", code=2).stderr)

    def test_inspect__in_words__says_what_a_start_would_find(self):
        text = self.drive("inspect", self.store).stdout
        self.assertIn("a start       serves", text)
        self.assertIn("tenant batch", text)
        self.assertIn("not closed clean", text)
        self.assertIn("health        not known", text)


if __name__ == "__main__":
    unittest.main()
