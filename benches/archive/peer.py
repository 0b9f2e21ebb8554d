"""Writes and extracts a backup with securetar, as Home Assistant does.

`peer.py zlib|fast write|extract plain|v2|v3 SOURCE TARGET`

The calls are those of home-assistant/core (`homeassistant/components/backup/manager.py` and
`homeassistant/backup_restore.py`), which home-assistant/supervisor makes in the same way. `fast`
puts ISA-L in the place of zlib, as only the Supervisor does.
"""

import io
import json
from pathlib import Path
import sys
from tempfile import TemporaryDirectory

BUFSIZE = 4 * 1024 * 1024
PASSWORD = "benchmark"
METADATA = {
    "slug": "0badcafe",
    "version": 2,
    "name": "Benchmark",
    "date": "2026-01-01T00:00:00.000000+00:00",
    "type": "partial",
    "compressed": True,
    "protected": False,
    "homeassistant": {"version": "2026.2.3", "exclude_database": False},
    "folders": [],
    "addons": [],
}


def write(cipher: str, tree: Path, file: Path) -> None:
    options = {}
    if cipher != "plain":
        options = {"create_version": int(cipher[1:]), "password": PASSWORD}
    with securetar.SecureTarArchive(file, "w", bufsize=BUFSIZE, **options) as archive:
        metadata = json.dumps({**METADATA, "protected": cipher != "plain"}).encode()
        member = tarfile.TarInfo("./backup.json")
        member.size = len(metadata)
        archive.tar.addfile(member, io.BytesIO(metadata))
        with archive.create_tar("./homeassistant.tar.gz", gzip=True) as inner:
            securetar.atomic_contents_add(
                inner, tree, file_filter=lambda _: False, arcname="data"
            )


def extract(cipher: str, file: Path, folder: Path) -> None:
    """The outer tar into a temporary folder, then the inner one; both do it in these two steps."""
    password = None if cipher == "plain" else PASSWORD
    with TemporaryDirectory(dir=folder) as temporary:
        with securetar.SecureTarFile(file, gzip=False) as outer:
            outer.extractall(temporary, securetar.secure_path(outer), filter="fully_trusted")
        inner_path = Path(temporary, "homeassistant.tar.gz")
        with securetar.SecureTarFile(inner_path, gzip=True, password=password) as inner:
            inner.extractall(folder, securetar.secure_path(inner), filter="fully_trusted")


if __name__ == "__main__":
    library, what, cipher, source, target = sys.argv[1:]
    if library == "fast":
        import zlib_fast

        zlib_fast.enable()
    import tarfile

    import securetar

    {"write": write, "extract": extract}[what](cipher, Path(source), Path(target))
