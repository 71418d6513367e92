"""Does handshakes that go wrong in one way each, by tlslite-ng; says how the server ended them.

    handshakes.py HOST PORT SERVER_NAME CERTIFICATE KEY OTHER_KEY

Reads a line with the name of a case, answers with one: `alert NAME`, `closed`, `silent`, `answered STATUS`, or `went on:
NAME`, where the server did and this client would not.
"""

import socket
import struct
import sys

from tlslite.api import TLSConnection, X509CertChain, HandshakeSettings, parsePEMKey
from tlslite.constants import AlertDescription, ContentType, ExtensionType, HandshakeType, SignatureScheme
from tlslite.errors import TLSAbruptCloseError, TLSLocalAlert, TLSRemoteAlert
from tlslite.extensions import TLSExtension
from tlslite.messages import Certificate, CertificateVerify, ClientHello, Finished, Message
from tlslite.utils.codec import Writer

HANDSHAKE, ALERT, CCS, DATA, HEARTBEAT = 22, 21, 20, 23, 24
PATIENCE = 5.0
SHORTLY = 0.5


class Client(TLSConnection):
    """A client whose every message goes through somebody who may change it."""

    def __init__(self, sock, tamper):
        super().__init__(sock)
        self.tamper = tamper
        self.hellos = 0

    def _sendMsg(self, msg, randomizeFirstBlock=True, update_hashes=True):
        if isinstance(msg, ClientHello):
            self.hellos += 1
        for each in self.tamper(self, msg):
            if type(each) is Message:
                # Encrypting changes the octets in place.
                each = Message(each.contentType, bytearray(each.data))
            yield from super()._sendMsg(each, randomizeFirstBlock, update_hashes)


class Sent(Exception):
    """All was sent that there is; what counts now is how the server ends it."""


def plainly(_client, msg):
    return [msg]


def handshake_message(kind, body):
    return Message(HANDSHAKE, bytearray([kind]) + bytearray(len(body).to_bytes(3, "big")) + bytearray(body))


def record(kind, body, version=b"\x03\x03", length=None):
    return bytes([kind]) + version + struct.pack(">H", len(body) if length is None else length) + bytes(body)


# What is done to the ClientHello.


def hello(change):
    """Changes the ClientHello, an object, in place; or gives back octets to send as one."""

    def tamper(_client, msg):
        if not isinstance(msg, ClientHello):
            return [msg]
        changed = change(msg)
        return [msg if changed is None else Message(HANDSHAKE, bytearray(changed))]

    return tamper


def second_hello(change):
    """The same for the one after a HelloRetryRequest."""
    change = hello(change)

    def tamper(client, msg):
        return change(client, msg) if isinstance(msg, ClientHello) and client.hellos == 2 else [msg]

    return tamper


def raw_extension(kind, body):
    return TLSExtension(extType=kind).create(kind, bytearray(body))


def changed(msg, bodies):
    """The octets of a ClientHello with other extensions; the client itself goes on with what it has."""
    kept = msg.extensions
    msg.extensions = [
        raw_extension(ext.extType, bodies[ext.extType]) if ext.extType in bodies else ext
        for ext in kept
        if bodies.get(ext.extType, b"") is not None
    ]
    octets = bytes(msg.write())
    msg.extensions = kept
    return octets


def replace(kind, body):
    return hello(lambda msg: changed(msg, {kind: body}))


def add(kind, body):
    # Before the last one, which a padding or a PSK would have to be.
    return hello(lambda msg: msg.extensions.insert(0, raw_extension(kind, body)))


def without(kind):
    return hello(lambda msg: changed(msg, {kind: None}))


def vector(size, body):
    return len(body).to_bytes(size, "big") + bytes(body)


def twice(msg):
    msg.extensions.append(msg.extensions[0])


def set_attribute(name, value):
    return hello(lambda msg: setattr(msg, name, value))


def cut_short(msg):
    octets = msg.write()[:-7]
    return bytes(octets[:1]) + (len(octets) - 4).to_bytes(3, "big") + bytes(octets[4:])


def with_rest(msg):
    octets = bytes(msg.write()) + b"rest"
    return octets[:1] + (len(octets) - 4).to_bytes(3, "big") + octets[4:]


def in_records(size):
    """Sends the ClientHello in records of so many octets each."""

    def tamper(client, msg):
        if not isinstance(msg, ClientHello):
            return [msg]
        octets = bytes(msg.write())
        client._handshake_hash.update(octets)
        parts = [octets[at : at + size] for at in range(0, len(octets), size)]
        client.sock.send(b"".join(record(HANDSHAKE, part, b"\x03\x01") for part in parts))
        client.sock.flush()
        return []

    return tamper


def in_writes(client, msg):
    """Sends the ClientHello's record one octet a segment."""
    if not isinstance(msg, ClientHello):
        return [msg]
    octets = bytes(msg.write())
    client._handshake_hash.update(octets)
    for octet in record(HANDSHAKE, octets, b"\x03\x01"):
        client.sock.socket.sendall(bytes([octet]))
    return []


# What is done later.


def on(kind, change):
    """Puts what `change` gives in the place of messages of this class."""
    return lambda client, msg: change(client, msg) if isinstance(msg, kind) else [msg]


def signature(change):
    def tamper(_client, msg):
        changed = CertificateVerify(msg.version)
        scheme, value = change(msg.signatureAlgorithm, bytes(msg.signature))
        return [changed.create(bytearray(value), scheme)]

    return on(CertificateVerify, tamper)


def flipped(octets, at):
    changed = bytearray(octets)
    changed[at] ^= 1
    return changed


def as_raw_pair(der):
    """r and s beside each other, as JOSE has them and TLS does not."""
    r_length = der[3]
    r = int.from_bytes(der[4 : 4 + r_length], "big")
    s = int.from_bytes(der[6 + r_length :], "big")
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def body_cut(_client, msg):
    octets = msg.write()
    return [handshake_message(octets[0], octets[4:-5])]


def finished(change):
    def tamper(_client, msg):
        octets = msg.write()
        return [handshake_message(HandshakeType.finished, change(bytes(octets[4:])))]

    return on(Finished, tamper)


def before(kind, *messages):
    return on(kind, lambda _client, msg: [*messages, msg])


def instead(kind, *messages):
    return on(kind, lambda _client, _msg: list(messages))


def other_share(msg):
    return changed(msg, {ExtensionType.key_share: vector(2, b"\x01\x00" + vector(2, bytes(256)))})


def with_flipped_signature(msg):
    msg.signature = flipped(msg.signature, -1)
    return msg


# What is done after the handshake.


def send_message(*messages):
    def after(client):
        client.tamper = plainly
        for msg in messages:
            for _ in client._sendMsg(msg, update_hashes=False):
                pass

    return after


def send_plainly(octets):
    def after(client):
        client.sock.socket.sendall(octets)

    return after


def garble(client):
    """A record whose tag does not fit."""
    client.sock.socket.sendall(record(DATA, bytes(64)))


def hello_again(client):
    send_message(client.first_hello)(client)


def keep_hello(client, msg):
    if isinstance(msg, ClientHello):
        client.first_hello = Message(HANDSHAKE, bytearray(msg.write()))
    return [msg]


def key_update(value):
    return handshake_message(24, bytes([value]))


# TLS 1.2.


def early_ccs(client, msg):
    """ChangeCipherSpec before any key is agreed on (CVE-2014-0224)."""
    if isinstance(msg, ClientHello):
        return [msg, Message(CCS, bytearray([1]))]
    return [msg]


def without_ccs(_client, msg):
    return [] if msg.contentType == CCS else [msg]


SNI = ExtensionType.server_name
P256, X25519 = 0x0017, 0x001D


def share(group, octets):
    return struct.pack(">H", group) + vector(2, octets)


def shares(group, entries):
    """Offers one group alone, and these shares."""
    return hello(
        lambda msg: changed(
            msg,
            {
                ExtensionType.supported_groups: vector(2, struct.pack(">H", group)),
                ExtensionType.key_share: vector(2, entries),
            },
        )
    )


def name(kind, text):
    return bytes([kind]) + vector(2, text)


# Octets before any handshake, on a connection of their own.
RAW = {
    "record-of-nothing-known": record(99, b"hello"),
    "record-of-another-protocol": b"GET / HTTP/1.1\r\nHost: wiki.localhost\r\n\r\n",
    "record-version-9": record(HANDSHAKE, b"\x01\x00\x00\x00", b"\x09\x09"),
    "record-too-long": record(HANDSHAKE, bytes(0x4900)),
    "record-said-too-long": record(HANDSHAKE, b"", length=0xFFFF),
    "record-empty-handshake": record(HANDSHAKE, b""),
    "record-empty-alert": record(ALERT, b""),
    "record-data-first": record(DATA, b"GET / HTTP/1.1\r\n\r\n"),
    "record-data-empty-first": record(DATA, b""),
    "record-ccs-first": record(CCS, b"\x01"),
    "record-ccs-many": record(CCS, b"\x01") * 200,
    "record-ccs-of-2": record(CCS, b"\x02"),
    "record-heartbeat-first": record(HEARTBEAT, b"\x01\x40\x00"),
    "record-warnings-many": record(ALERT, b"\x01\x00") * 200,
    "message-unknown": record(HANDSHAKE, b"\x63\x00\x00\x00"),
    "message-finished-first": record(HANDSHAKE, b"\x14\x00\x00\x20" + bytes(32)),
    "message-server-hello": record(HANDSHAKE, b"\x02\x00\x00\x26\x03\x03" + bytes(36)),
    "message-too-long": record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(1000)),
    "sslv2-hello": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37),
}

# A handshake with one thing changed on the way.
TAMPERED = {
    "control": plainly,
    "control-octet-by-octet": in_writes,
    "control-records-of-16": in_records(16),
    "hello-records-of-1": in_records(1),
    "hello-cut-short": hello(cut_short),
    "hello-with-rest": hello(with_rest),
    "hello-session-id-33": set_attribute("session_id", bytearray(33)),
    "hello-compression": set_attribute("compression_methods", [1]),
    "hello-no-compression": set_attribute("compression_methods", []),
    "hello-no-shared-cipher": set_attribute("cipher_suites", [0x1399]),
    "hello-no-ciphers": set_attribute("cipher_suites", []),
    "hello-extension-twice": hello(twice),
    "hello-no-extensions": set_attribute("extensions", None),
    "hello-versions-unknown": replace(ExtensionType.supported_versions, vector(1, b"\x03\x09")),
    "hello-versions-empty": replace(ExtensionType.supported_versions, vector(1, b"")),
    "hello-tls12-only": without(ExtensionType.supported_versions),
    "hello-groups-empty": replace(ExtensionType.supported_groups, vector(2, b"")),
    "hello-groups-unknown": hello(
        lambda msg: changed(
            msg, {ExtensionType.supported_groups: vector(2, b"\x99\x99"), ExtensionType.key_share: vector(2, b"")}
        )
    ),
    "hello-groups-missing": without(ExtensionType.supported_groups),
    "hello-groups-odd": replace(ExtensionType.supported_groups, vector(2, b"\x00\x17\x00")),
    "hello-share-missing": without(ExtensionType.key_share),
    "hello-share-of-zeros": shares(X25519, share(X25519, bytes(32))),
    "hello-share-off-curve": shares(P256, share(P256, b"\x04" + bytes(64))),
    "hello-share-compressed": shares(P256, share(P256, b"\x02" + bytes(31) + b"\x05")),
    "hello-share-twice": shares(X25519, 2 * share(X25519, b"\x09" + bytes(31))),
    "hello-share-empty": shares(X25519, share(X25519, b"")),
    "hello-share-short": shares(X25519, share(X25519, bytes(31))),
    "hello-share-not-offered": shares(P256, share(X25519, b"\x09" + bytes(31))),
    "hello-signatures-missing": without(ExtensionType.signature_algorithms),
    "hello-signatures-empty": replace(ExtensionType.signature_algorithms, vector(2, b"")),
    "hello-signatures-unknown": replace(ExtensionType.signature_algorithms, vector(2, b"\x99\x99")),
    "hello-psk-not-last": add(ExtensionType.pre_shared_key, vector(2, vector(2, b"x") + bytes(4)) + vector(2, vector(1, bytes(32)))),
    "hello-early-data": add(ExtensionType.early_data, b""),
    "hello-early-data-with-body": add(ExtensionType.early_data, b"x"),
    "hello-alpn-empty": add(ExtensionType.alpn, vector(2, b"")),
    "hello-alpn-empty-name": add(ExtensionType.alpn, vector(2, vector(1, b""))),
    "hello-alpn-unknown": add(ExtensionType.alpn, vector(2, vector(1, b"spdy/3"))),
    "hello-sni-address": replace(SNI, vector(2, name(0, b"127.0.0.1"))),
    "hello-sni-empty": replace(SNI, vector(2, b"")),
    "hello-sni-empty-name": replace(SNI, vector(2, name(0, b""))),
    "hello-sni-two-names": replace(SNI, vector(2, name(0, b"wiki.localhost") + name(0, b"payroll.localhost"))),
    "hello-sni-nul": replace(SNI, vector(2, name(0, b"wiki.localhost\0.evil.test"))),
    "hello-sni-dot-at-end": replace(SNI, vector(2, name(0, b"wiki.localhost."))),
    "hello-sni-not-ascii": replace(SNI, vector(2, name(0, b"wiki.localh\xf6st"))),
    "hello-sni-said-longer": replace(SNI, struct.pack(">H", 99) + name(0, b"wiki.localhost")),
    "signature-other-key": None,
    "signature-bit-first": signature(lambda scheme, value: (scheme, flipped(value, 8))),
    "signature-bit-last": signature(lambda scheme, value: (scheme, flipped(value, -1))),
    "signature-empty": signature(lambda scheme, value: (scheme, b"")),
    "signature-cut": signature(lambda scheme, value: (scheme, value[:-1])),
    "signature-longer": signature(lambda scheme, value: (scheme, value + b"\0")),
    "signature-raw": signature(lambda scheme, value: (scheme, as_raw_pair(value))),
    "signature-of-zeros": signature(lambda scheme, value: (scheme, b"\x30\x06\x02\x01\x00\x02\x01\x00")),
    "signature-scheme-of-another-hash": signature(lambda scheme, value: (SignatureScheme.ecdsa_secp384r1_sha384, value)),
    "signature-scheme-of-another-key": signature(lambda scheme, value: (SignatureScheme.rsa_pss_rsae_sha256, value)),
    "signature-scheme-sha1": signature(lambda scheme, value: ((2, 3), value)),
    "signature-scheme-unknown": signature(lambda scheme, value: ((0x99, 0x99), value)),
    "signature-message-cut": on(CertificateVerify, body_cut),
    "signature-missing": on(CertificateVerify, lambda _client, _msg: []),
    "signature-twice": on(CertificateVerify, lambda _client, msg: [msg, msg]),
    "signature-before-certificate": before(Certificate, handshake_message(15, b"\x04\x03\x00\x00")),
    "certificate-missing": on(Certificate, lambda _client, _msg: []),
    "certificate-garbage": instead(Certificate, handshake_message(11, b"\0" + vector(3, vector(3, b"garbage") + b"\0\0"))),
    "certificate-with-context": instead(Certificate, handshake_message(11, vector(1, b"x") + vector(3, b""))),
    "certificate-list-too-long": instead(Certificate, handshake_message(11, b"\0" + b"\xff\xff\xff" + bytes(100))),
    "finished-wrong": finished(lambda value: flipped(value, 0)),
    "finished-short": finished(lambda value: value[:-1]),
    "finished-long": finished(lambda value: value + b"\0"),
    "finished-empty": finished(lambda value: b""),
    "data-before-finished": before(Finished, Message(DATA, bytearray(b"GET / HTTP/1.1\r\n\r\n"))),
    "key-update-before-finished": before(Finished, key_update(0)),
    "hello-before-finished": before(Finished, handshake_message(1, bytes(50))),
    "unknown-before-finished": before(Finished, handshake_message(99, b"")),
    "retry-control": plainly,
    "retry-without-share": second_hello(lambda msg: changed(msg, {ExtensionType.key_share: None})),
    "retry-with-another-share": second_hello(other_share),
    "retry-with-early-data": second_hello(
        lambda msg: msg.extensions.insert(0, raw_extension(ExtensionType.early_data, b""))
    ),
    "retry-with-no-shared-cipher": second_hello(lambda msg: setattr(msg, "cipher_suites", [0x1399])),
}

# A good handshake, then this.
AFTER = {
    "after-renegotiation": hello_again,
    "after-finished": send_message(handshake_message(20, bytes(32))),
    "after-certificate": send_message(handshake_message(11, b"\0" + vector(3, b""))),
    "after-unknown": send_message(handshake_message(99, b"")),
    "after-key-update-of-2": send_message(key_update(2)),
    "after-key-update-cut": send_message(handshake_message(24, b"")),
    "after-ccs": send_message(Message(CCS, bytearray([1]))),
    "after-heartbeat": send_message(Message(HEARTBEAT, bytearray(b"\x01\x40\x00"))),
    "after-garbled": garble,
    "after-plain-data": send_plainly(record(DATA, b"GET / HTTP/1.1\r\n\r\n")),
    "after-plain-alert": send_plainly(record(ALERT, b"\x02\x28")),
    "after-half-a-message-then-data": send_message(
        Message(HANDSHAKE, bytearray(b"\x18\x00")), Message(DATA, bytearray(b"GET / HTTP/1.1\r\n\r\n"))
    ),
    "after-many-empty-records": send_message(*[Message(DATA, bytearray()) for _ in range(300)]),
}

# The same where TLS 1.2 is let through.
OLD = {
    "old-control": plainly,
    "old-early-ccs": early_ccs,
    "old-without-ccs": without_ccs,
    "old-finished-wrong": finished(lambda value: flipped(value, 0)),
    "old-signature-bit": on(CertificateVerify, lambda _client, msg: [with_flipped_signature(msg)]),
    "old-signature-missing": on(CertificateVerify, lambda _client, _msg: []),
    "old-no-shared-cipher": set_attribute("cipher_suites", [0x000A, 0x00FF]),
    "old-rsa-key-exchange": set_attribute("cipher_suites", [0x009C, 0x002F, 0x00FF]),
    "old-no-extended-master-secret": without(ExtensionType.extended_master_secret),
}

# The versions that nobody speaks any more.
VERSIONS = {"version-tls11": (3, 2), "version-tls10": (3, 1), "version-sslv3": (3, 0)}


class Cases:
    def __init__(self, host, port, server_name, certificate, key, other_key):
        self.place = (host, int(port))
        self.server_name = server_name
        self.chain = X509CertChain()
        self.chain.parsePemList(open(certificate).read())
        self.key = parsePEMKey(open(key).read(), private=True)
        self.other_key = parsePEMKey(open(other_key).read(), private=True)

    def run(self, case):
        sock = socket.create_connection(self.place, PATIENCE)
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return self.raw(sock, RAW[case]) if case in RAW else self.handshake(sock, case)
        finally:
            sock.close()

    def handshake(self, sock, case):
        client = Client(sock, tamper_of(case))
        try:
            try:
                return self.go_through(client, case)
            except (BrokenPipeError, ConnectionResetError):
                # The server said why before it closed: that is still to be read.
                for _ in client._getMsg(ContentType.application_data):
                    pass
                return "closed"
        except TLSRemoteAlert as alert:
            return "alert " + AlertDescription.toStr(alert.description)
        except TLSLocalAlert as alert:
            # The server went on, in a way that this client does not.
            return "went on: " + AlertDescription.toStr(alert.description)
        except socket.timeout:
            return "silent"
        except (TLSAbruptCloseError, OSError):
            return "closed"

    def go_through(self, client, case):
        key = self.other_key if case == "signature-other-key" else self.key
        client.handshakeClientCert(self.chain, key, settings=settings_of(case), serverName=self.server_name)
        if case in AFTER:
            AFTER[case](client)
            # What the server says to that comes before any answer, which nobody asked for yet.
            client.sock.settimeout(SHORTLY)
            try:
                client.read(min=1, max=1)
            except socket.timeout:
                client.sock.settimeout(PATIENCE)
        return self.ask(client)

    def ask(self, client):
        request = "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n".format(self.server_name)
        client.tamper = plainly
        for _ in client._sendMsg(Message(DATA, bytearray(request.encode()))):
            pass
        answer = client.read(min=1, max=4096)
        words = bytes(answer).split(b" ", 2)
        return "answered " + words[1].decode() if len(words) > 1 else "closed"

    def raw(self, sock, octets):
        """How octets end that are no handshake: by an alert in the clear, by a close, or not at all."""
        try:
            sock.sendall(octets)
        except OSError:
            pass
        answer = b""
        try:
            while len(answer) < 7:
                more = sock.recv(4096)
                if not more:
                    break
                answer += more
        except socket.timeout:
            return "silent"
        except OSError:
            pass
        if answer[:1] == bytes([ALERT]) and len(answer) >= 7:
            return "alert " + AlertDescription.toStr(answer[6])
        return "closed" if not answer else "answered {!r}".format(answer)


def tamper_of(case):
    if case in AFTER:
        return keep_hello
    return TAMPERED.get(case) or OLD.get(case) or plainly


def settings_of(case):
    settings = HandshakeSettings()
    # It would compress its certificate whether or not the server reads that.
    settings.certificate_compression_send = settings.certificate_compression_receive = []
    settings.minVersion = settings.maxVersion = (3, 3) if case in OLD else VERSIONS.get(case, (3, 4))
    if case in VERSIONS:
        settings.cipherNames = ["aes256", "aes128", "3des"]
        settings.macNames = ["sha"]
    if case.startswith("retry-"):
        # No share at all: the server has to ask for one.
        settings.keyShares = []
    elif "share" in case:
        settings.keyShares = ["x25519"]
    return settings


def main():
    cases = Cases(*sys.argv[1:])
    for line in sys.stdin:
        case = line.strip()
        print(case, cases.run(case), flush=True)


if __name__ == "__main__":
    main()
