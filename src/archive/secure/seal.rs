//! Writing the content of an inner tar encrypted.

use std::fmt;
use std::io::{self, Write};

use super::blocks::{self, BlockSealer};
use super::chunks::{CHUNK, ChunkSealer, MAX_CHUNKS};
use super::envelope::Envelope;
use super::stream::{Nonce, OVERHEAD};

/// One inner tar on its way out.
pub(in crate::archive) struct Seal {
    envelope: Envelope,
    cipher: Cipher,
    /// Content that was not encrypted yet, behind what the cipher wants free before it.
    piece: Vec<u8>,
    plain_size: u64,
}

/// What an inner tar was that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::archive) struct Sealed {
    /// Bytes of its content.
    pub(in crate::archive) plain_size: u64,
    /// For v3 the nonce before each chunk, by which reading can begin there; none for v2.
    pub(in crate::archive) nonces: Vec<Nonce>,
}

/// By version.
pub(super) enum Cipher {
    /// v2.
    Blocks(Box<BlockSealer>),
    /// v3.
    Chunks(ChunkSealer),
}

impl Seal {
    /// An inner tar without content so far.
    pub(super) fn new(envelope: Envelope, cipher: Cipher) -> Seal {
        let mut piece = Vec::with_capacity(cipher.piece() + OVERHEAD);
        piece.resize(cipher.lead(), 0);
        Seal { envelope, cipher, piece, plain_size: 0 }
    }

    /// The envelope of so many bytes of content. Its length is always the same, so that it can be
    /// written again when the size is known.
    pub(in crate::archive) fn envelope(&self, plain_size: u64) -> Vec<u8> {
        self.envelope.to_bytes(plain_size)
    }

    /// Takes content, and writes what of it can be encrypted already.
    ///
    /// # Errors
    /// Those of `out`, behind which the inner tar cannot be gone on with.
    pub(in crate::archive) fn write(
        &mut self,
        mut bytes: &[u8],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if self.plain_size.saturating_add(bytes.len() as u64) > MAX_CHUNKS * CHUNK {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        while !bytes.is_empty() {
            let full = self.cipher.lead() + self.cipher.piece();
            // Only now: what is last is sealed as such, a full piece as well.
            if self.piece.len() == full {
                self.send(false, out)?;
            }
            let n = bytes.len().min(full - self.piece.len());
            self.piece.extend_from_slice(&bytes[..n]);
            self.plain_size += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Writes what is left and the end.
    ///
    /// # Errors
    /// Those of `out`.
    pub(in crate::archive) fn finish(mut self, out: &mut dyn Write) -> io::Result<Sealed> {
        self.send(true, out)?;
        let nonces = match self.cipher {
            Cipher::Blocks(_) => Vec::new(),
            Cipher::Chunks(sealer) => sealer.into_nonces(),
        };
        Ok(Sealed { plain_size: self.plain_size, nonces })
    }

    fn send(&mut self, is_last: bool, out: &mut dyn Write) -> io::Result<()> {
        match &mut self.cipher {
            Cipher::Blocks(sealer) => sealer.seal(&mut self.piece, is_last),
            Cipher::Chunks(sealer) => sealer.seal(&mut self.piece, is_last),
        }
        out.write_all(&self.piece)?;
        self.piece.truncate(self.cipher.lead());
        Ok(())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Seal(…)")
    }
}

impl Cipher {
    /// Bytes of content that are encrypted at once.
    fn piece(&self) -> usize {
        match self {
            Cipher::Blocks(_) => blocks::PIECE,
            Cipher::Chunks(_) => CHUNK as usize,
        }
    }

    /// Bytes that stand before them.
    fn lead(&self) -> usize {
        match self {
            Cipher::Blocks(_) => 0,
            Cipher::Chunks(_) => ChunkSealer::LEAD,
        }
    }
}
