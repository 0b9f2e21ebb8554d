//! The bytes of an inner tar on their way into the file.
//!
//! ```text
//! this thread: blocks ──► every core: deflate ──► a thread: in order → gzip → cipher → file
//! ```
//!
//! Everything is bounded: where the file is slow, the blocks wait; where the home is read slowly, the
//! cores do. The result is one single gzip member, as Python's stream readers stop after the first.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use flate2::Crc;

use super::deflate::{BLOCK_BYTES, Deflater, LAST, Level, MAX_DEFLATED};
use super::secure::Seal;

/// What is known of a member when it is written.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// Bytes of the inner tar.
    pub(super) tar_bytes: u64,
    /// Bytes of the gzip head before the first block.
    pub(super) head: u64,
    /// Bytes that each block takes, compressed.
    pub(super) blocks: Vec<u64>,
    /// Bytes of the member before it was encrypted.
    pub(super) plain_bytes: u64,
    /// What the cipher needs to begin at each of its chunks.
    pub(super) nonces: Vec<[u8; 8]>,
    /// Where it is encrypted: its envelope, which takes the place of the one without a size that
    /// stands there.
    pub(super) envelope: Option<Vec<u8>>,
}

/// How a member is packed.
#[derive(Debug)]
pub(super) struct Packing {
    /// How hard to compress; not at all without.
    pub(super) level: Option<Level>,
    /// Its cipher.
    pub(super) seal: Option<Seal>,
    /// The name in the gzip head, and its time in seconds since 1970.
    pub(super) name: String,
    pub(super) mtime: u32,
}

/// Writes to `out` what `fill` puts into blocks.
pub(super) fn pack<T>(
    out: &mut (dyn Write + Send),
    packing: Packing,
    fill: impl FnOnce(&mut Blocks) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Packed)> {
    // As many wait in order as there are cores; one more is being written, one being filled.
    let (order, in_order) = sync_channel(rayon::current_num_threads() + 1);
    let pools = Arc::new(Pools::default());
    let mut blocks = Blocks::new(order, packing.level, pools.clone());
    thread::scope(|scope| {
        let back = thread::Builder::new()
            .name("writing".to_owned())
            .spawn_scoped(scope, move || Back::new(out, packing).run(&in_order, &pools))
            .context("starting the thread that writes")?;
        let filled = fill(&mut blocks).and_then(|it| Ok(blocks.finish().map(|()| it)?));
        drop(blocks);
        let packed = back.join().map_err(|_| anyhow::anyhow!("the thread that writes panicked"))?;
        match (filled, packed) {
            // That is why the blocks could not go on.
            (_, Err(err)) => Err(err),
            (filled, Ok(packed)) => filled.map(|it| (it, packed)),
        }
    })
}

/// Takes the bytes of an inner tar.
pub(super) struct Blocks {
    order: SyncSender<Receiver<Block>>,
    level: Option<Level>,
    pools: Arc<Pools>,
    block: Vec<u8>,
    n: usize,
    sent: u64,
}

/// A block that is ready to be written.
struct Block {
    plain: Vec<u8>,
    n_plain: usize,
    /// Where it is not compressed, the plain bytes are written.
    deflated: Option<(Vec<u8>, usize)>,
    crc: Crc,
}

impl Blocks {
    fn new(order: SyncSender<Receiver<Block>>, level: Option<Level>, pools: Arc<Pools>) -> Blocks {
        let block = pools.plain.take(BLOCK_BYTES);
        Blocks { order, level, pools, block, n: 0, sent: 0 }
    }

    /// Bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.sent + self.n as u64
    }

    /// Room for the next bytes, never empty; [`Blocks::fill`] takes what was put there.
    pub(super) fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.n == BLOCK_BYTES {
            self.send()?;
        }
        Ok(&mut self.block[self.n..])
    }

    /// Takes the first `n` bytes of the room.
    pub(super) fn fill(&mut self, n: usize) {
        self.n += n;
    }

    /// Takes bytes.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            self.fill(n);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Takes all that a reader gives.
    pub(super) fn copy(&mut self, from: &mut impl Read) -> anyhow::Result<()> {
        loop {
            match from.read(self.room()?) {
                Ok(0) => return Ok(()),
                Ok(n) => self.fill(n),
                Err(err) if err.kind() == ErrorKind::Interrupted => (),
                Err(err) => return Err(err.into()),
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.n > 0 { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.block, self.pools.plain.take(BLOCK_BYTES));
        let n_plain = std::mem::take(&mut self.n);
        self.sent += n_plain as u64;
        let (done, ready) = sync_channel(1);
        let stopped = |_| io::Error::other("the writing has stopped");
        self.order.send(ready).map_err(stopped)?;
        let Some(level) = self.level else {
            let block = Block { plain, n_plain, deflated: None, crc: Crc::new() };
            // Whoever waits for it may have given up, which the next block notices.
            let _ = done.send(block);
            return Ok(());
        };
        let pools = self.pools.clone();
        rayon::spawn(move || {
            // A panic that leaves here ends the process, in which containers may be held. Without an
            // answer the writing stops.
            let block = catch_unwind(AssertUnwindSafe(|| deflate(level, plain, n_plain, &pools)));
            let _ = block.map(|it| done.send(it));
        });
        Ok(())
    }
}

fn deflate(level: Level, plain: Vec<u8>, n_plain: usize, pools: &Pools) -> Block {
    thread_local! {
        static DEFLATER: RefCell<Option<Deflater>> = const { RefCell::new(None) };
    }
    let mut deflated = pools.deflated.take(MAX_DEFLATED);
    let n = DEFLATER.with_borrow_mut(|it| {
        let fitting = it.take().filter(|it| it.level() == level);
        it.insert(fitting.unwrap_or_else(|| Deflater::new(level)))
            .block(&plain[..n_plain], &mut deflated)
    });
    let mut crc = Crc::new();
    crc.update(&plain[..n_plain]);
    Block { plain, n_plain, deflated: Some((deflated, n)), crc }
}

/// Puts blocks into the file.
struct Back<'a> {
    out: &'a mut (dyn Write + Send),
    seal: Option<Seal>,
    gzip: Option<(String, u32)>,
    packed: Packed,
}

impl Back<'_> {
    fn new(out: &mut (dyn Write + Send), packing: Packing) -> Back<'_> {
        let gzip = packing.level.map(|_| (packing.name, packing.mtime));
        Back { out, seal: packing.seal, gzip, packed: Packed::default() }
    }

    fn run(mut self, blocks: &Receiver<Receiver<Block>>, pools: &Pools) -> anyhow::Result<Packed> {
        let mut crc = Crc::new();
        if let Some(seal) = &self.seal {
            self.out.write_all(&seal.envelope(0))?;
        }
        if let Some((name, mtime)) = self.gzip.take() {
            let head = gzip_head(&name, mtime);
            self.packed.head = head.len() as u64;
            self.put(&head)?;
        }
        for block in blocks {
            let block = block.recv().context("compressing a block panicked")?;
            let bytes = match &block.deflated {
                Some((deflated, n)) => &deflated[..*n],
                None => &block.plain[..block.n_plain],
            };
            self.put(bytes)?;
            self.packed.blocks.push(bytes.len() as u64);
            self.packed.tar_bytes += block.n_plain as u64;
            crc.combine(&block.crc);
            pools.plain.give_back(block.plain);
            block.deflated.into_iter().for_each(|(it, _)| pools.deflated.give_back(it));
        }
        if self.packed.head > 0 {
            self.put(&LAST)?;
            self.put(&crc.sum().to_le_bytes())?;
            // The length counts on from zero after four gigabytes.
            self.put(&crc.amount().to_le_bytes())?;
        }
        if let Some(seal) = self.seal.take() {
            self.packed.envelope = Some(seal.envelope(self.packed.plain_bytes));
            self.packed.nonces = seal.finish(self.out)?.nonces;
        }
        Ok(self.packed)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.packed.plain_bytes += bytes.len() as u64;
        match &mut self.seal {
            Some(seal) => seal.write(bytes, self.out),
            None => self.out.write_all(bytes),
        }
    }
}

/// The head of a gzip member with the name of its content.
fn gzip_head(name: &str, mtime: u32) -> Vec<u8> {
    const NAMED: u8 = 8;
    const UNKNOWN_SYSTEM: u8 = 255;
    let mut head = vec![0x1f, 0x8b, 8, NAMED];
    head.extend(mtime.to_le_bytes());
    head.extend([0, UNKNOWN_SYSTEM]);
    head.extend(name.bytes().filter(|it| *it != 0));
    head.push(0);
    head
}

/// Buffers to be used again: to get fresh memory costs more than to fill it.
#[derive(Default)]
struct Pools {
    plain: Pool,
    deflated: Pool,
}

#[derive(Default)]
struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    fn take(&self, bytes: usize) -> Vec<u8> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; bytes])
    }

    fn give_back(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
