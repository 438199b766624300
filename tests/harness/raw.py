"""HTTP by hand, for what no client library would send."""

import re
import socket
import ssl
import struct


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


class Connection:
    def __init__(self, address, timeout=20, tls=None):
        """`tls` is an ssl.SSLContext that does not ask for the name."""
        self.socket = socket.create_connection(address, timeout)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        self.buffer = b""
        self.closed = False  # by the other side

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends what it can: a server may answer and close before it has read all."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def fill(self, timeout=None):
        """Reads once; False at the end."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.closed = True
        self.buffer += data
        return bool(data)

    def until(self, mark, timeout=None):
        """Takes everything up to and with `mark`."""
        while mark not in self.buffer:
            if not self.fill(timeout):
                raise EOFError(f"closed after {self.buffer[:500]!r}")
        at = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:at], self.buffer[at:]
        return taken

    def exactly(self, count):
        while len(self.buffer) < count:
            if not self.fill():
                raise EOFError(f"closed after {len(self.buffer)} of {count} bytes")
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def head(self, timeout=None):
        lines = self.until(b"\r\n\r\n", timeout).decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.[01] (\d{3}) .*", lines[0])
        assert status, lines[0]
        headers = {}
        for line in lines[1:]:
            if line:
                name, value = line.split(":", 1)
                assert name.lower() not in headers or name.lower() == "set-cookie", f"twice: {name}"
                headers[name.lower()] = value.strip()
        return int(status[1]), headers

    def answer(self, method="GET", timeout=None):
        status, headers = self.head(timeout)
        if method == "HEAD" or status in (204, 304) or status < 200:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            assert "content-length" not in headers
            body = b""
            while size := int(self.until(b"\r\n").strip(), 16):
                body += self.exactly(size)
                assert self.exactly(2) == b"\r\n"
            assert self.exactly(2) == b"\r\n"
            return Answer(status, headers, body)
        if "content-length" in headers:
            return Answer(status, headers, self.exactly(int(headers["content-length"])))
        while self.fill():
            pass
        body, self.buffer = self.buffer, b""
        return Answer(status, headers, body)

    def ends(self, timeout=5):
        """Whether the other side closes, with nothing more to say."""
        try:
            return not self.fill(timeout)
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(20)


def exchange(address, data, timeout=20):
    """All final answers to `data`, and whether the connection was closed after them."""
    with Connection(address, timeout) as connection:
        connection.send(data)
        answers = []
        while True:
            try:
                answer = connection.answer(timeout=timeout if not answers else 1.5)
            except (EOFError, TimeoutError):
                break
            if answer.status >= 200:
                answers.append(answer)
        return answers, connection.closed
