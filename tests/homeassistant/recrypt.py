"""Home Assistant encrypts a backup and decrypts it again, as on the way to and from a store:
recrypt.py FILE ENCRYPTED DECRYPTED prints what became of its members."""

import json
import sys
import tarfile
from pathlib import Path

from homeassistant.components.backup import util

METADATA = "./backup.json"
PASSWORD = "lab-password"


def pipe(cipher, source, target):
    backup = util.read_backup(source)
    tars = len(backup.addons) + len(backup.folders) + backup.homeassistant_included + 1
    errors = []
    with source.open("rb") as incoming, target.open("wb") as outgoing:
        minimum = backup.size + tars * tarfile.RECORDSIZE
        cipher(backup, incoming, outgoing, PASSWORD, errors.append, minimum, util.NonceGenerator())
    assert errors == [None], errors


def members(path):
    with tarfile.open(path, "r:") as outer:
        return {it.name: outer.extractfile(it).read() for it in outer}


before, encrypted, decrypted = (Path(it) for it in sys.argv[1:])
pipe(util.encrypt_backup, before, encrypted)
pipe(util.decrypt_backup, encrypted, decrypted)
first, between, last = members(before), members(encrypted), members(decrypted)
print(
    json.dumps(
        {
            "opens": {it: util.validate_password(encrypted, it) for it in (PASSWORD, "another")},
            "encrypted": sorted(it for it in first if between.get(it) != first[it]),
            "changed": sorted(it for it in first | last if last.get(it) != first.get(it)),
            "metadata": [json.loads(it[METADATA]) for it in (first, between, last)],
        }
    )
)
