//! A folder with everything that a file system allows and a program may forget.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::mkfifo;

/// How many things [`grow`] makes that no backup keeps.
pub(crate) const N_SPECIAL: usize = 4;

/// Fills a folder.
pub(crate) fn grow(top: &Path) {
    assert!(nix::unistd::Uid::effective().is_root(), "these tests have to run as root");
    names(top);
    links(top);
    modes_and_owners(top);
    contents(top);
    times(top);
    special(&folder(top, b"special"));
    // The folder itself comes last: what is made in it moves its time.
    fs::set_permissions(top, Permissions::from_mode(0o2751)).expect("the mode can be set");
    lchown(top, Some(1001), Some(1002)).expect("the owner can be set");
    fs::set_permissions(top, Permissions::from_mode(0o2751)).expect("the mode can be set");
    stamp(top, 1_500_000_000, 987_654_321);
}

fn file(folder: &Path, name: &[u8]) -> PathBuf {
    let path = folder.join(OsStr::from_bytes(name));
    let file = File::options().write(true).create_new(true).open(&path);
    let file = file.unwrap_or_else(|err| panic!("{path:?}: {err}"));
    file.write_all_at(name, 0).expect("the file can be written");
    path
}

fn folder(folder: &Path, name: &[u8]) -> PathBuf {
    let path = folder.join(OsStr::from_bytes(name));
    fs::create_dir(&path).unwrap_or_else(|err| panic!("{path:?}: {err}"));
    path
}

/// Sets the time of anything, a link itself too.
fn stamp(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = TimeSpec::new(seconds, nanoseconds);
    utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)
        .expect("the time can be set");
}

fn names(top: &Path) {
    let top = folder(top, b"names");
    for name in [
        &b"-rf"[..],
        b"--checkpoint-action=exec=sh",
        b"back\\slash",
        b"back\\n",
        b"\\",
        b" space on both sides ",
        b"line\nbreak",
        b"\n",
        b"tab\tbell\x07",
        b"...",
        b"a:b=c;d",
        b"'\"$(x)`y`*?[z]{}",
        b"\xff\xfe not utf-8",
        b"latin-1 \xe9t\xe9",
        "größe 東京 🏠".as_bytes(),
        b"data",
        b"PaxHeader",
    ] {
        file(&top, name);
    }
    for (n, byte) in [(98 - "data/names/".len(), b'a'), (255, b'n')] {
        // Around the hundred bytes of a tar's header, and the longest that Linux allows.
        for n in n..=(n + 3).min(255) {
            file(&top, &vec![byte; n]);
        }
    }
    file(&top, "ü".repeat(127).as_bytes());
    file(&top, &[&b"long, not utf-8 \xff "[..], &[b'x'; 200]].concat());
    file(&top, &[&b"long, with a\nbreak "[..], &[b'x'; 200]].concat());
    folder(&top, &[&b"a folder, not utf-8 \xff "[..], &[b'x'; 200]].concat());
    let mut deep = folder(&top, b"deep");
    for n in 0..12 {
        deep = folder(&deep, format!("{n:0>240}").as_bytes());
        file(&deep, b"here");
    }
    assert!(deep.as_os_str().len() > 2_900);
    file(&deep, "tief unten".as_bytes());
    file(&deep, b"tief \xff unten");
}

fn links(top: &Path) {
    let top = folder(top, b"links");
    let first = file(&top, b"first");
    let link = |target: &[u8], name: &[u8]| {
        symlink(OsStr::from_bytes(target), top.join(OsStr::from_bytes(name))).expect("a link");
        stamp(&top.join(OsStr::from_bytes(name)), 1_400_000_000, 42);
    };
    link(b"first", b"relative");
    link(b"../links/../names", b"to a folder");
    link(b"/etc/passwd", b"absolute");
    link(b"/nowhere/at all", b"dangling");
    link(b"loop", b"loop");
    link(b"not utf-8 \xff\xfe", b"to \xff");
    link(b"line\nbreak", b"to a break");
    link(b"-rf", b"-link");
    link("ä".as_bytes(), "ö".as_bytes());
    link(&[b't'; 100], b"to 100");
    link(&[b't'; 101], b"to 101");
    link(&[b't'; 3_000], b"to 3000");
    link(&[&[b't'; 200][..], b"\xff\n"].concat(), b"to long, not utf-8");
    lchown(top.join("dangling"), Some(1234), Some(5678)).expect("a link has an owner");

    let hard = folder(&top, b"hard");
    fs::hard_link(&first, hard.join("second")).expect("a hard link");
    fs::hard_link(&first, top.join("a third, before the first")).expect("a hard link");
    for name in [&[b'l'; 200][..], b"short \xff", &[&[b'm'; 150][..], b"\xff\n"].concat()] {
        let path = file(&hard, name);
        fs::hard_link(&path, hard.join(OsStr::from_bytes(&[b"z", name].concat()))).expect("a link");
    }
}

fn modes_and_owners(top: &Path) {
    let top = folder(top, b"modes");
    for mode in [0o0, 0o200, 0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o6711, 0o1644, 0o7777] {
        for (owner, group) in [(0, 0), (1000, 1000), (65_534, 65_534), (3_000_000, 4_000_000)] {
            let path = file(&top, format!("{mode:04o} {owner}").as_bytes());
            lchown(&path, Some(owner), Some(group)).expect("root may give files away");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        }
    }
    for mode in [0o0, 0o111, 0o555, 0o700, 0o1777, 0o2775, 0o4700] {
        let path = folder(&top, format!("folder {mode:04o}").as_bytes());
        file(&path, b"inside");
        folder(&path, b"empty");
        lchown(&path, Some(1000), Some(100)).expect("root may give folders away");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    }
}

fn contents(top: &Path) {
    let top = folder(top, b"contents");
    folder(&top, b"empty folder");
    let sized = |name: &[u8], sizes: &[usize]| {
        for size in sizes {
            let path = file(&top, &[name, format!(" {size}").as_bytes()].concat());
            let file = File::options().write(true).truncate(true).open(path).expect("a file");
            file.write_all_at(&noise(*size), 0).expect("the file can be written");
        }
    };
    sized(b"noise", &[0, 1, 511, 512, 513, 65_536, 262_143, 262_144, 262_145, 3_000_000]);
    // Holes at the beginning, in the middle, at the end, and everywhere.
    let sparse = |name: &[u8], at: &[u64], size: u64| {
        let path = file(&top, name);
        let file = File::options().write(true).truncate(true).open(path).expect("a file");
        at.iter().for_each(|it| file.write_all_at(b"x", *it).expect("a byte can be written"));
        file.set_len(size).expect("a length can be set");
    };
    sparse(b"hole before", &[9_999_999], 10_000_000);
    sparse(b"hole behind", &[0], 10_000_000);
    sparse(b"holes between", &[100, 5_000_000, 9_000_000], 10_000_001);
    sparse(b"only a hole", &[], 10_000_000);
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = vec![0; n_bytes.next_multiple_of(8)];
    bytes.chunks_exact_mut(8).for_each(|it| it.copy_from_slice(&next()));
    bytes.truncate(n_bytes);
    bytes
}

fn times(top: &Path) {
    let top = folder(top, b"times");
    for (seconds, nanoseconds) in [
        (0, 0),
        (0, 1),
        (1_600_000_000, 123_456_789),
        (1_600_000_000, 999_999_999),
        (-1, 0),
        (-1, 750_000_000),
        (-2, 1),
        (-1_000_000_000, 5),
        // Beyond the eleven octal digits of a header.
        (9_000_000_000, 7),
    ] {
        let name = format!("{seconds} {nanoseconds}");
        stamp(&file(&top, name.as_bytes()), seconds, nanoseconds);
        stamp(&folder(&top, format!("folder {name}").as_bytes()), seconds, nanoseconds);
    }
    stamp(&top, 1_000_000_001, 10);
}

fn special(top: &Path) {
    mkfifo(&top.join("fifo"), Mode::S_IRWXU).expect("a FIFO");
    // The name of a socket stays when nobody listens any more.
    drop(UnixListener::bind(top.join("socket")).expect("a socket"));
    for (name, kind, device) in
        [("character", SFlag::S_IFCHR, makedev(1, 3)), ("block", SFlag::S_IFBLK, makedev(7, 200))]
    {
        mknod(&top.join(name), kind, Mode::S_IRUSR, device).expect("root may make devices");
    }
}
