"""A writer that fills a hash chain into SQLite at full speed, and the check of what became of it.

    chain.py write DATABASE   for ever; DATABASE.acked says what was committed
    chain.py check            a folder a line on standard input, a verdict a line on standard output

A row holds the hash of the row before it with its own payload, so that a lost, torn or doubled row
breaks the chain. When it is LIMIT rows long it is emptied and begins anew, as the next generation:
so the database stays small, however long the writer runs.
"""

import hashlib
import json
import os
import pathlib
import sqlite3
import struct
import sys

LIMIT = 20_000
# As many as fit into few pages: commits are what the capture has to live with.
ROWS = 8
ACKED = struct.Struct("<QQ")


def link(before: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(before + payload).digest()


def seed(generation: int) -> bytes:
    return link(b"generation", str(generation).encode())


def write(path: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # as Home Assistant's recorder
    db.execute(
        "CREATE TABLE IF NOT EXISTS chain (n INTEGER PRIMARY KEY, generation INTEGER NOT NULL, "
        "hash BLOB NOT NULL, payload BLOB NOT NULL)"
    )
    # In the order of the hashes, so that each commit writes to pages all over the file.
    db.execute("CREATE INDEX IF NOT EXISTS by_hash ON chain (hash)")
    acked = os.open(path + ".acked", os.O_RDWR | os.O_CREAT)
    generation, n, before = 1, 0, seed(1)
    db.execute("DELETE FROM chain")
    while True:
        db.execute("BEGIN IMMEDIATE")
        if n >= LIMIT:
            db.execute("DELETE FROM chain")
            generation, n, before = generation + 1, 0, seed(generation + 1)
        for _ in range(ROWS):
            n += 1
            payload = os.urandom(24)
            before = link(before, payload)
            db.execute("INSERT INTO chain VALUES (?, ?, ?, ?)", (n, generation, before, payload))
        db.execute("COMMIT")
        os.pwrite(acked, ACKED.pack(generation, n), 0)


def verdict(folder: pathlib.Path) -> dict:
    """What is wrong with the one database in a folder; nothing where all is well."""
    [acked] = folder.glob("*.acked")
    db = sqlite3.connect(acked.with_suffix(""))
    problems = [it for (it,) in db.execute("PRAGMA integrity_check") if it != "ok"]
    rows = db.execute("SELECT n, generation, hash, payload FROM chain ORDER BY n").fetchall()
    generation, count = rows[0][1] if rows else 0, len(rows)
    before = seed(generation)
    for expected, (n, its_generation, its_hash, payload) in enumerate(rows, 1):
        before = link(before, payload)
        if (n, its_generation, its_hash) != (expected, generation, before):
            problems.append(f"the chain breaks at {n} of {its_generation}, expected {expected}")
            break
    # What was committed before the hold is there; what is more was committed, not yet noted.
    noted = ACKED.unpack(acked.read_bytes())
    if (generation, count) < noted:
        problems.append(f"ends at {generation}:{count}, but {noted[0]}:{noted[1]} was committed")
    db.close()
    return {"problems": problems, "generation": generation, "rows": count}


def check() -> None:
    for line in sys.stdin:
        try:
            answer = verdict(pathlib.Path(line.strip()))
        except (sqlite3.Error, OSError, ValueError, struct.error) as err:
            answer = {"problems": [repr(err)], "generation": 0, "rows": 0}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    {"write": write, "check": check}[sys.argv[1]](*sys.argv[2:])
