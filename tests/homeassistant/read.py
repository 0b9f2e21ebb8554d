"""Reads a backup as plain Python, securetar and Home Assistant do: read.py FILE prints what each saw."""

import json
import sys
import tarfile
import zlib
from pathlib import Path

from homeassistant.components.backup import util
from securetar import SecureTarFile

METADATA = "./backup.json"
INDEX = "hearthkeep.index"  # of which only we know


def whole(path):
    """Names, and for each inner tar whether it is one gzip member and no byte more."""
    members = {}
    with tarfile.open(path, "r:") as outer:
        for member in outer:
            content = outer.extractfile(member).read()
            inflate = zlib.decompressobj(wbits=31)
            if member.name not in (METADATA, INDEX):
                inflate.decompress(content)
            members[member.name] = inflate.eof and not inflate.unused_data
    return members


def streamed(path, open_inner):
    """Names of the inner tars' entries, read once from front to back, each file to its end."""
    names = {}
    with tarfile.open(path, "r|") as outer:
        for member in outer:
            names[member.name] = []
            if member.name in (METADATA, INDEX):
                continue
            with open_inner(outer.extractfile(member)) as inner:
                for entry in inner:
                    names[member.name].append(entry.name)
                    if entry.isreg():
                        assert len(inner.extractfile(entry).read()) == entry.size
    return names


path = Path(sys.argv[1])
backup = util.read_backup(path)
print(
    json.dumps(
        {
            "whole": whole(path),
            "python": streamed(path, lambda it: tarfile.open(fileobj=it, mode="r|gz")),
            "securetar": streamed(path, lambda it: SecureTarFile(path, "r", gzip=True, fileobj=it)),
            "no_password": util.validate_password(path, None),
            "file_name": util.suggested_filename(backup),
            "backup": backup.as_dict(),
        }
    )
)
