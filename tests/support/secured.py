"""What the package securetar reads of a backup: secured.py FILE PASSWORD-FILE streamed|seekable.

Prints {member: {"format": 1|2|3|null, "names": {entry: [kind, size, sha256 of a file's content]}}}
of the inner tars, or {"error": "password"} where Home Assistant would say so. What is encrypted is
read to its end: what is damaged or cut off ends in an exception.

streamed: once from front to back, as Home Assistant does when it decrypts on the way. But for the
oldest format, this also sees whether an inner tar is one gzip member and no byte more.
seekable: member by member, as its restore and the Supervisor do.
"""

import hashlib
import json
import sys
import tarfile
import zlib
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
GZIP = b"\x1f\x8b\x08"
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
    """A file that cannot be sought in, which notes what was read."""

    def __init__(self, file, note=lambda data: None):
        self.file = file
        self.note = note
        self.count = 0

    def read(self, size):
        data = self.file.read(size)
        self.count += len(data)
        self.note(data)
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
                formats[member.name] = version(outer.extractfile(member).read(512))
    return protected, formats


def version(head):
    if head.startswith(b"SecureTar"):
        return head[9]
    return None if head.startswith(GZIP) or head[257:262] == b"ustar" else 1


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


def streamed(path, password, formats):
    with (
        path.open("rb") as file,
        SecureTarArchive(fileobj=Forward(file), streaming=True, password=password) as archive,
    ):
        for member in archive.tar:
            if member.name not in formats:
                continue
            mode = "r|" if member.name.endswith(".tar") else "r|gz"
            inflate = zlib.decompressobj(wbits=31)
            is_checked = mode == "r|gz" and formats[member.name] != 1
            with ExitStack() as stack:
                with opening():
                    if password is None:
                        inner = archive.tar.extractfile(member)
                    else:
                        inner = stack.enter_context(archive.extract_tar(member))
                    clear = Forward(inner, inflate.decompress if is_checked else lambda data: None)
                    tar = stack.enter_context(tarfile.open(fileobj=clear, mode=mode))
                yield member.name, contents(tar)
                clear.drain()
                if password is not None:
                    # The oldest format does not tell.
                    assert inner.plaintext_size in (None, clear.count), member.name
            assert not is_checked or inflate.eof and not inflate.unused_data, member.name


def seekable(path, password, formats):
    with SecureTarArchive(path, password=password) as archive:
        for member in archive.tar.getmembers():
            if member.name not in formats:
                continue
            file = archive.tar.extractfile(member)
            gzip = not member.name.endswith(".tar")
            with ExitStack() as stack:
                with opening():
                    tar = stack.enter_context(
                        SecureTarFile(fileobj=file, gzip=gzip, password=password)
                    )
                yield member.name, contents(tar)
            assert password is None or archive.validate(member), f"{member.name} is damaged"


path, password_file, how = sys.argv[1:]
protected, formats = survey(path)
password = Path(password_file).read_text(encoding="utf-8").removesuffix("\n") if protected else None
try:
    read = {"streamed": streamed, "seekable": seekable}[how](Path(path), password, formats)
    print(json.dumps({name: {"format": formats[name], "names": names} for name, names in read}))
except WrongPassword:
    print(json.dumps({"error": "password"}))
