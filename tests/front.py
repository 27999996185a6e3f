"""Talking to a server of sockets that runs in the test's own event loop."""

import asyncio
import contextlib


@contextlib.asynccontextmanager
async def client(port):
    """A connection to it. At the end it is cut off, as a client that dies does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def until(true):
    """Wait until something is true: the other side of a connection sees what happened only later."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)
