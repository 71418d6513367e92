#!/usr/bin/env python3
"""A mail server that keeps what it gets: receive.py PORT FOLDER starttls|tls|clear CERTIFICATE KEY USER PASSWORD.

Takes mail over TLS alone (but for `clear`, which offers none and takes all) and from USER alone, and writes each letter into
FOLDER. Each name that signs in goes to standard output as `login NAME`, each connection as `connected`."""
import asyncio
import itertools
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

PORT, FOLDER, KIND, CERTIFICATE, KEY, USER, PASSWORD = sys.argv[1:]
NUMBERS = itertools.count()


def say(text):
    print(text, flush=True)


class Keep:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 there is no such mailbox"
        if address.startswith("later@") and next(NUMBERS) == 0:
            return "451 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        over_tls = server.transport.get_extra_info("ssl_object") is not None
        if not over_tls and KIND != "clear":
            return "530 not in the clear"
        place = pathlib.Path(FOLDER)
        part = place / f"{len(list(place.iterdir())):04}.part"
        part.write_bytes(envelope.content)
        part.rename(part.with_suffix(".eml"))
        return "250 OK"


def sign_in(server, session, envelope, mechanism, data):
    name, password = data.login.decode(), data.password.decode()
    say(f"login {name}")
    # Not handled: the server itself says 535.
    return AuthResult(success=(name, password) == (USER, PASSWORD), handled=False)


def make():
    say("connected")
    kinds = {
        "starttls": dict(tls_context=context(), require_starttls=True),
        "tls": dict(auth_require_tls=False),
        "clear": dict(auth_require_tls=False),
    }
    must = dict(auth_required=True) if USER else {}
    return SMTP(Keep(), authenticator=sign_in, **must, **kinds[KIND])


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(CERTIFICATE, KEY)
    return made


async def main():
    secured = context() if KIND == "tls" else None
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", int(PORT), ssl=secured)
    say("ready")
    await server.serve_forever()


asyncio.run(main())
