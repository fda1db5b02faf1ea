#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls of the Python module that do not wait: submissions, and the client of an asyncio loop."""

import asyncio
import os
import select
import socket
import sys
import tempfile
import unittest

from node import BUILD, SOURCE, Node

os.environ["MEMKV_LIBRARY"] = os.path.join(BUILD, "libmemkv.so")
sys.path.insert(0, os.path.join(SOURCE, "client/python"))
import memkv  # noqa: E402

WAIT_S = 60


class Asynchronous(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.node = cls.enterClassContext(Node("--dev", os.path.join(folder, "data")))
        cls.node.ready()

    def test_submit__many__each_comes_back_once_with_its_results(self):
        with memkv.Client(self.node.address) as client:
            begun = {client.submit([memkv.Put(f"s{index}", b"%d" % index)]): index
                     for index in range(200)}
            while begun:
                for submission in client.wait(WAIT_S):
                    begun.pop(submission)
                    self.assertTrue(submission.done)
                    self.assertTrue(submission.check().results[0].ok)
            self.assertEqual(client.wait(), [])
            lookup = client.submit_lookup([f"s{index}" for index in range(300)])
            poll = select.poll()
            poll.register(client.fileno(), select.POLLIN)
            while not lookup.done:
                self.assertTrue(poll.poll(WAIT_S * 1000))
                client.poll()
            self.assertEqual(lookup.resident, 200)
            with self.assertRaises(memkv.InvalidError):
                client.submit([])

    def test_buffers__of_a_submission__are_held_until_it_is_done_or_given_up(self):
        buffer = bytearray(10)
        client = memkv.Client(self.node.address)
        client.submit([memkv.Get("absent", buffer)])
        with self.assertRaises(BufferError):
            buffer.append(1)
        client.close()
        buffer.append(1)

    def test_timeout__of_calls_to_come__ends_them(self):
        client = memkv.Client(self.node.address, timeout=WAIT_S)
        self.assertEqual(client.timeout, WAIT_S)
        client.timeout = 5
        client.ping()
        with self.assertRaises(ValueError):
            client.timeout = 0
        client.close()

    def test_async__gathered_calls__are_all_done_on_one_thread(self):
        async def run():
            async with await memkv.AsyncClient.open(self.node.address) as client:
                keys = [f"a{index}" for index in range(500)]
                await asyncio.gather(*(client.put(key, key.encode() * 400) for key in keys))
                values = await asyncio.gather(*(client.get(key, size=16) for key in keys))
                self.assertEqual(values, [key.encode() * 400 for key in keys])
                self.assertEqual(await client.lookup(keys + ["none"]), 500)
                self.assertEqual(await client.lookup([]), 0)
                self.assertIsNone(await client.get("none"))
                into = bytearray(2000)
                self.assertEqual(await client.get_into("a1", into, offset=2, length=5), 5)
                self.assertTrue(await client.pin("a1", 5) and await client.unpin("a1"))
                self.assertTrue(await client.exists("a1") and await client.delete("a1"))
                self.assertFalse(await client.delete("a1"))
                results = await client.batch([memkv.Exists("a1"), memkv.Exists("a2")])
                self.assertEqual([result.ok for result in results], [False, True])
                with self.assertRaises(memkv.ConflictError):
                    await client.put("a2", b"other")
        asyncio.run(run())

    def test_async__server_that_is_silent__is_given_up_in_time_or_by_its_task(self):
        async def run():
            # In front of the server, and silent once it is told to be.
            gate = asyncio.Event()
            gate.set()

            async def serve(reader, writer):
                host, port = self.node.address.split(":")
                inner_reader, inner_writer = await asyncio.open_connection(host, int(port))

                async def pass_on(source, target):
                    while data := await source.read(65536):
                        await gate.wait()
                        target.write(data)

                try:
                    await asyncio.gather(pass_on(reader, inner_writer),
                                         pass_on(inner_reader, writer))
                except (asyncio.CancelledError, OSError):
                    pass
                inner_writer.close()
                writer.close()

            server = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
            address = "%s:%d" % server.sockets[0].getsockname()
            client = await memkv.AsyncClient.open(address)
            await client.put("g", b"value")
            gate.clear()
            buffer = bytearray(100)
            task = asyncio.create_task(client.get_into("g", buffer))
            other = asyncio.create_task(client.get("g", timeout=WAIT_S))
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            while client.client.in_flight > 1:
                await asyncio.sleep(0.01)
            buffer.append(1)  # nobody holds it any more
            rooms = client.client._rooms._free
            with self.assertRaises(memkv.DeadlineError):
                await client.get("g", timeout=0.05)
            self.assertEqual(len(rooms), 1, "its memory may still be registered")
            task = asyncio.create_task(client.get("g", timeout=WAIT_S))
            await asyncio.sleep(0)
            self.assertEqual(len(rooms), 0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            while client.client.in_flight > 1:
                await asyncio.sleep(0.01)
            self.assertEqual(len(rooms), 1)
            client.close()
            with self.assertRaises(memkv.CancelledError):
                await other
            server.close()
        asyncio.run(run())


if __name__ == "__main__":
    unittest.main()
