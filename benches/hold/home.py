"""What lies in a home and who writes to it, in a container of the lab's Home Assistant.

    home.py fill FOLDER FILES FOLDERS MB DATABASE_MB   files, and a recorder's database where MB > 0
    home.py write DATABASE                             what the recorder does, only more of it
"""

import os
import pathlib
import random
import signal
import sqlite3
import sys
import time

# Home Assistant commits once in five seconds, or once in one.
COMMITS_PER_SECOND = 100
ROWS_PER_COMMIT = 20
ATTRIBUTES = '{"unit_of_measurement":"W","device_class":"power","friendly_name":"Meter %d","noise":"%s"}'


def fill(folder: str, files: str, folders: str, megabytes: str, database_megabytes: str) -> None:
    top = pathlib.Path(folder)
    top.joinpath(".HA_VERSION").write_text("2026.2.3")
    n_files, n_folders = int(files), int(folders)
    size = int(megabytes) * 1_000_000 // n_files
    # Half of it can be compressed, as of pictures, sources and translations together.
    noise = random.Random(1).randbytes(2_000_000)
    text = b"switch.living_room: 'on'  # a line of a configuration\n" * 20_000
    for n in range(n_folders):
        top.joinpath(f"folder-{n}").mkdir()
    for n in range(n_files):
        half = size // 2
        begin = n * 4099 % (len(noise) - half)
        content = noise[begin : begin + half] + text[: size - half]
        top.joinpath(f"folder-{n % n_folders}", f"file-{n}").write_bytes(content)
    if int(database_megabytes):
        fill_database(top / "home-assistant_v2.db", int(database_megabytes) * 1_000_000)
    os.sync()


def fill_database(path: pathlib.Path, size: int) -> None:
    db = connect(str(path))
    while path.stat().st_size < size:
        db.execute("BEGIN")
        db.executemany("INSERT INTO states (time, attributes) VALUES (?, ?)", rows(20_000))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def write(path: str) -> None:
    # Process 1 ends of a signal only where it says so.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    db = connect(path)
    last = db.execute("SELECT coalesce(max(id), 1) FROM states").fetchone()[0]
    while True:
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO states (time, attributes) VALUES (?, ?)", rows(ROWS_PER_COMMIT))
        # Old rows change as well, so that checkpoints write all over the file.
        db.execute("UPDATE states SET time = time + 1 WHERE id = ?", (random.randint(1, last),))
        db.execute("COMMIT")
        time.sleep(1 / COMMITS_PER_SECOND)


def connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE IF NOT EXISTS states (id INTEGER PRIMARY KEY, time REAL, attributes TEXT)")
    db.execute("CREATE INDEX IF NOT EXISTS by_time ON states (time)")
    return db


def rows(count: int):
    now = time.time()
    return ((now + n / 1000, ATTRIBUTES % (n % 300, random.randbytes(100).hex())) for n in range(count))


if __name__ == "__main__":
    {"fill": fill, "write": write}[sys.argv[1]](*sys.argv[2:])
