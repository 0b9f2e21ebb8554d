//! The header of one entry of an inner tar, as Python's `tarfile` and GNU tar both read it.
//!
//! ustar with PAX records where a value does not fit, as home-assistant/supervisor writes. Names
//! that PAX cannot carry (not UTF-8, or with a line break, which some readers take for the end of
//! a record) go into GNU's long-name entries, which are plain bytes.

use std::io::Write;

use tar::{EntryType, Header};

use crate::capture::Stat;

/// tar's unit: every header is one block, every content is filled up to one.
pub(super) const BLOCK: u64 = 512;

/// The largest size that eleven octal digits can tell; beyond it a PAX record says it.
pub(super) const MAX_OCTAL_SIZE: u64 = 0o777_7777_7777;

/// What an entry is, with what only that kind has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A regular file of so many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link, with its target as it is.
    Symlink(&'a [u8]),
    /// A further name of a file that is already in the tar, with the name that it has there.
    HardLink(&'a [u8]),
}

/// Who, when and which bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Seconds since 1970, and the nanoseconds on top of them.
    pub(super) mtime: (i64, i64),
}

impl From<&Stat> for Attributes {
    fn from(stat: &Stat) -> Attributes {
        Attributes {
            mode: stat.mode & 0o7777,
            uid: stat.uid.into(),
            gid: stat.gid.into(),
            mtime: stat.mtime,
        }
    }
}

/// All blocks that stand before the content of an entry.
pub(super) fn header(name: &[u8], kind: Kind<'_>, attributes: &Attributes) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(3 * BLOCK as usize);
    let mut records = Records::default();
    let (link, long_link) = match kind {
        Kind::Symlink(target) | Kind::HardLink(target) => (target, b'K'),
        Kind::File(_) | Kind::Folder => (&b""[..], b'K'),
    };
    fit(name, "path", b'L', &mut records, &mut blocks);
    fit(link, "linkpath", long_link, &mut records, &mut blocks);
    let size = match kind {
        Kind::File(size) => size,
        _ => 0,
    };
    if size > MAX_OCTAL_SIZE {
        records.add("size", size.to_string().as_bytes());
    }
    records.add("mtime", mtime(attributes.mtime).as_bytes());
    records.append_to(&mut blocks);

    let mut header = Header::new_ustar();
    header.set_entry_type(match kind {
        Kind::File(_) => EntryType::Regular,
        Kind::Folder => EntryType::Directory,
        Kind::Symlink(_) => EntryType::Symlink,
        Kind::HardLink(_) => EntryType::Link,
    });
    put(&mut header.as_old_mut().name, name);
    put(&mut header.as_old_mut().linkname, link);
    header.set_mode(attributes.mode);
    header.set_uid(attributes.uid);
    header.set_gid(attributes.gid);
    header.set_mtime(u64::try_from(attributes.mtime.0).unwrap_or(0).min(MAX_OCTAL_SIZE));
    // Where the record tells the size, readers must not look here; they would read a wrong one.
    header.set_size(if size > MAX_OCTAL_SIZE { 0 } else { size });
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks
}

/// The zeros that fill a content of `size` bytes up to a block.
pub(super) fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    &ZEROS[..(BLOCK - 1 - (size + BLOCK - 1) % BLOCK) as usize]
}

/// Adds what a name needs beyond the hundred bytes of the header.
fn fit(name: &[u8], key: &str, long_type: u8, records: &mut Records, blocks: &mut Vec<u8>) {
    let clean = std::str::from_utf8(name).is_ok_and(|it| !it.contains('\n'));
    if name.is_ascii() && name.len() <= 100 {
        return;
    }
    if clean {
        records.add(key, name);
    } else if name.len() > 100 {
        long_name(name, long_type, blocks);
    }
}

/// Adds GNU's entry for a long name.
pub(super) fn long_name(name: &[u8], long_type: u8, blocks: &mut Vec<u8>) {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::new(long_type));
    put(&mut header.as_old_mut().name, b"././@LongLink");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(name.len() as u64 + 1);
    header.set_cksum();
    blocks.extend_from_slice(header.as_bytes());
    blocks.extend_from_slice(name);
    blocks.push(0);
    blocks.extend_from_slice(padding(name.len() as u64 + 1));
}

fn put(field: &mut [u8], value: &[u8]) {
    let n = value.len().min(field.len());
    field[..n].copy_from_slice(&value[..n]);
}

/// Seconds with all nine digits behind the point, exact where a float would not be.
fn mtime((seconds, nanoseconds): (i64, i64)) -> String {
    match (seconds, nanoseconds) {
        (seconds, 0) => seconds.to_string(),
        // -1.25 s is stored as -2 s and 750,000,000 ns.
        (seconds, ns) if seconds < 0 => {
            format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - ns)
        }
        (seconds, ns) => format!("{seconds}.{ns:09}"),
    }
}

/// PAX records, each `<length> <key>=<value>\n`, the length counting itself.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    pub(super) fn add(&mut self, key: &str, value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        self.0.extend_from_slice(format!("{length} {key}=").as_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    /// Bytes of all records so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends the records as an `x` entry, named as Python's `tarfile` names it.
    pub(super) fn append_to(&self, blocks: &mut Vec<u8>) {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        put(&mut header.as_old_mut().name, b"././@PaxHeader");
        header.set_mode(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(self.0.len() as u64);
        header.set_cksum();
        blocks.extend_from_slice(header.as_bytes());
        // Writing into a vector cannot fail.
        let _ = blocks.write_all(&self.0);
        blocks.extend_from_slice(padding(self.0.len() as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_length() {
        let check = |key: &str, value: &str, wanted: &str| {
            let mut records = Records::default();
            records.add(key, value.as_bytes());
            assert_eq!(String::from_utf8_lossy(&records.0), wanted);
        };
        check("k", "v", "6 k=v\n");
        check("path", "abc", "12 path=abc\n");
        // 99 bytes with a length of two digits, and the step to three.
        check("p", &"x".repeat(92), &format!("98 p={}\n", "x".repeat(92)));
        check("p", &"x".repeat(93), &format!("99 p={}\n", "x".repeat(93)));
        check("p", &"x".repeat(94), &format!("101 p={}\n", "x".repeat(94)));
    }

    #[test]
    fn padding_fills_a_block() {
        for (size, wanted) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(size).len(), wanted, "{size}");
        }
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        assert_eq!(mtime((5, 0)), "5");
        assert_eq!(mtime((5, 7)), "5.000000007");
        assert_eq!(mtime((-2, 750_000_000)), "-1.250000000");
    }
}
