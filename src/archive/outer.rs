//! The outer tar as this program writes it, to the last byte.
//!
//! Tar guards its headers by a small checksum and nothing else, `backup.json` by none at all. Since
//! all of it follows from what the index says, it can be made again and compared.

use std::io;

use super::confidential::CONFIDENTIAL;
use super::entry::{BLOCK, padding};
use super::index::{Hash, INDEX, Index};
use super::member::{AREA, area, small};
use super::open::{Archive, Member};

/// The name of the metadata's member. With `./`, as Home Assistant's software insists.
pub(super) const METADATA: &str = "./backup.json";

/// A tar ends in two zero blocks and is filled up to its record size.
const RECORD: u64 = 10_240;

/// Where a file ends whose last member ends at `end`.
pub(super) fn end(end: u64) -> u64 {
    (end + 2 * BLOCK).next_multiple_of(RECORD)
}

/// What is not as it was written.
pub(super) struct Altered {
    /// The member that it belongs to.
    pub(super) member: String,
    pub(super) what: &'static str,
    /// Whether it is the metadata themselves, which decide what goes where.
    pub(super) is_metadata: bool,
}

/// What is not as it was written; nothing where somebody else, such as Home Assistant on the way to
/// another place, has written the file anew since.
pub(super) fn check(archive: &Archive, index: &Index) -> anyhow::Result<Vec<Altered>> {
    let mut problems = Vec::new();
    let (parts, metadata) = match archive.members.as_slice() {
        [parts @ .., metadata] if METADATA.ends_with(&metadata.name) => (parts, metadata),
        _ => return Ok(problems),
    };
    let told = index.parts.iter().map(|it| (it.member.as_str(), Some(it.size)));
    let confidential = index.confidential.map(|it| (CONFIDENTIAL, Some(it)));
    let told: Vec<_> = told.chain(confidential).chain([(INDEX, None)]).collect();
    let is_told = |(it, (name, size)): (&Member, &(&str, Option<u64>))| {
        it.name == *name && size.is_none_or(|size| it.size == size)
    };
    let mut at = 0;
    let mut lies_there = |it: &Member| {
        let fits = it.offset == at + AREA;
        at = it.offset + it.size.next_multiple_of(BLOCK);
        fits
    };
    let as_written = parts.len() == told.len()
        && parts.iter().zip(&told).all(is_told)
        && parts.iter().all(&mut lies_there)
        && metadata.offset == at + BLOCK;
    if !as_written {
        return Ok(problems);
    }
    let mut tell = |it: &Member, what, is_metadata| {
        problems.push(Altered { member: it.name.clone(), what, is_metadata });
    };
    for it in parts {
        let wanted = area(&it.name, it.size, index.written)?;
        if !is(archive, it.offset - AREA, &wanted)? {
            tell(it, "its header is not as it was written", false);
        }
        if !is(archive, it.offset + it.size, padding(it.size))? {
            tell(it, "what fills it up is not as it was written", false);
        }
    }
    let mut json = vec![0; usize::try_from(metadata.size)?];
    archive.source.read_exact_at(&mut json, metadata.offset)?;
    if Hash::of(&json) != index.metadata {
        tell(metadata, "it is not as it was written", true);
    }
    if !is(archive, metadata.offset - BLOCK, &small(METADATA, metadata.size, index.written))? {
        tell(metadata, "its header is not as it was written", false);
    }
    let behind = metadata.offset + metadata.size;
    let size = end(behind.next_multiple_of(BLOCK));
    if archive.size_bytes != size || !is(archive, behind, &vec![0; (size - behind) as usize])? {
        tell(metadata, "the end of the file behind it is not as it was written", false);
    }
    Ok(problems)
}

fn is(archive: &Archive, at: u64, wanted: &[u8]) -> io::Result<bool> {
    let mut there = vec![0; wanted.len()];
    archive.source.read_exact_at(&mut there, at)?;
    Ok(there == wanted)
}
