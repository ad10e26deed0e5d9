#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""programs: clients and a server for the tests of real programs. All sockets are non-blocking, but those of
requests without a timeout.

    programs.py await PORT...                                     ends when somebody listens at each of them
    programs.py get PORT SECONDS CONNECTIONS DIRECTORY [PREFIX]   GETs the directory's files, over and over
    programs.py post PORT SECONDS CONNECTIONS                     POSTs bodies to /sums, which must answer their SHA-256
    programs.py sums PORT                                         is a server that does so, and sends bodies for /echo back
    programs.py echo PORT SECONDS CONNECTIONS                     POSTs bodies to /echo, which must come back
    programs.py requests PORT SECONDS CONNECTIONS [TIMEOUT]       the same with requests, and its timeout if there is one
    programs.py memcached PORT SECONDS CONNECTIONS                sets values and reads them back

Each connection is kept alive. The clients compare all that they get; what is wrong, late or cut short ends them with an
error. The last line is "right: COUNT answers, BYTES bytes".
"""
import asyncio
import hashlib
import os
import pathlib
import random
import sys
import time

PATIENCE = 10.0 * int(os.environ.get("SLOWNESS", "1"))  # seconds that an answer may take
counts = {"answers": 0, "bytes": 0}


def count(size):
    counts["answers"] += 1
    counts["bytes"] += size


async def connect(port):
    for _ in range(200):
        try:
            return await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
    raise TimeoutError(f"nobody listens at port {port}")


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    return first, dict(line.lower().split(": ", 1) for line in lines if line)


async def read_answer(reader):
    first, fields = await read_head(reader)
    if " 200 " not in first:
        raise RuntimeError(f"the server says: {first}")
    if "content-length" in fields:
        return await reader.readexactly(int(fields["content-length"]))
    if fields.get("transfer-encoding") != "chunked":
        raise RuntimeError(f"no length: {fields}")
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


async def get(end, port, directory, prefix="/"):
    bodies = {path.name: path.read_bytes() for path in sorted(pathlib.Path(directory).iterdir())}
    reader, writer = await connect(port)
    while time.monotonic() < end:
        name = random.choice(list(bodies))
        writer.write(f"GET {prefix}{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        body = await asyncio.wait_for(read_answer(reader), PATIENCE)
        if body != bodies[name]:
            raise RuntimeError(f"{name}: a wrong body of {len(body)} bytes, for {len(bodies[name])}")
        count(len(body))
    writer.close()


async def post(end, port):
    reader, writer = await connect(port)
    pool = random.randbytes(4 << 20)
    while time.monotonic() < end:
        body = pool[:int(2 ** random.uniform(0, 22))]
        writer.write(f"POST /sums HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body)
        answer = await asyncio.wait_for(read_answer(reader), PATIENCE)
        if answer.decode() != hashlib.sha256(body).hexdigest():
            raise RuntimeError(f"a body of {len(body)} bytes arrives as another one")
        count(len(body))
    writer.close()


async def echo(end, port):
    reader, writer = await connect(port)
    while time.monotonic() < end:
        body = random.randbytes(int(2 ** random.uniform(0, 21)))
        writer.write(f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        writer.write(body)
        if await asyncio.wait_for(read_answer(reader), PATIENCE) != body:
            raise RuntimeError(f"a body of {len(body)} bytes comes back as another one")
        count(len(body))
    writer.close()


def with_requests(end, port, timeout):
    import requests
    with requests.Session() as session:
        while time.monotonic() < end:
            body = random.randbytes(int(2 ** random.uniform(0, 21)))
            answer = session.post(f"http://127.0.0.1:{port}/echo", data=body, timeout=timeout)
            if answer.content != body:
                raise RuntimeError(f"a body of {len(body)} bytes comes back as another one")
            count(len(body))


async def answer_sums(reader, writer):
    try:
        while True:
            first, fields = await read_head(reader)
            body = await reader.readexactly(int(fields["content-length"]))
            answer = body if " /echo " in first else hashlib.sha256(body).hexdigest().encode()
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n".encode())
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def sums(port):
    server = await asyncio.start_server(answer_sums, "127.0.0.1", port, limit=1 << 20)
    await server.serve_forever()


async def memcached(end, port, number):
    reader, writer = await connect(port)
    pool = random.randbytes(1 << 20)
    while time.monotonic() < end:
        value = pool[:int(2 ** random.uniform(0, 19))]
        key = f"key-{number}-{random.randrange(10)}"
        writer.write(f"set {key} 0 0 {len(value)}\r\n".encode() + value + b"\r\n")
        answer = await asyncio.wait_for(reader.readline(), PATIENCE)
        if answer != b"STORED\r\n":
            raise RuntimeError(f"set: {answer}")
        writer.write(f"get {key}\r\n".encode())
        expected = f"VALUE {key} 0 {len(value)}\r\n".encode() + value + b"\r\nEND\r\n"
        answer = await asyncio.wait_for(reader.readexactly(len(expected)), PATIENCE)
        if answer != expected:
            raise RuntimeError(f"get: a wrong value for one of {len(value)} bytes")
        count(len(value))
    writer.close()


async def await_ports(ports):
    for port in ports:
        _, writer = await connect(port)
        writer.close()


async def run_clients(seconds, connections, client):
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(end, number) for number in range(connections)))
    print(f"right: {counts['answers']} answers, {counts['bytes']} bytes")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    what, port, *rest = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
    clients = {
        "get": lambda end, _: get(end, port, *rest[2:]),
        "post": lambda end, _: post(end, port),
        "echo": lambda end, _: echo(end, port),
        "requests": lambda end, _: asyncio.to_thread(with_requests, end, port, float(rest[2]) if rest[2:] else None),
        "memcached": lambda end, number: memcached(end, port, number),
    }
    if what == "await":
        asyncio.run(await_ports([port, *map(int, rest)]))
    elif what == "sums":
        asyncio.run(sums(port))
    else:
        asyncio.run(run_clients(float(rest[0]), int(rest[1]), clients[what]))


main()
