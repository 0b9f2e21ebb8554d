"""Home Assistant encrypts a backup, or decrypts it, as on the way to and from a store:
recrypt.py PASSWORD FILE [encrypt|decrypt FILE]... prints of each file what its readers say and what
became of the members of the first."""

import json
import sys
import tarfile
from pathlib import Path

from homeassistant.components.backup import util

METADATA = "./backup.json"


def ways():
    """What it takes to encrypt, of an older and of a newer Home Assistant."""
    if hasattr(util, "NonceGenerator"):
        return util.NonceGenerator()
    from securetar import SecureTarRootKeyContext

    return SecureTarRootKeyContext(password)


def pipe(cipher, source, target):
    backup = util.read_backup(source)
    tars = len(backup.addons) + len(backup.folders) + backup.homeassistant_included + 1
    errors = []
    with source.open("rb") as incoming, target.open("wb") as outgoing:
        minimum = backup.size + tars * tarfile.RECORDSIZE
        cipher(backup, incoming, outgoing, password, errors.append, minimum, ways())
    assert errors == [None], errors


def members(path):
    with tarfile.open(path, "r:") as outer:
        return {it.name: outer.extractfile(it).read() for it in outer}


def look(path):
    now = members(path)
    return {
        "opens": {it: util.validate_password(path, it) for it in (password, "another")},
        "protected": util.read_backup(path).protected,
        "changed": sorted(it for it in first | now if now.get(it) != first.get(it)),
        "metadata": json.loads(now[METADATA]),
    }


password, source, *steps = sys.argv[1:]
paths = [Path(source)]
for way, target in zip(steps[::2], steps[1::2]):
    paths.append(Path(target))
    pipe(getattr(util, f"{way}_backup"), *paths[-2:])
first = members(paths[0])
print(json.dumps([look(it) for it in paths]))
