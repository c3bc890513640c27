"""HTTP/2 and gRPC's framing by hand: what no gRPC library would send, and what came back, byte by byte."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4
FRAME_BYTES = 16384


def frame(type_, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", type_, flags, stream) + payload


def literal(name, value):
    """A header field without indexing, without Huffman (RFC 7541, 6.2.2)."""
    assert len(name) < 127 and len(value) < 127
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def message(data, compressed=False):
    """What gRPC puts around a message."""
    return bytes([compressed]) + struct.pack(">I", len(data)) + data


def request_headers(path, **headers):
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost", "te": "trailers",
              "content-type": "application/grpc"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return b"".join(literal(name, value) for name, value in fields.items())


class Answer:
    """headers: the blocks as they came. gRPC's core writes the first grpc-status of a connection in full."""

    def __init__(self):
        self.headers, self.data, self.ended = b"", b"", False

    def field(self, name):
        """The value of a literal field."""
        spelled = bytes([len(name)]) + name.encode()
        at = self.headers.find(spelled)
        if at < 0:
            return None
        at += len(spelled)
        length, at = self.headers[at], at + 1
        if length == 127:  # RFC 7541, 5.1
            shift = 0
            while True:
                byte, at = self.headers[at], at + 1
                length += (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        return self.headers[at : at + length].decode()

    @property
    def status(self):
        return int(self.field("grpc-status"))

    @property
    def reply(self):
        """The one message, which was not compressed."""
        assert self.data[0] == 0 and len(self.data) == 5 + struct.unpack(">I", self.data[1:5])[0]
        return self.data[5:]


class Connection:
    """One connection to a Unix socket, or a socket that is connected, for one call, so that nothing in its answer is an index."""

    def __init__(self, where, settings=b""):
        self.socket = where if isinstance(where, socket.socket) else socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        if self.socket is not where:
            self.socket.connect(str(where))
        self.window = {0: 65535, 1: 65535}
        self.answer = Answer()
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionResetError("ended by the service")
            data += more
        return data

    def read(self):
        """Takes in one frame; its type."""
        head = self.exactly(9)
        (length,) = struct.unpack(">I", b"\0" + head[:3])
        type_, flags, stream = struct.unpack(">BBI", head[3:])
        payload = self.exactly(length)
        if type_ == SETTINGS and not flags & ACK:
            for at in range(0, length, 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == INITIAL_WINDOW_SIZE:
                    self.window[1] += value - 65535
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        elif type_ == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif type_ == WINDOW_UPDATE:
            self.window[stream] += struct.unpack(">I", payload)[0]
        elif type_ == HEADERS:
            self.answer.headers += payload
        elif type_ == DATA:
            self.answer.data += payload
        if type_ in (RST_STREAM, GOAWAY) or (type_ in (HEADERS, DATA) and flags & END_STREAM):
            self.answer.ended = True
        return type_

    def send(self, body):
        """As much at a time as the service lets in; no more once it has answered."""
        while body and not self.answer.ended:
            room = min(self.window[0], self.window[1], FRAME_BYTES)
            if room <= 0:
                self.read()
                continue
            piece, body = body[:room], body[room:]
            self.socket.sendall(frame(DATA, 0 if body else END_STREAM, 1, piece))
            self.window[0] -= len(piece)
            self.window[1] -= len(piece)

    def begin(self, path, body, **headers):
        self.socket.sendall(frame(HEADERS, END_HEADERS, 1, request_headers(path, **headers)))
        self.send(body)

    def call(self, path, body, **headers):
        self.begin(path, body, **headers)
        while not self.answer.ended:
            self.read()
        return self.answer


def call(door, path, body, **headers):
    with Connection(door) as connection:
        return connection.call(path, body, **headers)
