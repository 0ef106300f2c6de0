"""A mail server for the stories: aiosmtpd, which keeps what it gets and fails when it is told to.

Arguments: a folder; how it protects itself (plain, starttls or tls), and then, where it does, the files of certificate
and key. It prints its port on 127.0.0.1. In the folder:

- N.json: each mail taken, in order: {"from", "to", "subject", "text", "html", "raw"};
- events: each connection and command, a line each: "clear RCPT" or "tls RCPT";
- behaviour: how it behaves from now on, one line; without the file it is good:
    reply STEP TEXT   answers STEP so
    stall STEP        says nothing more at STEP
    drop STEP         hangs up at STEP; at CONTENT after the first bytes, at END when it has kept the mail
    slow              waits three seconds before each line it says
    flood             says one line without end
    forge             puts replies of its own behind the answer to STARTTLS
  STEP is a command, GREETING, CONTENT or END (of the mail).

With AUTH it takes the user "mailer" with the password "pa/ss:wörd" alone, and tries no others.
"""

import asyncio
import email
import email.policy
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder, protection, *files = sys.argv[1:]
COMMANDS = ["EHLO", "STARTTLS", "AUTH", "NOOP", "MAIL", "RCPT", "DATA", "RSET", "QUIT"]
# What a whole mail would be answered.
FORGED = "\r\n250-forged\r\n250 AUTH PLAIN\r\n235 in\r\n250 from\r\n250 to\r\n354 go on\r\n250 taken"


def behaviour():
    try:
        with open(os.path.join(folder, "behaviour"), encoding="utf-8") as file:
            return file.read().strip().split(" ", 2)
    except FileNotFoundError:
        return ["good"]


def part(mail, kind):
    body = mail.get_body((kind,))
    return body.get_content() if body else ""


class Handler:
    kept = 0

    def keep(self, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        content = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["subject"],
            "text": part(mail, "plain"),
            "html": part(mail, "html"),
            "raw": envelope.content.decode("utf-8"),
        }
        draft = os.path.join(folder, "draft")
        with open(draft, "w", encoding="utf-8") as file:
            json.dump(content, file)
        os.rename(draft, os.path.join(folder, f"{self.kept:06}.json"))
        self.kept += 1

    async def handle_DATA(self, server, session, envelope):
        match behaviour():
            case ["reply", "END", text]:
                return text
            case ["stall", "END"]:
                await asyncio.Future()
            case ["drop", "END"]:
                self.keep(envelope)
                server.hangs_up()
                await asyncio.Future()
        self.keep(envelope)
        return "250 2.0.0 taken"


class Server(SMTP):
    def note(self, event):
        secure = self._tls_protocol is not None or self.transport.get_extra_info("ssl_object") is not None
        with open(os.path.join(folder, "events"), "a", encoding="utf-8") as file:
            file.write(f"{'tls' if secure else 'clear'} {event}\n")

    def hangs_up(self):
        (self._original_transport or self.transport).abort()

    async def push(self, status):
        now = behaviour()
        if now == ["slow"]:
            await asyncio.sleep(3)
        if now == ["forge"] and str(status).startswith("220 Ready"):
            status += FORGED
        await super().push(status)

    async def _handle_client(self):
        self.note("CONNECT")
        match behaviour():
            case ["reply", "GREETING", text]:
                await self.push(text)
                self.transport.close()
                return
            case ["stall", "GREETING"]:
                await asyncio.Future()
            case ["drop", "GREETING"]:
                self.hangs_up()
                return
            case ["flood"]:
                while True:
                    self._writer.write(b"2" * 65536)
                    await self._writer.drain()
        await super()._handle_client()

    async def at(self, step, usual, arg):
        self.note(step)
        match behaviour():
            case ["reply", at, text] if at == step:
                await self.push(text)
            case ["stall", at] if at == step:
                await asyncio.Future()
            case ["drop", at] if at == step:
                self.hangs_up()
            case ["drop", "CONTENT"] if step == "DATA":
                await self.push("354 go on")
                await self._reader.read(100)
                self.hangs_up()
            case _:
                await usual(arg)


def stepping(command):
    usual = getattr(SMTP, f"smtp_{command}")

    async def step(self, arg):
        await self.at(command, lambda arg: usual(self, arg), arg)

    return step


for command in COMMANDS:
    setattr(Server, f"smtp_{command}", stepping(command))


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"mailer" and data.password == "pa/ss:wörd".encode()
    return AuthResult(success=good, handled=False)


async def main():
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    handler = Handler()
    make = lambda: Server(
        handler,
        hostname="mail.example.org",
        tls_context=context if protection == "starttls" else None,
        require_starttls=protection == "starttls",
        authenticator=authenticate,
        auth_require_tls=False,
        loop=asyncio.get_running_loop(),
    )
    listening = await asyncio.get_running_loop().create_server(
        make, "127.0.0.1", 0, ssl=context if protection == "tls" else None
    )
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


asyncio.run(main())
