//! Tars byte by byte, so that they can say anything.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use hearthkeep::archive::{Archive, OpenError};
use tar::Header;

/// One header block with whatever it is told, and a right checksum.
pub(crate) fn header(kind: u8, name: &[u8], size: u64, set: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = Header::new_gnu();
    let n = name.len().min(100);
    header.as_old_mut().name[..n].copy_from_slice(&name[..n]);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(1_000_000_000);
    header.set_uid(0);
    header.set_gid(0);
    set(&mut header);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// An entry with content.
pub(crate) fn entry(kind: u8, name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, name, content.len() as u64, |_| ());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(crate) fn file(name: &str, content: &str) -> Vec<u8> {
    entry(b'0', name.as_bytes(), content.as_bytes())
}

pub(crate) fn folder(name: &str) -> Vec<u8> {
    header(b'5', name.as_bytes(), 0, |it| it.set_mode(0o755))
}

pub(crate) fn symlink(name: &str, target: &str) -> Vec<u8> {
    link(b'2', name, target)
}

pub(crate) fn hard_link(name: &str, first: &str) -> Vec<u8> {
    link(b'1', name, first)
}

fn link(kind: u8, name: &str, target: &str) -> Vec<u8> {
    header(kind, name.as_bytes(), 0, |it| {
        it.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    })
}

/// PAX records for the entry behind them.
pub(crate) fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let text: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    entry(b'x', b"././@PaxHeader", &text)
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|it| it - it.to_string().len() == rest).expect("a length");
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// A sparse file in GNU's form; `pieces` are offsets and lengths.
pub(crate) fn sparse(name: &str, real: u64, pieces: &[(u64, u64)], goes_on: bool) -> Vec<u8> {
    let size = pieces.iter().map(|(_, length)| length).sum();
    header(b'S', name.as_bytes(), size, |it| {
        let gnu = it.as_gnu_mut().expect("it is one");
        gnu.set_real_size(real);
        gnu.set_is_extended(goes_on);
        for (piece, (offset, length)) in gnu.sparse.iter_mut().zip(pieces) {
            piece.set_offset(*offset);
            piece.set_length(*length);
        }
    })
}

pub(crate) const JSON: &str = r#"{"slug":"bad","name":"n","date":"2026-01-01","type":"partial",
    "version":2,"compressed":true,"homeassistant":{"version":"2026.1.0"}}"#;

/// A backup whose Home Assistant part is what `inner` writes; end blocks follow.
pub(crate) fn backup(path: &Path, inner: impl FnOnce(&mut dyn Write)) -> Archive {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    inner(&mut gzip);
    gzip.write_all(&[0; 1024]).expect("it is memory");
    let part = gzip.finish().expect("it is memory");
    let members = [file("./backup.json", JSON), entry(b'0', b"homeassistant.tar.gz", &part)];
    outer(path, &members.concat()).expect("a backup")
}

/// A file of these members, with end blocks.
pub(crate) fn outer(path: &Path, members: &[u8]) -> Result<Archive, OpenError> {
    let mut file = File::create(path).expect("a file");
    file.write_all(members).and_then(|()| file.write_all(&[0; 1024])).expect("it can be written");
    Archive::open(path)
}

/// Writes the same again and again, in pieces.
pub(crate) fn repeat(out: &mut dyn Write, bytes: &[u8], times: usize) {
    let together = (64 * 1024 / bytes.len()).clamp(1, times);
    let piece = bytes.repeat(together);
    for n in (0..times).step_by(together) {
        let n = together.min(times - n);
        out.write_all(&piece[..n * bytes.len()]).expect("it can be written");
    }
}
