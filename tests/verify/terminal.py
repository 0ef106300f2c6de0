"""Runs a program at a terminal of its own and types into it.

Standard input is a JSON array of `[wait for, type]`; prints as JSON what the terminal showed and the exit status.
"""

import json
import os
import pty
import select
import sys
import termios
import time

steps = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])

shown = b""
seen = 0
deadline = time.monotonic() + 60
while True:
    if steps and (at := shown.find(steps[0][0].encode(), seen)) >= 0:
        seen = at + len(steps[0][0])
        # The prompt comes before the terminal is told not to show what is typed; nobody types as fast as a program.
        while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < deadline:
            time.sleep(0.001)
        os.write(terminal, steps.pop(0)[1].encode())
        continue
    ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        sys.exit(f"it waits for something else: {shown!r}")
    try:
        piece = os.read(terminal, 4096)
    except OSError:  # Linux's way to say that nobody is at the other end any more
        piece = b""
    if not piece:
        break
    shown += piece
_, status = os.waitpid(pid, 0)
print(json.dumps({"shown": shown.decode(), "left": len(steps), "code": os.waitstatus_to_exitcode(status)}))
