"""A process of its own that does what it is told.

Each line of standard input is a piece of Python as a JSON string; each line of standard output says
what came of it: its value where it has one, in JSON.
"""

import json
import sys

scope: dict[str, object] = {}
for line in sys.stdin:
    words = json.loads(line)
    try:
        code = compile(words, "<told>", "eval")
    except SyntaxError:
        code = compile(words, "<told>", "exec")
    print(json.dumps(eval(code, scope)), flush=True)
