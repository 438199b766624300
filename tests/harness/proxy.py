"""A proxy in front of Weir that cuts each connection after a time, as some do after 25 seconds."""

import asyncio
import threading


class CuttingProxy:
    def __init__(self, address, seconds):
        self.cuts = 0
        self._address, self._seconds = address, seconds
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _connection(self, reader, writer):
        there, back = await asyncio.open_connection(*self._address)

        async def pump(source, sink):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        pumps = [asyncio.ensure_future(pump(reader, back)), asyncio.ensure_future(pump(there, writer))]
        _, pending = await asyncio.wait(pumps, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
        self.cuts += len(pending) == 2
        for task in pumps:
            task.cancel()
        writer.transport.abort()
        back.transport.abort()
