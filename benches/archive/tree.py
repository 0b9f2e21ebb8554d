"""Makes a folder to archive, the same one each time: `tree.py FOLDER KIND SCALE`.

`home` is a configuration folder of 1.5 GB, with the shares of a home that has run for some years:
the recorder's database first, then pictures, logs, the sources and translations of custom
components, measured series, and `.storage`. What is in a file compresses about as its real model
does. `small` is 200,000 files of 148 MB in 2,000 folders. Both are as many times smaller as the
scale says.
"""

import array
from concurrent.futures import ProcessPoolExecutor
import hashlib
import json
from pathlib import Path
import random
import shutil
import sqlite3
import sys

MB = 1_000_000
START = 1_735_689_600

DATABASE = 712 * MB
PICTURES = 300 * MB
LOGS = 200 * MB
SOURCES = 150 * MB
SERIES = 120 * MB
STORAGE = 60 * MB
PACKAGES = 3 * MB

FOLDERS = 2_000
FILES = 100

ROOMS = "kitchen bath hall attic cellar garage garden office nursery porch living bedroom".split()
THINGS = "temperature humidity power energy motion door window battery light switch rssi co2".split()
WORDS = (
    "async await self entry state device entity config value return if not is None hass event data "
    "coordinator update sensor platform setup service call schema attribute name unique id unit "
    "class list dict str int float bool for in try except raise error logger debug warning timeout "
    "session client host port token refresh interval listener callback async_add_entities import "
    "from const typing Any final super init property yield with open close read write parse format"
).split()
TEXT = (
    "the of a to you your is and device this configuration enter please select already configured "
    "failed connect unexpected error invalid authentication password user name host port options "
    "update interval seconds enable disable entity sensor name title description abort step"
).split()

SCHEMA = """
CREATE TABLE state_attributes (attributes_id INTEGER PRIMARY KEY, hash BIGINT, shared_attrs TEXT);
CREATE TABLE states_meta (metadata_id INTEGER PRIMARY KEY, entity_id VARCHAR(255));
CREATE TABLE states (
    state_id INTEGER PRIMARY KEY, entity_id CHAR(0), state VARCHAR(255), attributes CHAR(0),
    event_id SMALLINT, last_changed CHAR(0), last_changed_ts FLOAT, last_reported_ts FLOAT,
    last_updated CHAR(0), last_updated_ts FLOAT, old_state_id INTEGER, attributes_id INTEGER,
    context_id CHAR(0), context_user_id CHAR(0), context_parent_id CHAR(0), origin_idx SMALLINT,
    context_id_bin BLOB, context_user_id_bin BLOB, context_parent_id_bin BLOB, metadata_id INTEGER);
CREATE INDEX ix_states_metadata_id_last_updated_ts ON states (metadata_id, last_updated_ts);
CREATE INDEX ix_states_last_updated_ts ON states (last_updated_ts);
CREATE INDEX ix_states_context_id_bin ON states (context_id_bin);
CREATE INDEX ix_states_attributes_id ON states (attributes_id);
CREATE INDEX ix_states_old_state_id ON states (old_state_id);
CREATE INDEX ix_state_attributes_hash ON state_attributes (hash);
CREATE TABLE statistics (
    id INTEGER PRIMARY KEY, created CHAR(0), created_ts FLOAT, metadata_id INTEGER,
    start CHAR(0), start_ts FLOAT, mean FLOAT, min FLOAT, max FLOAT, last_reset CHAR(0),
    last_reset_ts FLOAT, state FLOAT, sum FLOAT);
CREATE UNIQUE INDEX ix_statistics_statistic_id_start_ts ON statistics (metadata_id, start_ts);
CREATE INDEX ix_statistics_start_ts ON statistics (start_ts);
"""


def database(folder: Path, rng: random.Random, scale: int) -> None:
    """The recorder's tables and indexes, filled in the order of time."""
    db = sqlite3.connect(folder / "home-assistant_v2.db")
    db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" + SCHEMA)
    names = [f"sensor.{room}_{thing}_{n}" for n in range(4) for room in ROOMS for thing in THINGS]
    db.executemany("INSERT INTO states_meta VALUES (?, ?)", enumerate(names, 1))
    values = [rng.uniform(0, 100) for _ in names]
    last: list[int | None] = [None] * len(names)
    state_id = 0
    hour = 0
    while db.execute("PRAGMA page_count").fetchone()[0] * 4096 < DATABASE // scale:
        states = []
        for _ in range(20_000):
            state_id += 1
            which = min(int(rng.expovariate(6 / len(names))), len(names) - 1)
            values[which] += rng.gauss(0, 0.4)
            when = START + state_id * 0.83 + rng.random()
            text = f"{values[which]:.2f}" if which % 12 < 6 else ("on" if rng.random() < 0.5 else "off")
            context = int(when * 1000).to_bytes(6, "big") + rng.randbytes(10)
            states.append(
                (state_id, None, text, None, None, None, when - 5 if rng.random() < 0.3 else None)
                + (None, None, when, last[which], which % 400 + 1, None, None, None, 0)
                + (context, None, None, which + 1)
            )
            last[which] = state_id
        db.executemany(f"INSERT INTO states VALUES ({','.join('?' * 20)})", states)
        attributes = [
            (rng.getrandbits(32), json.dumps(
                {
                    "state_class": "measurement",
                    "unit_of_measurement": rng.choice(["°C", "%", "W", "kWh", "ppm"]),
                    "friendly_name": rng.choice(names)[7:].replace("_", " ").title(),
                    "voltage": rng.randrange(2900, 3300),
                    "linkquality": rng.randrange(255),
                }
            ))
            for _ in range(600)
        ]
        db.executemany("INSERT INTO state_attributes (hash, shared_attrs) VALUES (?, ?)", attributes)
        statistics = []
        for _ in range(6):
            hour += 1
            when = START + hour * 3600.0
            for which, value in enumerate(values, 1):
                statistics.append(
                    (when + 10.5, which, when, value, value - rng.random(), value + rng.random())
                )
        db.executemany(
            "INSERT INTO statistics (created_ts, metadata_id, start_ts, mean, min, max)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            statistics,
        )
        db.commit()
    db.execute("PRAGMA journal_mode=WAL")
    db.close()


def pictures(folder: Path, rng: random.Random, scale: int) -> None:
    """Entropy-coded bytes with a JPEG's head and foot; nothing can compress them further."""
    for n, size in sizes(rng, PICTURES // scale, 40_000, 900_000):
        head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x48\x00\x48\x00\x00"
        content = rng.randbytes(size).replace(b"\xff", b"\xff\x00")
        put(folder / f"www/snapshots/camera_{n % 7}/{n:05}.jpg", head + content + b"\xff\xd9")


def sources(folder: Path, rng: random.Random, scale: int) -> None:
    for n, size in sizes(rng, SOURCES // scale, 600, 43_000):
        where = folder / f"custom_components/component_{n // 48:03}"
        if n % 3 == 0:
            keys = {
                f"{rng.choice(TEXT)}_{rng.choice(THINGS)}_{k}": " ".join(rng.choices(TEXT, k=9))
                for k in range(size // 70)
            }
            text = json.dumps({"config": {"step": keys}}, indent=2)
            put(where / f"translations/l{n % 48:02}.json", text.encode())
        else:
            put(where / f"module_{n % 48:02}.py", code(rng, size).encode())


def code(rng: random.Random, size: int) -> str:
    lines = ['"""Support for a device."""', ""]
    length = 0
    while length < size:
        depth = rng.choice((1, 1, 2, 2, 2, 3, 4))
        head = "def" if depth == 1 else rng.choice(("self.", "if ", "return ", "_LOGGER.debug("))
        name = f"{rng.choice(WORDS)}_{rng.choice(WORDS)}"
        line = f"{'    ' * depth}{head}{name} {' '.join(rng.choices(WORDS, k=rng.randint(1, 7)))}"
        lines.append(line)
        length += len(line) + 1
    return "\n".join(lines) + "\n"


def series(folder: Path, rng: random.Random, scale: int) -> None:
    """Binary files of 64-bit floats, as measuring and forecasting components keep them."""
    for n, size in sizes(rng, SERIES // scale, 500_000, 6_000_000):
        value = rng.uniform(0, 40)
        samples = array.array("d")
        for _ in range(size // 8):
            value += rng.random() - 0.5
            samples.append(round(value, 3))
        put(folder / f"series/{n:03}.bin", samples.tobytes())


def logs(folder: Path, rng: random.Random, scale: int) -> None:
    parts = [f"custom_components.component_{n:03}" for n in range(90)]
    for n, size in sizes(rng, LOGS // scale, 1_000_000, 9_000_000):
        lines = []
        length = 0
        while length < size:
            second = rng.randrange(86_400)
            line = (
                f"2026-01-{n % 28 + 1:02} {second // 3600:02}:{second // 60 % 60:02}:"
                f"{second % 60:02}.{rng.randrange(1000):03} "
                f"{rng.choice(('DEBUG', 'INFO', 'WARNING'))} (MainThread) [{rng.choice(parts)}] "
                f"{rng.choice(WORDS)} {rng.choice(ROOMS)}_{rng.choice(THINGS)}: "
                f"{rng.random() * 100:.3f}, {' '.join(rng.choices(TEXT, k=5))}\n"
            )
            lines.append(line)
            length += len(line)
        put(folder / f"history/{n:03}.txt", "".join(lines).encode())


def storage(folder: Path, rng: random.Random, scale: int) -> None:
    for n, size in sizes(rng, STORAGE // scale, 20_000, 4_000_000):
        entities = [
            {
                "entity_id": f"sensor.{rng.choice(ROOMS)}_{rng.choice(THINGS)}_{k}",
                "id": rng.randbytes(16).hex(),
                "device_id": rng.randbytes(16).hex(),
                "unique_id": rng.randbytes(8).hex(),
                "created_at": f"2025-0{k % 9 + 1}-11T08:11:22.{rng.randrange(10**6):06}+00:00",
                "disabled_by": None,
                "options": {"conversation": {"should_expose": rng.random() < 0.3}},
            }
            for k in range(size // 380)
        ]
        text = json.dumps({"version": 1, "key": f"core.store_{n}", "data": entities}, indent=2)
        put(folder / f".storage/core.store_{n}", text.encode())


def packages(folder: Path, rng: random.Random, scale: int) -> None:
    """What people write by hand."""
    for n, size in sizes(rng, PACKAGES // scale, 400, 6_700):
        lines = ["automation:"]
        for k in range(size // 110):
            where, what = rng.choice(ROOMS), rng.choice(THINGS)
            lines.append(f"  - alias: {where} {what} {k}")
            lines.append(f"    triggers: [{{trigger: state, entity_id: sensor.{where}_{what}}}]")
        put(folder / f"packages/{n:04}.yaml", "\n".join(lines).encode())


def small(folder: Path, rng: random.Random, scale: int) -> None:
    """Many small files, which are pieces of one text."""
    text = code(rng, MB).encode()
    for n in range(FOLDERS // scale):
        where = folder / f"{n // 50:02}/{n % 50:02}"
        where.mkdir(parents=True)
        for k in range(FILES):
            begin, size = rng.randrange(len(text) - 2_020), int(100 + 1_920 * rng.random() ** 2)
            (where / f"{k:02}.json").write_bytes(text[begin : begin + size])


def sizes(rng: random.Random, total: int, least: int, most: int):
    """Numbered sizes between the two bounds, small ones more often, up to a total."""
    n = 0
    while total > 0:
        size = int(least + (most - least) * rng.random() ** 2)
        yield n, size
        total -= size
        n += 1


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


KINDS = {
    # The slowest first: each is made in a process of its own.
    "home": (database, logs, sources, storage, series, pictures, packages),
    "small": (small,),
}


def main(folder: Path, kind: str, scale: int) -> None:
    stamp = folder.with_suffix(".stamp")
    version = f"{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()} {kind} {scale}"
    if stamp.exists() and stamp.read_text() == version:
        return
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    put(folder / ".HA_VERSION", b"2026.2.3")
    put(folder / "configuration.yaml", b"default_config:\n")
    with ProcessPoolExecutor() as pool:
        parts = KINDS[kind]
        made = [pool.submit(it, folder, random.Random(it.__name__), scale) for it in parts]
        for it in made:
            it.result()
    stamp.write_text(version)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
