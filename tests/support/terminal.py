"""A person at a terminal: terminal.py PROMPT KEYS PROGRAM [WORD]... runs the program on a terminal of
its own, waits until it asks and shows no more what is typed, types the keys, and prints what came
of it. KEYS that begin with SIG are a signal instead.
"""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

DEADLINE = time.monotonic() + 60
prompt, keys, *words = sys.argv[1:]
ours, theirs = pty.openpty()
said = b""


def look() -> None:
    global said
    if time.monotonic() > DEADLINE:
        child.kill()
        sys.exit(f"still waiting: {said!r}")
    if select.select([ours], [], [], 0.02)[0]:
        said += os.read(ours, 65536)


def echoes() -> bool:
    return bool(termios.tcgetattr(theirs)[3] & termios.ECHO)


before = termios.tcgetattr(theirs)
child = subprocess.Popen(
    words,
    stdin=theirs,
    stdout=theirs,
    stderr=theirs,
    start_new_session=True,
    preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),
)
while prompt.encode() not in said or echoes():
    if child.poll() is not None:
        sys.exit(f"it ended before it asked: {said!r}")
    look()
if keys.startswith("SIG"):
    child.send_signal(getattr(signal, keys))
else:
    os.write(ours, keys.encode())
while child.poll() is None:
    look()
while select.select([ours], [], [], 0)[0]:
    said += os.read(ours, 65536)
is_as_before = termios.tcgetattr(theirs) == before
print(json.dumps({"code": child.returncode, "said": said.decode(), "is_as_before": is_as_before}))
