//! The structure of a tar, followed while its bytes pass by, so that no file makes its reader hold
//! or do more than the file is worth.
//!
//! The `tar` crate reads extension entries and the maps of sparse files whole into memory and
//! believes every size. What is followed here is what that crate reads, value by value: a header
//! that the two took differently could hide another.

use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};

use tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header, PaxExtensions};

use super::entry::BLOCK;

/// Bytes that one compressed byte can stand for. Deflate ends at 1032.
const MAX_RATIO: u64 = 1100;

/// What the smallest tar may expand to: its end blocks and some room.
const LEAST_BYTES: u64 = 1024 * 1024;

/// Holes that any tar may have, whatever its size; they cost time alone, some ten seconds.
const LEAST_HOLES: u64 = 64 * 1024 * 1024 * 1024;

/// The largest file of ext4.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024 * 1024 * 1024;

/// Blocks of one sparse file's map, some ten thousand pieces. The `tar` crate takes time for the
/// square of them.
const MAX_MAP_BLOCKS: u32 = 512;

/// Pieces of a sparse file without content; GNU tar writes one, at the end.
const MAX_EMPTY_PIECES: u32 = 4;

/// Extension entries before one entry: at most one of each of the four kinds makes sense.
const MAX_IN_A_ROW: u32 = 8;

/// What a tar may have.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Bytes of one extension entry.
    extension_bytes: u64,
    /// Bytes of all extension entries together.
    extensions_bytes: u64,
    n_entries: u64,
    /// Whether records may speak of sparse files, which the `tar` crate does not understand there.
    has_sparse_records: bool,
}

/// The largest extended attribute has 64 KiB, the longest name 4 KiB.
const INNER: Limits = Limits {
    extension_bytes: 1024 * 1024,
    extensions_bytes: u64::MAX,
    n_entries: u64::MAX,
    has_sparse_records: false,
};

/// Of the outer tar all names are kept in memory, and each part has its own.
const OUTER: Limits = Limits {
    extension_bytes: 64 * 1024,
    extensions_bytes: 4 * 1024 * 1024,
    n_entries: 10_000,
    has_sparse_records: true,
};

/// What no sound backup has.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unfit(pub(super) &'static str);

/// Passes the bytes of an inner tar through, and stops where it means harm.
#[derive(Debug)]
pub(super) struct Guard<R> {
    inner: R,
    left: u64,
    follower: Follower,
    harm: Option<&'static str>,
}

impl<R: Read> Guard<R> {
    /// `member_size` is what the tar takes in the file, compressed or not.
    pub(super) fn new(inner: R, member_size: u64) -> Guard<R> {
        let worth = member_size.saturating_mul(MAX_RATIO);
        let left = worth.saturating_add(LEAST_BYTES);
        let follower = Follower::new(INNER, worth.saturating_add(LEAST_HOLES));
        Guard { inner, left, follower, harm: None }
    }

    fn passed(&mut self, bytes: &[u8]) -> std::result::Result<(), Unfit> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(Unfit("it expands to more than its size can hold"))?;
        self.follower.follow(bytes)
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if let Some(harm) = self.harm {
            return Err(harmful(Unfit(harm)));
        }
        let n = self.inner.read(buf)?;
        if let Err(unfit) = self.passed(&buf[..n]) {
            self.harm = Some(unfit.0);
            return Err(harmful(unfit));
        }
        Ok(n)
    }
}

/// Looks at the headers of an outer tar, before anything else reads them.
///
/// # Errors
/// [`ErrorKind::InvalidData`] where it means harm. Where it is no tar or cut short, whoever reads
/// it says so.
pub(super) fn check_outer(file: &mut (impl Read + Seek)) -> Result<()> {
    let mut follower = Follower::new(OUTER, LEAST_HOLES);
    let mut block = [0; BLOCK as usize];
    let mut at = 0_u64;
    loop {
        file.seek(SeekFrom::Start(at))?;
        match file.read_exact(&mut block) {
            Err(err) if err.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        follower.follow(&block).map_err(harmful)?;
        at += BLOCK;
        match follower.state {
            State::End => return Ok(()),
            State::Pass { left } => {
                // Behind the largest file there is nothing to read.
                let Some(next) = at.checked_add(left).filter(|it| i64::try_from(*it).is_ok())
                else {
                    return Ok(());
                };
                at = next;
                follower.state = State::Header;
            }
            State::Header | State::Records { .. } | State::Map { .. } => (),
        }
    }
}

fn harmful(unfit: Unfit) -> Error {
    Error::new(ErrorKind::InvalidData, unfit)
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The next block is a header.
    Header,
    /// So many bytes are content, filled up to a block.
    Pass { left: u64 },
    /// So many bytes are PAX records, and so many fill the block.
    Records { left: u64, padding: u64 },
    /// The next block goes on with the map of a sparse file whose content is behind it.
    Map { content: u64 },
    /// Nobody reads on.
    End,
}

#[derive(Debug)]
struct Follower {
    limits: Limits,
    state: State,
    block: [u8; BLOCK as usize],
    filled: usize,
    records: Vec<u8>,
    /// What the records say of the size of the next entry.
    size: Option<u64>,
    n_in_a_row: u32,
    n_entries: u64,
    extensions_bytes: u64,
    holes_left: u64,
    n_map_blocks: u32,
    n_empty_pieces: u32,
}

impl Follower {
    fn new(limits: Limits, holes_left: u64) -> Follower {
        Follower {
            limits,
            state: State::Header,
            block: [0; BLOCK as usize],
            filled: 0,
            records: Vec::new(),
            size: None,
            n_in_a_row: 0,
            n_entries: 0,
            extensions_bytes: 0,
            holes_left,
            n_map_blocks: 0,
            n_empty_pieces: 0,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) -> std::result::Result<(), Unfit> {
        while !bytes.is_empty() {
            match self.state {
                State::End => return Ok(()),
                State::Pass { left } => {
                    let n = shorter(bytes, left);
                    bytes = &bytes[n..];
                    self.state = pass(left - n as u64);
                }
                State::Records { left, padding } => {
                    let n = shorter(bytes, left);
                    self.records.extend_from_slice(&bytes[..n]);
                    bytes = &bytes[n..];
                    let left = left - n as u64;
                    self.state = State::Records { left, padding };
                    if left == 0 {
                        self.records()?;
                        self.state = pass(padding);
                    }
                }
                State::Header | State::Map { .. } => {
                    let n = shorter(bytes, BLOCK - self.filled as u64);
                    self.block[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
                    bytes = &bytes[n..];
                    self.filled += n;
                    if self.filled == BLOCK as usize {
                        self.filled = 0;
                        self.whole_block()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn whole_block(&mut self) -> std::result::Result<(), Unfit> {
        let block = self.block;
        if let State::Map { content } = self.state {
            let mut map = GnuExtSparseHeader::new();
            map.as_mut_bytes().copy_from_slice(&block);
            return self.map(&map.sparse, map.is_extended(), content);
        }
        if block == [0; BLOCK as usize] {
            self.state = State::End;
            return Ok(());
        }
        let header = Header::from_byte_slice(&block);
        match self.header(header) {
            // A damaged header is told as such by whoever reads it.
            Err(_) if !is_whole(header) => {
                self.state = State::End;
                Ok(())
            }
            followed => followed,
        }
    }

    fn header(&mut self, header: &Header) -> std::result::Result<(), Unfit> {
        let kind = header.entry_type();
        let size = header.entry_size().map_err(|_| Unfit("an entry has no size"))?;
        let is_extension = matches!(
            kind,
            EntryType::XHeader
                | EntryType::XGlobalHeader
                | EntryType::GNULongName
                | EntryType::GNULongLink
        );
        if is_extension {
            return self.extension(header, kind, size);
        }
        self.n_in_a_row = 0;
        self.n_entries += 1;
        if self.n_entries > self.limits.n_entries {
            return Err(Unfit("it has more members than any backup"));
        }
        let size = self.size.take().unwrap_or(size);
        let content = filled_up(size)?;
        if kind != EntryType::GNUSparse {
            self.state = pass(content);
            return Ok(());
        }
        let gnu = header.as_gnu().ok_or(Unfit("a sparse file has no map"))?;
        let real = gnu.real_size().map_err(|_| Unfit("a sparse file has no size"))?;
        if real > MAX_FILE_BYTES {
            return Err(Unfit("a sparse file is larger than any file can be"));
        }
        let left = self.holes_left.checked_sub(real.saturating_sub(size));
        self.holes_left = left.ok_or(Unfit("its sparse files have holes beyond all measure"))?;
        self.n_map_blocks = 0;
        self.n_empty_pieces = 0;
        self.map(&gnu.sparse, gnu.is_extended(), content)
    }

    fn extension(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
    ) -> std::result::Result<(), Unfit> {
        self.n_in_a_row += 1;
        self.extensions_bytes = self.extensions_bytes.saturating_add(size);
        if header.as_gnu().is_none() && header.as_ustar().is_none() {
            return Err(Unfit("an extended header is of no known format"));
        }
        if self.n_in_a_row > MAX_IN_A_ROW {
            return Err(Unfit("there are too many extended headers in a row"));
        }
        if size > self.limits.extension_bytes
            || self.extensions_bytes > self.limits.extensions_bytes
        {
            return Err(Unfit("an extended header is larger than any name"));
        }
        let content = filled_up(size)?;
        match kind {
            EntryType::XHeader if size > 0 => {
                self.records.clear();
                self.state = State::Records { left: size, padding: content - size };
            }
            // What was said before a global header is said of that.
            EntryType::XGlobalHeader => {
                self.size = None;
                self.state = pass(content);
            }
            _ => self.state = pass(content),
        }
        Ok(())
    }

    fn map(
        &mut self,
        pieces: &[GnuSparseHeader],
        goes_on: bool,
        content: u64,
    ) -> std::result::Result<(), Unfit> {
        let is_hollow = |it: &&GnuSparseHeader| !it.is_empty() && it.length().ok() == Some(0);
        self.n_map_blocks += 1;
        self.n_empty_pieces += pieces.iter().filter(is_hollow).count() as u32;
        if self.n_map_blocks > MAX_MAP_BLOCKS || self.n_empty_pieces > MAX_EMPTY_PIECES {
            return Err(Unfit("a sparse file is cut into too many pieces"));
        }
        self.state = if goes_on { State::Map { content } } else { pass(content) };
        Ok(())
    }

    /// Takes the size out of the records, as the `tar` crate does: by lines.
    fn records(&mut self) -> std::result::Result<(), Unfit> {
        check_records(&self.records, self.limits.has_sparse_records)?;
        self.size = None;
        for record in PaxExtensions::new(&self.records) {
            let Ok(record) = record else { break };
            if record.key() == Ok("size") {
                self.size = record.value().ok().and_then(|it| it.parse().ok());
                break;
            }
        }
        Ok(())
    }
}

/// Each record says its length, and together they fill their entry.
fn check_records(mut records: &[u8], may_be_sparse: bool) -> std::result::Result<(), Unfit> {
    while !records.is_empty() {
        let (record, rest) = split_record(records)
            .ok_or(Unfit("an extended header has records that cannot be read"))?;
        if !may_be_sparse && record.starts_with(b"GNU.sparse.") {
            return Err(Unfit("it has a sparse file in the form of PAX, which cannot be read"));
        }
        records = rest;
    }
    Ok(())
}

/// `<length> <key>=<value>\n` → `<key>=<value>`, and what is behind it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    // More digits no entry has use for.
    let digits = records.iter().take(8).position(|it| *it == b' ')?;
    let length: usize = std::str::from_utf8(&records[..digits]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.strip_suffix(b"\n")?.get(digits + 1..)?;
    record.contains(&b'=').then_some((record, rest))
}

fn is_whole(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let others = bytes[..148].iter().chain(&bytes[156..]);
    let sum = others.fold(8 * u32::from(b' '), |sum, it| sum + u32::from(*it));
    header.cksum().is_ok_and(|it| it == sum)
}

fn pass(left: u64) -> State {
    if left == 0 { State::Header } else { State::Pass { left } }
}

fn filled_up(size: u64) -> std::result::Result<u64, Unfit> {
    size.checked_next_multiple_of(BLOCK).ok_or(Unfit("an entry is larger than any file can be"))
}

fn shorter(bytes: &[u8], left: u64) -> usize {
    bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, copy, empty, repeat, sink};

    use super::super::entry::{Attributes, Kind, header, long_name};
    use super::*;

    const OWNER: Attributes = Attributes { mode: 0o644, uid: 0, gid: 0, mtime: (1, 5) };

    /// Gives few bytes at a time.
    struct Drops(Cursor<Vec<u8>>, usize);

    impl Read for Drops {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
            let n = buf.len().min(self.1);
            self.0.read(&mut buf[..n])
        }
    }

    /// Says that it has read, which is quick.
    struct Nothing;

    impl Read for Nothing {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
            Ok(buf.len())
        }
    }

    fn sparse(real: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_size(0);
        let gnu = header.as_gnu_mut().expect("it is one");
        gnu.set_real_size(real);
        gnu.sparse[0].set_offset(real);
        gnu.sparse[0].set_length(0);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    #[test]
    fn what_is_sound_passes_unchanged_however_it_is_cut() {
        let mut bytes = Vec::new();
        for (n, size) in [0, 1, 511, 512, 513, 70_000].into_iter().enumerate() {
            long_name(&[b'n'; 300], b'L', &mut bytes);
            let name = format!("größe {n} {}", "x".repeat(100 * n));
            bytes.extend(header(name.as_bytes(), Kind::File(size), &OWNER));
            bytes.resize(bytes.len() + size.next_multiple_of(BLOCK) as usize, 0xff);
        }
        bytes.extend(sparse(1 << 30));
        bytes.extend([0; 1024]);
        bytes.extend(b"whatever is behind the end");
        for at_once in [1, 7, 511, 512, 513, 100_000] {
            let drops = Drops(Cursor::new(bytes.clone()), at_once);
            let mut passed = Vec::new();
            Guard::new(drops, 1024).read_to_end(&mut passed).expect("it is sound");
            assert!(passed == bytes, "{at_once} at once");
        }
    }

    #[test]
    fn large_files_pass_whichever_way_their_size_is_told() {
        const SIZE: u64 = 20 * 1024 * 1024 * 1024;
        let records = header(b"large", Kind::File(SIZE), &OWNER);
        let mut binary = Header::new_gnu();
        binary.set_size(SIZE);
        binary.set_cksum();
        let behind = header(b"behind", Kind::Folder, &OWNER);
        for large in [records, binary.as_bytes().to_vec()] {
            let read = large.chain(Nothing.take(SIZE)).chain(&behind[..]).chain(&[0; 1024][..]);
            let mut tar = tar::Archive::new(Guard::new(read, SIZE / 1000));
            let entries = tar.entries().expect("a tar");
            let sizes: Vec<u64> = entries.map(|it| it.expect("it is sound").size()).collect();
            assert_eq!(sizes, [SIZE, 0]);
        }
    }

    #[test]
    fn what_expands_beyond_its_size_is_stopped() {
        let check = |mut read: Box<dyn Read>, size: u64, wanted: &str| {
            let mut guard = Guard::new(&mut read, size);
            let said = copy(&mut guard, &mut sink()).expect_err(wanted);
            assert!(said.to_string().contains(wanted), "{said}");
            assert_eq!(said.kind(), ErrorKind::InvalidData);
            // Whoever asks again is told again.
            assert!(guard.read(&mut [0; 10]).is_err());
        };
        check(Box::new(repeat(0)), 100, "more than its size");
        check(Box::new(repeat(0)), 100_000, "more than its size");
        let five = sparse(13 << 30).repeat(5);
        check(Box::new(Cursor::new(five)), 100, "beyond all measure");
        copy(&mut Guard::new(&sparse(16 << 30).repeat(4)[..], 0), &mut sink()).expect("some holes");
        copy(&mut Guard::new(empty(), 0), &mut sink()).expect("nothing is no harm");
    }
}
