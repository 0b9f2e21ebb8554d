//! gzip → the inner tar.
//!
//! By zlib-rs, which is Rust: what comes from a file may mean harm.

use std::cell::RefCell;
use std::io::{self, BufReader, ErrorKind, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use flate2::bufread::DeflateDecoder;
use flate2::read::MultiGzDecoder;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::ahead::fill;
use super::deflate::LAST;
use super::index::PartTable;

/// Bytes of checksum and length behind the deflate.
const TRAILER: usize = 8;

/// Reads any gzip from its beginning.
pub(super) fn gunzip(plain: impl Read + Send) -> impl Read + Send {
    MultiGzDecoder::new(plain)
}

/// Reads gzip out of the oldest cipher, whose writer filled up every single thing that it was given
/// to whole cipher blocks: the deflate, the checksum and the length.
pub(super) struct OldGzip<R> {
    deflate: DeflateDecoder<BufReader<R>>,
    crc: Crc,
    has_ended: bool,
}

impl<R: Read> OldGzip<R> {
    pub(super) fn new(plain: R) -> io::Result<OldGzip<R>> {
        let mut plain = BufReader::new(plain);
        skip_head(&mut plain)?;
        Ok(OldGzip { deflate: DeflateDecoder::new(plain), crc: Crc::new(), has_ended: false })
    }

    fn check(&mut self) -> io::Result<()> {
        const CIPHER_BLOCK: usize = 16;
        let mut rest = Vec::new();
        let most = 3 * CIPHER_BLOCK as u64;
        self.deflate.get_mut().take(most).read_to_end(&mut rest)?;
        let crc = rest.len().checked_sub(2 * CIPHER_BLOCK).map(|at| &rest[at..at + 4]);
        let length = rest.len().checked_sub(CIPHER_BLOCK).map(|at| &rest[at..at + 4]);
        let wanted = (self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes());
        match (crc, length) {
            (Some(crc), Some(length)) if (crc, length) == (&wanted.0, &wanted.1) => Ok(()),
            _ => Err(broken("its checksum is wrong")),
        }
    }
}

impl<R: Read> Read for OldGzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.deflate.read(out)?;
        self.crc.update(&out[..n]);
        // Whoever reads on behind the end finds no second checksum.
        if n == 0 && !out.is_empty() && !self.has_ended {
            self.check()?;
            self.has_ended = true;
        }
        Ok(n)
    }
}

/// Passes over the head of a gzip member.
fn skip_head(plain: &mut impl Read) -> io::Result<()> {
    const FHCRC: u8 = 2;
    const FEXTRA: u8 = 4;
    const FNAME: u8 = 8;
    const FCOMMENT: u8 = 16;
    let mut head = [0; 10];
    plain.read_exact(&mut head)?;
    if head[..3] != [0x1f, 0x8b, 8] {
        return Err(broken("it is not gzip"));
    }
    let flags = head[3];
    let mut byte = [0];
    if flags & FEXTRA != 0 {
        let mut length = [0; 2];
        plain.read_exact(&mut length)?;
        let length = u64::from(u16::from_le_bytes(length));
        io::copy(&mut plain.by_ref().take(length), &mut io::sink())?;
    }
    for _ in [FNAME, FCOMMENT].iter().filter(|it| flags & **it != 0) {
        byte[0] = 1;
        while byte != [0] {
            plain.read_exact(&mut byte)?;
        }
    }
    if flags & FHCRC != 0 {
        plain.read_exact(&mut [0; 2])?;
    }
    Ok(())
}

/// A part of which the blocks are known, inflated by all cores.
pub(super) struct Parallel {
    in_order: Receiver<Receiver<io::Result<Piece>>>,
    spare: Sender<Vec<u8>>,
    block: Vec<u8>,
    filled: usize,
    taken: usize,
    crc: Crc,
    has_ended: bool,
}

enum Piece {
    Block { bytes: Vec<u8>, n: usize, crc: Crc },
    End { crc: u32, length: u32 },
}

impl Parallel {
    /// Begins to read the plain bytes of a part's member.
    pub(super) fn new(
        plain: impl Read + Send + 'static,
        part: Arc<PartTable>,
    ) -> io::Result<Parallel> {
        let (order, in_order) = sync_channel(rayon::current_num_threads() + 1);
        let (spare, empty) = channel();
        let feed = Feed { plain, order, empty, part };
        thread::Builder::new().name("reading".to_owned()).spawn(move || feed.run())?;
        Ok(Parallel {
            in_order,
            spare,
            block: Vec::new(),
            filled: 0,
            taken: 0,
            crc: Crc::new(),
            has_ended: false,
        })
    }

    fn next(&mut self) -> io::Result<()> {
        let panicked = |_| io::Error::other("reading a block panicked");
        let piece = self.in_order.recv().map_err(panicked)?.recv().map_err(panicked)??;
        match piece {
            Piece::Block { bytes, n, crc } => {
                self.crc.combine(&crc);
                let last = std::mem::replace(&mut self.block, bytes);
                // Where everything is read already nobody needs it.
                let _ = self.spare.send(last);
                (self.filled, self.taken) = (n, 0);
            }
            Piece::End { crc, length } if (crc, length) == (self.crc.sum(), self.crc.amount()) => {
                self.has_ended = true;
            }
            Piece::End { .. } => return Err(broken("its checksum is wrong")),
        }
        Ok(())
    }
}

impl Read for Parallel {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.filled && !self.has_ended {
            self.next()?;
        }
        let n = out.len().min(self.filled - self.taken);
        out[..n].copy_from_slice(&self.block[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}

/// Reads compressed blocks and has them inflated.
struct Feed<R> {
    plain: R,
    order: SyncSender<Receiver<io::Result<Piece>>>,
    empty: Receiver<Vec<u8>>,
    part: Arc<PartTable>,
}

impl<R: Read> Feed<R> {
    fn run(mut self) {
        if let Err(err) = self.blocks() {
            let (told, reason) = sync_channel(1);
            // Whoever reads may have given up.
            let _ = told.send(Err(err));
            let _ = self.order.send(reason);
        }
    }

    fn blocks(&mut self) -> io::Result<()> {
        skip_head(&mut self.plain.by_ref().take(self.part.head))?;
        let mut left = self.part.tar_bytes;
        for n in 0..self.part.blocks.len() {
            let size = left.min(self.part.block_bytes) as usize;
            left -= size as u64;
            let mut deflated = vec![0; self.part.blocks[n] as usize];
            self.plain.read_exact(&mut deflated)?;
            let mut bytes = self.empty.try_recv().unwrap_or_default();
            let (done, ready) = sync_channel(1);
            rayon::spawn(move || {
                // As with the blocks that are written: a panic must stay in here.
                let piece = catch_unwind(AssertUnwindSafe(|| {
                    inflate(&deflated, size, &mut bytes)?;
                    let mut crc = Crc::new();
                    crc.update(&bytes[..size]);
                    Ok(Piece::Block { bytes, n: size, crc })
                }));
                let _ = piece.map(|it| done.send(it));
            });
            if self.order.send(ready).is_err() {
                return Ok(());
            }
        }
        let mut end = [0; LAST.len() + TRAILER + 1];
        let n = fill(&mut self.plain, &mut end)?;
        if n != LAST.len() + TRAILER || end[..LAST.len()] != LAST || left > 0 {
            return Err(broken("it does not end where its index says"));
        }
        let number =
            |at: usize| u32::from_le_bytes([end[at], end[at + 1], end[at + 2], end[at + 3]]);
        let (done, ready) = sync_channel(1);
        let _ = done.send(Ok(Piece::End { crc: number(2), length: number(6) }));
        let _ = self.order.send(ready);
        Ok(())
    }
}

/// Inflates one block, which must give exactly `size` bytes.
pub(super) fn inflate(deflated: &[u8], size: usize, out: &mut Vec<u8>) -> io::Result<()> {
    thread_local! {
        static INFLATER: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    }
    /// Room for what is too much, so that it is noticed.
    const MORE: usize = 64;
    out.resize(size + MORE, 0);
    INFLATER.with_borrow_mut(|inflater| {
        inflater.reset(false);
        let done = inflater.decompress(deflated, out, FlushDecompress::None);
        let all = inflater.total_in() == deflated.len() as u64;
        match done {
            Ok(Status::Ok | Status::BufError) if all && inflater.total_out() == size as u64 => {
                Ok(())
            }
            Ok(_) => Err(broken("a block is not as long as its index says")),
            Err(err) => Err(err.into()),
        }
    })
}

pub(super) fn broken(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
