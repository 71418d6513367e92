"""A WebSocket server of the library `websockets`: says what is sent to it again, closes, or speaks by itself.

    websocket_server.py PORT

It takes one frame after the other, however they arrive, so that what it says depends on nothing else.
"""

import codecs
import socket
import struct
import sys
import threading

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.server import ServerProtocol


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.held = b""
        self.protocol = ServerProtocol(
            extensions=[ServerPerMessageDeflateFactory()],
            select_subprotocol=lambda _protocol, offered: offered[0] if offered else None,
            max_size=16 << 20,
        )

    def serve(self):
        while b"\r\n\r\n" not in self.held:
            self.fill()
        self.feed(self.held.index(b"\r\n\r\n") + 4)
        [request] = self.protocol.events_received()
        self.what, _, self.rest = request.path.strip("/").partition("/")
        self.protocol.send_response(self.protocol.accept(request))
        self.flush()
        while True:
            self.frame()

    def frame(self):
        """Takes the next frame: its head as soon as it is whole, its payload as it comes."""
        size = 2
        while len(self.held) < size or size == 2:
            while len(self.held) < size:
                self.fill()
            short = self.held[1] & 0x7F
            size = 2 + {126: 2, 127: 8}.get(short, 0) + (self.held[1] >> 7) * 4
            if len(self.held) >= size:
                break
            self.fill()
        length = short
        if short >= 126:
            length = int.from_bytes(self.held[2 : 4 if short == 126 else 10], "big")
        self.feed(size)
        self.answer()
        while length > 0:
            if not self.held:
                self.fill()
            length -= self.feed(min(length, len(self.held)))
            self.answer()

    def fill(self):
        more = self.sock.recv(1 << 16)
        if not more:
            self.protocol.receive_eof()
            self.flush()
            raise EOFError
        self.held += more

    def feed(self, size):
        self.protocol.receive_data(self.held[:size])
        self.held = self.held[size:]
        return size

    def flush(self):
        for octets in self.protocol.data_to_send():
            if octets:
                self.sock.sendall(octets)
            else:
                self.sock.shutdown(socket.SHUT_WR)

    def answer(self):
        for frame in self.protocol.events_received():
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                self.text = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self.check(frame)
            if self.protocol.close_sent is None and self.protocol.close_rcvd is None:
                self.say(frame)
        self.flush()

    def check(self, frame):
        """The library leaves it to those above to look at the text."""
        try:
            if self.text is not None:
                self.text.decode(frame.data, final=frame.fin)
        except UnicodeDecodeError:
            self.protocol.fail(1007, "not UTF-8")

    def say(self, frame):
        protocol = self.protocol
        if frame.opcode is Opcode.PONG:
            if self.what == "ping":
                protocol.send_text(b"you are")
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if self.what == "echo":
                send = {
                    Opcode.TEXT: protocol.send_text,
                    Opcode.BINARY: protocol.send_binary,
                    Opcode.CONT: protocol.send_continuation,
                }
                send[frame.opcode](frame.data, frame.fin)
            elif self.what == "fragments":
                protocol.send_text(frame.data[:3], False)
                for at in range(3, len(frame.data), 3):
                    protocol.send_ping(b"in between")
                    protocol.send_continuation(frame.data[at : at + 3], at + 3 >= len(frame.data))
            elif self.what == "close":
                protocol.send_close(int(self.rest), "as you wish")
            elif self.what == "ping":
                protocol.send_ping(b"are you there")
            elif self.what == "big":
                protocol.send_binary(bytes(range(256)) * (int(self.rest) // 256))
            elif self.what == "vanish":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise EOFError


def serve(sock):
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            Connection(sock).serve()
        except (EOFError, OSError):
            pass


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
    print("listens", flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


main()
