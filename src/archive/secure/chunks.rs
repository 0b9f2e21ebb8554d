//! The body of v3: a stream of chunks, each authenticated.

use std::ops::Range;

use super::broken::Broken;
use super::stream::{FINAL, MESSAGE, Nonce, OVERHEAD, Stream};

/// Bytes of content in each chunk but the last, which is not longer.
pub(in crate::archive) const CHUNK: u64 = 1024 * 1024;

/// Bytes of such a chunk in the body.
pub(in crate::archive) const SEALED_CHUNK: u64 = CHUNK + OVERHEAD as u64;

/// As many as the stream can count without a new key, which are 4 PiB.
pub(super) const MAX_CHUNKS: u64 = u32::MAX as u64;

/// Bytes of the body of `plain_size` bytes; none where there can be no such.
pub(super) fn sealed_size(plain_size: u64) -> Option<u64> {
    // Nothing is one empty chunk.
    let n_chunks = plain_size.div_ceil(CHUNK).max(1);
    (n_chunks <= MAX_CHUNKS).then(|| plain_size + n_chunks * OVERHEAD as u64)
}

/// Opens chunk after chunk.
pub(super) struct ChunkOpener {
    stream: Stream,
    chunk: u64,
}

impl ChunkOpener {
    /// Opens from a chunk on, before which the stream stands.
    pub(super) fn new(stream: Stream, chunk: u64) -> ChunkOpener {
        ChunkOpener { stream, chunk }
    }

    /// Decrypts a chunk where it stands and tells where in it the content is.
    pub(super) fn open(
        &mut self,
        packet: &mut [u8],
        is_last: bool,
    ) -> Result<Range<usize>, Broken> {
        if packet.len() < OVERHEAD {
            return Err(Broken::CutShort);
        }
        let tag = self.stream.open(packet).ok_or(Broken::Chunk(self.chunk))?;
        match (tag, is_last) {
            (MESSAGE, false) | (FINAL, true) => (),
            // True chunks, but others were taken away behind them, or put there.
            (MESSAGE, true) => return Err(Broken::CutShort),
            (FINAL, false) => return Err(Broken::MoreBehind),
            _ => return Err(Broken::Chunk(self.chunk)),
        }
        self.chunk += 1;
        Ok(1..1 + packet.len() - OVERHEAD)
    }
}

/// Seals chunk after chunk.
pub(super) struct ChunkSealer {
    stream: Stream,
    nonces: Vec<Nonce>,
}

impl ChunkSealer {
    /// Bytes to leave free before the content of a chunk.
    pub(super) const LEAD: usize = 1;

    /// Seals from the first chunk on.
    pub(super) fn new(stream: Stream) -> ChunkSealer {
        ChunkSealer { stream, nonces: Vec::new() }
    }

    /// Makes a chunk of the content behind the lead.
    pub(super) fn seal(&mut self, packet: &mut Vec<u8>, is_last: bool) {
        packet.resize(packet.len() + OVERHEAD - ChunkSealer::LEAD, 0);
        self.nonces.push(self.stream.nonce());
        self.stream.seal(if is_last { FINAL } else { MESSAGE }, packet);
    }

    /// The nonce before each chunk.
    pub(super) fn into_nonces(self) -> Vec<Nonce> {
        self.nonces
    }
}
