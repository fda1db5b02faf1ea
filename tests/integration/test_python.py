# SPDX-License-Identifier: Apache-2.0
"""The Python module of client/python on libmemkv, against a real daemon, with Debian's NumPy: C
gets the addresses of the caller's own buffers, its structs are those of client/memkv.h, and
docs/python.md and examples/prefix_cache.py do what they say."""

import array
import ctypes
import gc
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock

from node import BUILD, SOURCE, Node, environment, free_port

try:
    import numpy
except ImportError:
    numpy = None

MODULE = os.path.join(SOURCE, "client/python")
LIBRARY = os.path.join(BUILD, "libmemkv.so")
PYTHON = "/usr/bin/python3"
PROGRAM_S_MAX = 120
TIMEOUT_S = 60

os.environ["MEMKV_LIBRARY"] = LIBRARY
sys.path.insert(0, MODULE)
import memkv  # noqa: E402
from memkv import _library, _status  # noqa: E402
from memkv._buffer import Rooms  # noqa: E402

STRUCTS = {"memkv_options": _library.Options, "memkv_error": _library.Error,
           "memkv_server": _library.Server, "memkv_key": _library.Key,
           "memkv_item": _library.Item, "memkv_completion": _library.Completion}
ENUMS = {"status": _status.Status, "miss": _status.Miss, "tier": _status.Tier,
         "think_exit": _status.ThinkExit, "op": _status.Op,
         "session_action": _status.SessionAction}
# What the header puts before a constant's name, where that is not its enum's.
PREFIXES = {"status": "", "think_exit": "THINK_", "session_action": "SESSION_"}


def python_environment(**extra):
    return environment(**{"MEMKV_LIBRARY": LIBRARY, "PYTHONPATH": MODULE,
                          "PYTHONDONTWRITEBYTECODE": "1", **extra})


def run_python(*arguments, **variables):
    return subprocess.run([PYTHON, *arguments], env=python_environment(**variables),
                          capture_output=True, text=True, check=False, timeout=PROGRAM_S_MAX)


def need_numpy():
    if numpy is None:
        raise unittest.SkipTest("NumPy is not installed; apt-get install python3-numpy")


class Recorder:
    """The library, with what was in the items of each batch when C got them."""

    def __init__(self, library, during=None):
        self._library = library
        self._during = during
        self.items = []

    def __getattr__(self, name):
        return getattr(self._library, name)

    def memkv_batch(self, client, items, count, error):
        self.items += [{name: getattr(item, name) for name, _ in item._fields_} for item in items]
        if self._during is not None:
            self._during()
        return self._library.memkv_batch(client, items, count, error)


class HeaderTest(unittest.TestCase):
    """The module against client/memkv.h, as a C compiler reads it."""

    def compile_and_run(self, lines):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "probe.c")
            with open(source, "w", encoding="utf-8") as file:
                file.write("#include <memkv.h>\n#include <stddef.h>\n#include <stdio.h>\n"
                           "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
            program = os.path.join(folder, "probe")
            subprocess.run(["cc", "-I", os.path.join(SOURCE, "client"), "-o", program, source],
                           check=True, timeout=PROGRAM_S_MAX)
            return subprocess.run([program], capture_output=True, text=True, check=True,
                                  timeout=PROGRAM_S_MAX).stdout.splitlines()

    def test_structs__as_a_compiler_lays_them_out__equal_ours(self):
        lines, expected = [], []
        for name, struct in STRUCTS.items():
            lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
            expected.append(f"{name} {ctypes.sizeof(struct)}")
            for field, _ in struct._fields_:
                lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof(struct {name}, '
                             f"{field}), sizeof(((struct {name} *)0)->{field}));")
                ours = getattr(struct, field)
                expected.append(f"{name}.{field} {ours.offset} {ours.size}")
        self.assertEqual(self.compile_and_run(lines), expected)

    def test_structs__fields_of_the_header__are_all_ours_in_order(self):
        with open(os.path.join(SOURCE, "client/memkv.h"), encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        for name, struct in STRUCTS.items():
            body = re.search(rf"struct {name} \{{(.*?)\}};", text, re.DOTALL).group(1)
            fields = re.findall(r"(\w+)(?:\[\w+\])?;", body)
            self.assertEqual(fields, [field for field, _ in struct._fields_], name)

    def test_enums__constants_of_the_header__are_all_ours(self):
        with open(os.path.join(SOURCE, "client/memkv.h"), encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        for name, numbers in ENUMS.items():
            body = re.search(rf"enum memkv_{name} \{{(.*?)\}};", text, re.DOTALL).group(1)
            theirs = {key: int(value) for key, value in re.findall(r"(MEMKV_\w+) = (\d+)", body)}
            prefix = "MEMKV_" + PREFIXES.get(name, name.upper() + "_")
            self.assertEqual(theirs, {prefix + one.name: one.value for one in numbers}, name)

    def test_constants__as_a_compiler_has_them__equal_ours(self):
        names = {"MEMKV_REPLACE": _status.REPLACE, "MEMKV_RELAXED": _status.RELAXED,
                 "MEMKV_ERROR_TEXT_BYTES": _library.ERROR_TEXT_BYTES}
        lines = [f'printf("%u\\n", (unsigned){name});' for name in names]
        self.assertEqual(self.compile_and_run(lines), [str(value) for value in names.values()])

    def test_statuses__but_ok_and_callback__each_have_an_exception(self):
        self.assertEqual(set(_status.ERRORS),
                         set(memkv.Status) - {memkv.Status.OK, memkv.Status.CALLBACK})
        for status, error in _status.ERRORS.items():
            self.assertIn(error.__name__, memkv.__all__)
            self.assertEqual(str(_status.error_of(status, "a text")), "a text")
            self.assertEqual(_status.error_of(status, "a text").status, status)


class LibraryTest(unittest.TestCase):
    """How the library is found."""

    def test_library__named_one_that_is_not_there__import_error_names_it(self):
        child = run_python("-c", "import memkv; memkv.Client('127.0.0.1:1')",
                           MEMKV_LIBRARY="/nowhere/libmemkv.so")
        self.assertIn("ImportError: no libmemkv", child.stderr)
        self.assertIn("/nowhere/libmemkv.so", child.stderr)
        self.assertIn("MEMKV_LIBRARY", child.stderr)

    def test_library__beside_the_module__is_taken(self):
        with tempfile.TemporaryDirectory() as folder:
            package = os.path.join(folder, "memkv")
            os.mkdir(package)
            for name in os.listdir(os.path.join(MODULE, "memkv")):
                if name.endswith(".py"):
                    os.symlink(os.path.join(MODULE, "memkv", name), os.path.join(package, name))
            os.symlink(LIBRARY, os.path.join(package, "libmemkv.so"))
            variables = environment(PYTHONPATH=folder, PYTHONDONTWRITEBYTECODE="1")
            child = subprocess.run(
                [PYTHON, "-c", "import memkv._library as l; print(l.load()._name)"],
                env=variables, capture_output=True, text=True, check=True, timeout=PROGRAM_S_MAX)
            self.assertEqual(child.stdout.strip(), os.path.join(package, "libmemkv.so"))

    def test_module__when_installed__is_whole_and_needs_no_numpy(self):
        """By what meson would install, which is said in its own list."""
        child = subprocess.run(["meson", "introspect", BUILD, "--installed"], capture_output=True,
                               text=True, check=False, timeout=PROGRAM_S_MAX)
        if child.returncode != 0:
            self.skipTest("the build folder is not of this meson")
        for name in os.listdir(os.path.join(MODULE, "memkv")):
            if name.endswith(".py"):
                self.assertIn(f"client/python/memkv/{name}", child.stdout)
        child = run_python("-S", "-c", "import memkv, sys; assert 'numpy' not in sys.modules")
        self.assertEqual(child.returncode, 0, child.stderr)


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.node = Node("--dev", os.path.join(cls.folder.name, "data"))
        cls.node.ready()

    @classmethod
    def tearDownClass(cls):
        cls.node.kill()
        cls.folder.cleanup()

    def setUp(self):
        self.client = memkv.Client(self.node.address, timeout=TIMEOUT_S)
        self.addCleanup(self.client.close)

    # ---- values ---------------------------------------------------------------------------------

    def test_put__every_kind_of_buffer__is_what_get_returns(self):
        kinds = {"bytes": b"b\0ytes", "bytearray": bytearray(b"array"),
                 "memoryview": memoryview(b"0123456789")[2:7],
                 "array": array.array("I", range(100)), "ctypes": (ctypes.c_uint16 * 5)(1, 2, 3),
                 "empty": b"", "large": os.urandom(3 << 20)}
        for key, value in kinds.items():
            self.client.put(key, value)
            self.assertEqual(self.client.get(key), memoryview(value).tobytes(), key)
        self.assertIsInstance(self.client.get("bytes"), bytearray)

    def test_put__more_than_one_block__comes_back_whole(self):
        value = bytes(range(256)) * (((self.client.limits().block_bytes_max) >> 8) + 3)
        self.client.put("segments", value)
        self.assertEqual(self.client.get("segments", size=len(value)), value)

    def test_keys__of_every_kind__are_their_bytes(self):
        self.client.put("schlüssel", b"1")
        for key in ("schlüssel".encode(), bytearray("schlüssel".encode()),
                    memoryview("schlüssel".encode())):
            self.assertEqual(self.client.get(key), b"1")
        self.client.put(b"nul\0in\xff", b"2")
        self.assertEqual(self.client.get(b"nul\0in\xff"), b"2")
        self.assertIsNone(self.client.get(b"nul"))
        for key in (None, 5):
            with self.assertRaisesRegex(TypeError, "^key: "):
                self.client.get(key)
        for key in ("", "k" * 1025):
            with self.assertRaisesRegex(memkv.InvalidError, "a key has 1 to 1024"):
                self.client.get(key)

    def test_get__missing_key__is_none(self):
        self.assertIsNone(self.client.get("missing"))
        self.assertIsNone(self.client.get_into("missing", bytearray(8)))
        self.assertFalse(self.client.exists("missing"))
        self.assertFalse(self.client.delete("missing"))

    def test_get__a_range__is_what_there_is_of_it(self):
        self.client.put("range", b"0123456789")
        self.assertEqual(self.client.get("range", offset=2, length=3), b"234")
        self.assertEqual(self.client.get("range", offset=8, length=30), b"89")
        self.assertEqual(self.client.get("range", offset=7), b"789")
        self.assertEqual(self.client.get("range", offset=10), b"")
        self.assertEqual(self.client.get("range", size=3), b"0123456789")
        buffer = bytearray(4)
        self.assertEqual(self.client.get_into("range", buffer, offset=3, length=4), 4)
        self.assertEqual(buffer, b"3456")
        with self.assertRaisesRegex(ValueError, "^length: "):
            self.client.get("range", length=0)

    def test_get__large_values__read_where_earlier_ones_were(self):
        values = [os.urandom(300_000), os.urandom(200_000), os.urandom(17 << 20)]
        for index, value in enumerate(values):
            self.client.put(f"room {index}", value)
        recorder = self.client._library = Recorder(self.client._library)
        first = self.client.get("room 0")
        self.assertEqual(first, values[0])
        second = self.client.get("room 1")
        self.assertEqual([first, second], values[:2], "each is the caller's own")
        first[:3] = b"own"
        self.assertEqual(self.client.get("room 0"), values[0])
        # One that had no room; then all in the room that was made.
        self.assertEqual([item["capacity"] for item in recorder.items], [1 << 16] + 3 * [1 << 19])
        self.assertEqual(len({item["buffer"] for item in recorder.items[1:]}), 1)
        self.assertEqual(self.client.get("room 2"), values[2])
        kept = self.client._rooms._free
        self.assertLessEqual(max(map(len, kept)), 1 << 20, "that one was too large to keep")

    def test_rooms__more_than_are_kept__the_oldest_goes(self):
        rooms = Rooms()
        mebibyte = [rooms.take(1 << 20) for _ in range(2)]
        large = [rooms.take(10 << 20) for _ in range(4)]
        self.assertEqual([len(room) for room in large], 4 * [16 << 20])
        self.assertEqual([rooms.give(room) for room in mebibyte + large[:3]], 5 * [[]])
        dropped = rooms.give(large[3])
        self.assertEqual([id(room) for room in dropped], [id(room) for room in mebibyte])
        self.assertIs(rooms.take(100), large[3])
        self.assertEqual(len(Rooms().take(1)), 64 << 10)

    def test_get_into__too_small_a_buffer__error_says_how_many_bytes(self):
        self.client.put("wide", bytes(1000))
        with self.assertRaises(memkv.TooSmallError) as caught:
            self.client.get_into("wide", bytearray(10))
        self.assertEqual(caught.exception.byte_count, 1000)

    def test_put__options__are_told_to_the_server(self):
        self.client.put("options", b"1", expire=3600, tier=memkv.Tier.OUTPUT_CRITICAL)
        with self.assertRaises(memkv.ConflictError) as caught:
            self.client.put("options", b"2")
        self.assertIn("options", str(caught.exception))
        recorder = self.client._library = Recorder(self.client._library)
        self.client.put("options", b"2", replace=True, relaxed=True, session=77, expire=9,
                        tier=memkv.Tier.THINK_ACTIVE)
        item = recorder.items[0]
        self.assertEqual([item[name] for name in ("op", "flags", "expire_s", "tier", "session")],
                         [memkv._status.Op.PUT, 3, 9, 3, 77])
        self.assertEqual(self.client.get("options"), b"2")

    def test_numbers__that_c_has_no_room_for__are_refused_by_name(self):
        for name, value in (("expire", 1 << 32), ("session", -1), ("session", 1 << 64)):
            with self.assertRaisesRegex(ValueError, f"^{name}: "):
                self.client.put("number", b"", **{name: value})
        with self.assertRaisesRegex(ValueError, "^offset: "):
            self.client.get("number", offset=-1)

    # ---- buffers --------------------------------------------------------------------------------

    def test_numpy__arrays_of_each_type__go_and_come_by_their_own_address(self):
        need_numpy()
        recorder = self.client._library = Recorder(self.client._library)
        for name in ("uint8", "int16", "float16", "float32", "float64", "complex64", "bool", "S5",
                     "M8[s]", ">i4", "i4,f8"):
            raw = os.urandom(numpy.dtype(name).itemsize * 12)
            value = numpy.frombuffer(raw, dtype=name).reshape(3, 4)
            into = numpy.zeros_like(value)
            self.client.put("numpy/" + name, value)
            self.assertEqual(self.client.get_into("numpy/" + name, into), value.nbytes)
            self.assertEqual(into.tobytes(), raw, name)
            put, get = recorder.items[-2:]
            self.assertEqual(put["data"], value.__array_interface__["data"][0], name)
            self.assertEqual(put["data_bytes"], value.nbytes)
            self.assertEqual(get["buffer"], into.__array_interface__["data"][0], name)
            self.assertEqual(get["capacity"], into.nbytes)

    def test_numpy__slices_of_rows__are_read_and_written_in_place(self):
        need_numpy()
        blocks = numpy.arange(4 * 1024, dtype=numpy.float32).reshape(4, 1024)
        self.client.put("row", blocks[2])
        self.assertEqual(self.client.get_into("row", blocks[0]), 4096)
        numpy.testing.assert_array_equal(blocks[0], blocks[2])
        self.assertEqual(blocks[1][0], 1024)

    def test_buffers__not_contiguous__are_refused_by_name(self):
        need_numpy()
        whole = numpy.zeros((4, 4))
        for bad in (whole[:, 0], whole[::2], whole.T, memoryview(bytearray(8))[::2]):
            with self.assertRaisesRegex(BufferError, "^data: .*contiguous"):
                self.client.put("stripes", bad)
            with self.assertRaisesRegex(BufferError, "^buffer: .*contiguous"):
                self.client.get_into("stripes", bad)
            with self.assertRaisesRegex(BufferError, "^item 1, data: .*contiguous"):
                self.client.batch([memkv.Put("stripe", b"1"), memkv.Put("stripes", bad)])
        self.assertFalse(self.client.exists("stripe"), "a part of a refused batch was done")

    def test_buffers__that_cannot_be_written_or_are_none__are_refused_by_name(self):
        for bad in (b"12345678", memoryview(b"12345678")):
            with self.assertRaisesRegex(BufferError, "^buffer: .*writable"):
                self.client.get_into("key", bad)
        with self.assertRaisesRegex(TypeError, "^data: "):
            self.client.put("key", "text")
        with self.assertRaisesRegex(TypeError, "^buffer: "):
            self.client.get_into("key", None)

    def test_buffers__during_a_call_and_after__are_held_and_let_go(self):
        source, target = bytearray(b"source"), bytearray(6)
        refused = []

        def resize():
            for held in (source, target):
                try:
                    held.append(0)
                except BufferError:
                    refused.append(held)

        self.client._library = Recorder(self.client._library, resize)
        self.client.batch([memkv.Put("held", source), memkv.Get("other", target)])
        self.assertEqual(refused, [source, target])
        with self.assertRaises(TypeError):
            self.client.batch([memkv.Put("held", source), memkv.Put("held", None)])
        source.append(1)
        target.append(1)

    def test_buffers__after_many_calls__are_referred_to_by_nobody(self):
        value, key = os.urandom(100), bytes(b"leak")
        self.client.put(key, value)
        gc.collect()
        before = sys.getrefcount(value), sys.getrefcount(key)
        for _ in range(50):
            self.client.put(key, value)
            self.client.batch([memkv.Put(key, value), memkv.Exists(key)])
            self.client.lookup([key, key])
        gc.collect()
        self.assertEqual((sys.getrefcount(value), sys.getrefcount(key)), before)

    def test_batch__bytes_made_for_it_alone__live_until_it_ends(self):
        """Keys and values that nobody else keeps, while memory is used again and again."""
        self.client.batch(memkv.Put(b"own/%d" % index, b"%d" % index * 1000)
                          for index in range(300))
        for index in range(0, 300, 37):
            self.assertEqual(self.client.get(b"own/%d" % index), b"%d" % index * 1000)

    # ---- many at a time -------------------------------------------------------------------------

    def test_batch__of_everything__has_a_result_for_each(self):
        self.client.put("there", b"value")
        self.client.put("gone", b"")
        buffer, small = bytearray(16), bytearray(1)
        results = self.client.batch([
            memkv.Put("new", b"new"), memkv.Put("there", b"other"), memkv.Get("there", buffer),
            memkv.Get("there", small), memkv.Get("absent", bytearray(1)), memkv.Exists("there"),
            memkv.Exists("absent"), memkv.Delete("gone"), memkv.Delete("absent")])
        status = memkv.Status
        self.assertEqual([result.status for result in results],
                         [status.OK, status.CONFLICT, status.OK, status.TOO_SMALL,
                          status.NOT_FOUND, status.OK, status.NOT_FOUND, status.OK,
                          status.NOT_FOUND])
        self.assertEqual(buffer[:results[2].byte_count], b"value")
        self.assertEqual(results[3].value_bytes, 5)
        self.assertEqual(results[4].miss, memkv.Miss.UNKNOWN)
        self.assertTrue(results[0].ok and results[0].check() is results[0])
        for result, error in ((results[1], memkv.ConflictError), (results[4], KeyError),
                              (results[3], memkv.TooSmallError)):
            with self.assertRaises(error):
                result.check()
        self.assertEqual(self.client.batch([]), [])
        with self.assertRaisesRegex(TypeError, "item 0, an operation is required, not 'str'"):
            self.client.batch(["there", "gone"])

    def test_batch__rows_of_an_array__are_put_and_got_side_by_side(self):
        need_numpy()
        blocks = numpy.random.default_rng(1).integers(0, 256, (600, 1000), dtype=numpy.uint8)
        names = [f"rows/{index}" for index in range(600)]
        for result in self.client.batch(map(memkv.Put, names, blocks)):
            result.check()
        into = numpy.zeros_like(blocks)
        for result in self.client.batch(map(memkv.Get, names, into)):
            self.assertEqual(result.check().byte_count, 1000)
        numpy.testing.assert_array_equal(into, blocks)
        self.assertEqual(self.client.lookup(names), 600)
        self.client.delete(names[400])
        self.assertEqual(self.client.lookup(names), 400)
        self.assertEqual(self.client.lookup(reversed(names)), 199)
        self.assertEqual(self.client.lookup([]), 0)

    # ---- sessions, pins, the server -------------------------------------------------------------

    def test_sessions__begun_and_ended__and_others_that_are_not_there(self):
        recorder = self.client._library = Recorder(self.client._library)
        self.client.session_begin(901)
        self.client.put("of a session", b"1", session=901, tier=memkv.Tier.THINK_ACTIVE)
        self.assertTrue(self.client.session_exit_think(901, 5000, memkv.ThinkExit.HARD_CAP))
        self.assertTrue(self.client.session_end(901))
        self.client.session_begin(902)
        self.assertTrue(self.client.session_end(902, free=True))
        self.assertFalse(self.client.session_end(901))
        self.assertFalse(self.client.session_exit_think(902, 1, memkv.ThinkExit.CONVERGED))
        told = [(item["session"], item["action"], item["tokens"], item["reason"])
                for item in recorder.items if item["op"] == _status.Op.SESSION]
        self.assertEqual(told, [(901, 1, 0, 0), (901, 2, 5000, 3), (901, 3, 0, 0), (902, 1, 0, 0),
                                (902, 4, 0, 0), (901, 3, 0, 0), (902, 2, 1, 1)])
        with self.assertRaises(memkv.InvalidError):
            self.client.session_begin(0)

    def test_pins__of_keys_that_are_there_or_not__say_so(self):
        self.client.put("pinned", b"1")
        self.assertTrue(self.client.pin("pinned", 60))
        self.assertTrue(self.client.unpin("pinned"))
        self.assertFalse(self.client.unpin("pinned"))
        self.assertFalse(self.client.pin("not pinned", 60))
        with self.assertRaisesRegex(memkv.InvalidError, "1 second"):
            self.client.pin("pinned", 0)

    def test_server__asked__answers(self):
        self.client.ping()
        self.assertIn("uptime_seconds", self.client.stats())
        limits = self.client.limits()
        self.assertGreaterEqual(limits.value_bytes_max, limits.block_bytes_max)
        self.assertIn("memkv", limits.version)
        self.assertEqual(self.client.transport(), "tcp")

    def test_forget__buffers_of_any_kind__are_none_of_the_librarys(self):
        buffer = bytearray(100000)
        self.client.put("forgotten", buffer)
        self.client.forget(buffer)
        buffer.append(1)  # it is held no more
        self.client.forget(b"")
        with self.assertRaisesRegex(TypeError, "buffer: "):
            self.client.forget(7)

    def test_trace_context__a_good_one_and_a_bad_one__is_taken_and_refused(self):
        self.client.trace_context("00-" + "1" * 32 + "-" + "2" * 16 + "-01")
        self.client.put("traced", b"1")
        self.client.trace_context(None)
        with self.assertRaisesRegex(memkv.InvalidError, "traceparent"):
            self.client.trace_context("00-1-2-3")

    def test_tenant__of_another_client__has_nothing_in_common(self):
        self.client.put("of the default", b"1")
        with memkv.Client(self.node.address, tenant="other", timeout=TIMEOUT_S) as other:
            self.assertFalse(other.exists("of the default"))

    # ---- clients --------------------------------------------------------------------------------

    def test_client__closed__refuses_calls_and_closes_again(self):
        with memkv.Client([self.node.address], timeout=TIMEOUT_S) as client:
            self.assertFalse(client.closed)
        self.assertTrue(client.closed)
        client.close()
        for call in (client.ping, client.limits, lambda: client.get("key")):
            with self.assertRaisesRegex(RuntimeError, "closed"):
                call()

    def test_client__in_a_call_of_another_thread__is_refused_and_unharmed(self):
        inside, go_on = threading.Event(), threading.Event()

        def stay():
            inside.set()
            go_on.wait(TIMEOUT_S)

        library = self.client._library
        self.client._library = Recorder(library, stay)
        thread = threading.Thread(target=self.client.put, args=("thread", b"1"))
        thread.start()
        inside.wait(TIMEOUT_S)
        for call in (self.client.ping, self.client.close, lambda: self.client.lookup(["thread"])):
            with self.assertRaisesRegex(RuntimeError, "another thread"):
                call()
        go_on.set()
        thread.join()
        self.client._library = library
        self.assertEqual(self.client.get("thread"), b"1")

    def test_client__after_fork__is_of_its_process_alone(self):
        self.client.put("forked", b"1")
        process = os.fork()
        if process == 0:
            # Nothing of the test's own goes on in here.
            try:
                self.client.get("forked")
            except RuntimeError:
                self.client._finalizer()
                os._exit(17)
            os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 17)
        self.assertEqual(self.client.get("forked"), b"1")

    def test_client__dropped__closes_its_connection(self):
        with unittest.mock.patch.object(memkv._client, "_close",
                                        side_effect=memkv._client._close) as close:
            client = memkv.Client(self.node.address, timeout=TIMEOUT_S)
            client.ping()
            del client
            gc.collect()
            self.assertEqual(close.call_count, 1)

    def test_arguments__of_the_wrong_kind__are_refused_by_name(self):
        for name, value, error in (("timeout", 0, ValueError), ("timeout", 1e9, ValueError),
                                   ("connect_timeout", -1, ValueError),
                                   ("tenant", b"bytes", TypeError),
                                   ("client_name", "a\0b", ValueError),
                                   ("connections", -1, ValueError)):
            with self.assertRaisesRegex(error, f"^{name}: "):
                memkv.Client(self.node.address, **{name: value})
        with self.assertRaises(memkv.InvalidError):
            memkv.Client("no port")
        with self.assertRaises(memkv.InvalidError):
            memkv.Client(self.node.address, auth_key="short")

    # ---- pages and programs ---------------------------------------------------------------------

    def test_page__python__works_as_it_is_pasted(self):
        need_numpy()
        with open(os.path.join(SOURCE, "docs/python.md"), encoding="utf-8") as file:
            text = file.read()
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        self.assertGreater(len(blocks), 3)
        for block in blocks:
            child = run_python("-c", block.replace("127.0.0.1:9900", self.node.address),
                               MEMKV_SERVERS=self.node.address)
            self.assertEqual(child.returncode, 0, f"{block}\n{child.stdout}\n{child.stderr}")

    def test_page__python__names_everything_that_is_public(self):
        with open(os.path.join(SOURCE, "docs/python.md"), encoding="utf-8") as file:
            text = file.read()
        methods = [name for name in vars(memkv.Client) if not name.startswith("_")]
        for name in memkv.__all__ + methods:
            self.assertRegex(text, rf"\b{name}\b")

    def test_example__run_twice__computes_and_then_loads(self):
        need_numpy()
        example = os.path.join(SOURCE, "examples/prefix_cache.py")
        for expected in ("8 blocks: 0 loaded, 8 computed", "8 blocks: 8 loaded, 0 computed"):
            child = run_python(example, "conversation", "8", MEMKV_SERVERS=self.node.address)
            self.assertEqual(child.stdout.strip(), expected, child.stderr)


class AwayTest(unittest.TestCase):
    """Servers that do not answer."""

    def test_client__nobody_listens__unavailable(self):
        with self.assertRaises(memkv.UnavailableError) as caught:
            memkv.Client(f"127.0.0.1:{free_port()}")
        self.assertIsInstance(caught.exception, ConnectionError)
        self.assertEqual(caught.exception.status, memkv.Status.UNAVAILABLE)

    def test_call__server_stands_still__deadline_and_the_buffer_is_free(self):
        with tempfile.TemporaryDirectory() as folder, \
                Node("--dev", os.path.join(folder, "data")) as node:
            node.ready()
            with memkv.Client(node.address, timeout=TIMEOUT_S) as patient:
                patient.put("key", b"1")
            with memkv.Client(node.address, timeout=1.5) as client:
                buffer = bytearray(8)
                node.freeze()
                with self.assertRaises(memkv.DeadlineError) as caught:
                    client.get_into("key", buffer)
                self.assertIsInstance(caught.exception, TimeoutError)
                buffer.append(1)
                # The connection that did not answer may have been closed.
                self.assertIn(client.batch([memkv.Exists("key")])[0].status,
                              (memkv.Status.DEADLINE, memkv.Status.UNAVAILABLE))
                node.kill()
                with self.assertRaises(memkv.Error):
                    client.ping()

    def test_lookup__one_of_two_servers_is_away__its_keys_are_misses(self):
        with tempfile.TemporaryDirectory() as folder, \
                Node("--dev", os.path.join(folder, "data")) as node:
            node.ready()
            addresses = [node.address, f"127.0.0.1:{free_port()}"]
            with memkv.Client(addresses, timeout=TIMEOUT_S) as client:
                names = [f"key/{index}" for index in range(32)]
                puts = client.batch(memkv.Put(name, b"1") for name in names)
                misses = {result.miss for result in client.batch(map(memkv.Exists, names))
                          if not result.ok}
                self.assertEqual({result.status for result in puts},
                                 {memkv.Status.OK, memkv.Status.UNAVAILABLE})
                self.assertEqual(misses, {memkv.Miss.SERVER_DOWN})


if __name__ == "__main__":
    unittest.main()
