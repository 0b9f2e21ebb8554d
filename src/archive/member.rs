//! A member of the outer tar whose size is known only when it is written.
//!
//! The header area is written with size 0, the content streamed behind it, and the area rewritten
//! with the true size. So the area must not change its length: the PAX records always fill one
//! block, whatever they say, as in the Python package `securetar`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use tar::{EntryType, Header};

use super::entry::{BLOCK, MAX_OCTAL_SIZE, Records, long_name, padding};

/// Header area of an inner tar: the PAX header and its records, the long name's header and the
/// name, and the ustar header.
pub(super) const AREA: u64 = 5 * BLOCK;

/// An open member.
#[derive(Debug)]
pub(super) struct MemberWriter<'a> {
    file: &'a File,
    name: String,
    start: u64,
    mtime: jiff::Timestamp,
}

impl<'a> MemberWriter<'a> {
    /// Begins a member where the file stands.
    pub(super) fn begin(
        mut file: &'a File,
        name: &str,
        mtime: jiff::Timestamp,
    ) -> anyhow::Result<MemberWriter<'a>> {
        let start = file.stream_position()?;
        let area = area(name, 0, mtime)?;
        file.write_all(&area)?;
        Ok(MemberWriter { file, name: name.to_owned(), start, mtime })
    }

    /// Ends the member where the file stands, and puts `head` in place of its first bytes; gives its
    /// size in bytes.
    pub(super) fn end(self, head: &[u8]) -> anyhow::Result<u64> {
        let mut file = self.file;
        let size = file.stream_position()? - self.start - AREA;
        file.write_all(padding(size))?;
        let end = file.stream_position()?;
        file.seek(SeekFrom::Start(self.start))?;
        file.write_all(&area(&self.name, size, self.mtime)?)?;
        file.write_all(head)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(size)
    }
}

/// The header area of an inner tar.
///
/// The member has two names, see `docs/adr/0002-two-names-for-one-member.md`: Python takes `path`,
/// GNU tar takes `GNU.sparse.name`, and busybox the long name, so that both find it under `./`, as
/// Home Assistant's documentation spells it. `path` must stand behind `GNU.sparse.name`, since
/// Python takes the last one, and before the long name, since busybox does.
pub(super) fn area(name: &str, size: u64, mtime: jiff::Timestamp) -> anyhow::Result<Vec<u8>> {
    let dotted = format!("./{name}");
    let seconds = format!("{}.{:09}", mtime.as_second(), mtime.subsec_nanosecond());
    let mut records = Records::default();
    records.add("mtime", seconds.as_bytes());
    records.add("GNU.sparse.name", dotted.as_bytes());
    records.add("path", name.as_bytes());
    if size > MAX_OCTAL_SIZE {
        records.add("size", size.to_string().as_bytes());
    }
    anyhow::ensure!(records.len() <= BLOCK as usize, "the name {name} is too long for a member");
    let mut area = Vec::with_capacity(AREA as usize);
    records.append_to(&mut area);
    long_name(dotted.as_bytes(), b'L', &mut area);
    let mut header = plain_header(&dotted, if size > MAX_OCTAL_SIZE { 0 } else { size }, mtime);
    header.set_cksum();
    area.extend_from_slice(header.as_bytes());
    Ok(area)
}

/// The header of a small member, as `./backup.json` has it.
pub(super) fn small(name: &str, size: u64, mtime: jiff::Timestamp) -> Vec<u8> {
    let mut header = plain_header(name, size, mtime);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn plain_header(name: &str, size: u64, mtime: jiff::Timestamp) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    let n = name.len().min(100);
    header.as_old_mut().name[..n].copy_from_slice(&name.as_bytes()[..n]);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(mtime.as_second()).unwrap_or(0));
    header.set_size(size);
    header
}
