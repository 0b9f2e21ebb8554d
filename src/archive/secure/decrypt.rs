//! Reading the content of an encrypted body.

use std::io::{self, Read};
use std::ops::Range;

use super::blocks::{self, BlockOpener};
use super::broken::Broken;
use super::chunks::{ChunkOpener, SEALED_CHUNK};
use super::stream::Nonce;

/// Where to begin reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::archive) enum Place {
    /// At the beginning.
    Start,
    /// v1 and v2: at this block, counted from 0, by the encrypted block before it.
    Block {
        /// Blocks before it; there is at least one.
        number: u64,
        /// The last of them, encrypted.
        before: [u8; 16],
    },
    /// v3: at this chunk, counted from 0, by the nonce before it.
    Chunk {
        /// Chunks before it.
        number: u64,
        /// As [`super::Sealed`] tells it: the last 8 bytes of the stream's header, XOR the first
        /// 8 of each earlier chunk's MAC. A wrong one is noticed like any damage.
        nonce: Nonce,
    },
}

/// The content of an encrypted inner tar.
///
/// Nothing of a v3 chunk is given out before it is found to be what was encrypted, and nothing of
/// the last piece of any version before the body is found to end there.
pub(in crate::archive) struct Decrypt<R> {
    body: R,
    cipher: Cipher,
    /// Bytes of the body that were not read yet.
    left: u64,
    piece: Vec<u8>,
    /// What of the piece is content that was not given out yet.
    ready: Range<usize>,
    broken: Option<Broken>,
}

/// By version.
pub(super) enum Cipher {
    /// v1 and v2.
    Blocks(Box<BlockOpener>),
    /// v3.
    Chunks(ChunkOpener),
}

impl<R: Read> Decrypt<R> {
    /// Reads the last `left` bytes of a body.
    pub(super) fn new(body: R, cipher: Cipher, left: u64) -> Decrypt<R> {
        Decrypt { body, cipher, left, piece: Vec::new(), ready: 0..0, broken: None }
    }

    fn fill(&mut self) -> io::Result<()> {
        if let Some(broken) = self.broken {
            return Err(broken.into());
        }
        let filled = self.try_fill();
        if let Err(err) = &filled {
            // A piece that was half read cannot be gone on with: no later read may seem to succeed.
            let broken = err.get_ref().and_then(|it| it.downcast_ref::<Broken>());
            self.broken = Some(broken.copied().unwrap_or(Broken::CutShort));
        }
        filled
    }

    fn try_fill(&mut self) -> io::Result<()> {
        let n = self.left.min(self.cipher.piece()) as usize;
        self.piece.resize(n, 0);
        self.body.read_exact(&mut self.piece).map_err(|err| match err.kind() {
            io::ErrorKind::UnexpectedEof => Broken::CutShort.into(),
            _ => err,
        })?;
        self.left -= n as u64;
        let is_last = self.left == 0;
        if is_last && !is_at_end(&mut self.body)? {
            return Err(Broken::MoreBehind.into());
        }
        self.ready = match &mut self.cipher {
            Cipher::Blocks(opener) => opener.open(&mut self.piece, is_last)?,
            Cipher::Chunks(opener) => opener.open(&mut self.piece, is_last)?,
        };
        Ok(())
    }
}

impl<R: Read> Read for Decrypt<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() && (self.left > 0 || self.broken.is_some()) {
            self.fill()?;
        }
        let n = out.len().min(self.ready.len());
        out[..n].copy_from_slice(&self.piece[self.ready.start..][..n]);
        self.ready.start += n;
        Ok(n)
    }
}

impl Cipher {
    /// Bytes of the body that are decrypted at once.
    fn piece(&self) -> u64 {
        match self {
            Cipher::Blocks(_) => blocks::PIECE as u64,
            Cipher::Chunks(_) => SEALED_CHUNK,
        }
    }
}

fn is_at_end(body: &mut impl Read) -> io::Result<bool> {
    loop {
        match body.read(&mut [0]) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => (),
            read => return Ok(read? == 0),
        }
    }
}
