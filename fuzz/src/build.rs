//! What stands around the bytes that are fuzzed, so that they are reached.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hearthkeep::archive::Member;
use tar::Header;

const BLOCK: usize = 512;

/// Bytes of a sparse file that are quickly read.
const LARGE: u64 = 1024 * 1024;

/// A tar ends in two zero blocks and is filled up to its record size.
const RECORD: usize = 10_240;

pub const JSON: &str = r#"{"slug":"fuzz","name":"n","date":"2026-01-01","type":"partial",
    "version":2,"compressed":true,"homeassistant":{"version":"2026.1.0"}}"#;

pub fn outer_tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    for (name, content) in members {
        let mut header = Header::new_ustar();
        header.set_path(name).expect("a short name");
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(content);
        file.resize(file.len().next_multiple_of(BLOCK), 0);
    }
    file.resize(file.len() + 2 * BLOCK, 0);
    file
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).expect("it is memory")
}

/// An index of its lines, see [`crate::index`].
pub fn index(text: &[u8]) -> Vec<u8> {
    let mut pieces = split(text).into_iter();
    let mut table = pieces.next().unwrap_or_default().to_vec();
    let mut lists = Vec::new();
    for (n, lines) in pieces.enumerate() {
        let list = gzip(lines);
        table = replaced(&table, format!("LIST{n}").as_bytes(), list.len().to_string().as_bytes());
        lists.extend(list);
    }
    let mut member = gzip(&table);
    member.extend(lists);
    member
}

/// Pieces between empty lines, each with the line break at its end.
fn split(mut text: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = text.windows(2).position(|it| it == b"\n\n") {
        pieces.push(&text[..=at]);
        text = &text[at + 2..];
    }
    pieces.push(text);
    pieces
}

fn replaced(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    match text.windows(what.len()).position(|it| it == what) {
        Some(at) => [&text[..at], by, &text[at + what.len()..]].concat(),
        None => text.to_vec(),
    }
}

/// A file of ours with another index, all else as if it had been written so.
pub fn with_index(file: &[u8], members: &[Member], index: &[u8]) -> (Vec<u8>, Vec<Member>) {
    let mut members = members.to_vec();
    let [.., old, metadata] = members.as_mut_slice() else { panic!("an index and backup.json") };
    let begin = old.offset as usize;
    let mut new = file[..begin].to_vec();
    new[begin - BLOCK..].copy_from_slice(&resized(&file[begin - BLOCK..begin], index.len()));
    new.extend_from_slice(index);
    new.resize(new.len().next_multiple_of(BLOCK), 0);
    let (head, json) = (metadata.offset as usize - BLOCK, metadata.size as usize);
    new.extend_from_slice(&file[head..head + BLOCK + json]);
    old.size = index.len() as u64;
    metadata.offset = (new.len() - json) as u64;
    let end = new.len().next_multiple_of(BLOCK) + 2 * BLOCK;
    new.resize(end.next_multiple_of(RECORD), 0);
    (new, members)
}

fn resized(header: &[u8], size: usize) -> [u8; BLOCK] {
    let mut header = Header::from_byte_slice(header).clone();
    header.set_size(size as u64);
    header.set_cksum();
    *header.as_bytes()
}

/// Whether a block may be the header of a sparse file whose holes take seconds to read.
pub fn has_large_hole(tar: &[u8]) -> bool {
    tar.chunks_exact(BLOCK).any(|block| {
        let header = Header::from_byte_slice(block);
        header.entry_type().is_gnu_sparse()
            && header.as_gnu().and_then(|it| it.real_size().ok()).is_some_and(|it| it > LARGE)
    })
}
