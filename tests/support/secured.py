"""What the package securetar reads of a backup: secured.py FILE PASSWORD-FILE streamed|seekable.

Prints {member: {"format": 1|2|3|null, "names": {entry: [kind, size, sha256 of a file's content]}}}
of the inner tars, or {"error": "password"} where Home Assistant would say so. What is encrypted is
read to its end: what is damaged or cut off ends in an exception.

streamed: once from front to back, as Home Assistant does when it decrypts on the way.
seekable: member by member, as its restore and the Supervisor do.
"""

import hashlib
import json
import sys
import tarfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

from securetar import (
    InvalidPasswordError,
    SecureTarArchive,
    SecureTarFile,
    SecureTarReadError,
)

KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "fifo",
}
METADATA = ("./backup.json", "./snapshot.json")
SUFFIXES = (".tar", ".tar.gz", ".tgz")
# What Home Assistant takes for a wrong password, as long as nothing has been read.
REFUSALS = (InvalidPasswordError, SecureTarReadError, tarfile.ReadError)


class WrongPassword(Exception):
    """A member could not be opened."""


@contextmanager
def opening():
    try:
        yield
    except REFUSALS as err:
        raise WrongPassword from err


class Forward:
    """A file that cannot be sought in, and counts what is read of it."""

    def __init__(self, file):
        self.file = file
        self.count = 0

    def read(self, size):
        data = self.file.read(size)
        self.count += len(data)
        return data

    def drain(self):
        while self.read(1 << 20):
            pass


def survey(path):
    """Whether the backup is protected, and the format of each inner tar."""
    protected, formats = False, {}
    with tarfile.open(path, "r:") as outer:
        for member in outer:
            if member.name in METADATA:
                protected = bool(json.load(outer.extractfile(member)).get("protected"))
            elif member.name.endswith(SUFFIXES):
                head = outer.extractfile(member).read(512)
                formats[member.name] = version(head)
    return protected, formats


def version(head):
    if head.startswith(b"SecureTar"):
        return head[9]
    is_plain = head.startswith(b"\x1f\x8b\x08") or head[257:262] == b"ustar"
    return None if is_plain else 1


def contents(tar):
    names = {}
    for entry in tar:
        digest = None
        if entry.isreg():
            digest = hashlib.sha256()
            file, left = tar.extractfile(entry), entry.size
            while data := file.read(1 << 20):
                digest.update(data)
                left -= len(data)
            assert left == 0, f"{entry.name} is cut off"
            digest = digest.hexdigest()
        assert entry.name not in names, f"{entry.name} is there twice"
        names[entry.name] = [KINDS.get(entry.type, "other"), entry.size, digest]
    return names


def streamed(path, password):
    with (
        path.open("rb") as file,
        SecureTarArchive(fileobj=Forward(file), streaming=True, password=password) as archive,
    ):
        for member in archive.tar:
            if not member.name.endswith(SUFFIXES):
                continue
            mode = "r|" if member.name.endswith(".tar") else "r|gz"
            with ExitStack() as stack:
                with opening():
                    if password is None:
                        inner = archive.tar.extractfile(member)
                    else:
                        inner = stack.enter_context(archive.extract_tar(member))
                    counted = Forward(inner)
                    tar = stack.enter_context(tarfile.open(fileobj=counted, mode=mode))
                yield member.name, contents(tar)
                if password is not None:
                    counted.drain()
                    # Unknown in the oldest format.
                    assert inner.plaintext_size in (None, counted.count), member.name


def seekable(path, password):
    with SecureTarArchive(path, password=password) as archive:
        for member in archive.tar.getmembers():
            if not member.name.endswith(SUFFIXES):
                continue
            if password is not None and not archive.validate_password(member):
                raise WrongPassword
            with ExitStack() as stack:
                file = archive.tar.extractfile(member)
                gzip = not member.name.endswith(".tar")
                inner = SecureTarFile(fileobj=file, gzip=gzip, password=password)
                with opening():
                    tar = stack.enter_context(inner)
                yield member.name, contents(tar)
            assert password is None or archive.validate(member), f"{member.name} is damaged"


path, password_file, how = sys.argv[1:]
protected, formats = survey(path)
password = Path(password_file).read_text(encoding="utf-8").removesuffix("\n") if protected else None
try:
    read = {"streamed": streamed, "seekable": seekable}[how](Path(path), password)
    print(json.dumps({name: {"format": formats[name], "names": names} for name, names in read}))
except WrongPassword:
    print(json.dumps({"error": "password"}))
