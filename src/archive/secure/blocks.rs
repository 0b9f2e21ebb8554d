//! The body of v1 and v2: AES-128 in CBC mode.

use std::ops::Range;

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aes::{Aes128, Block};

use super::broken::Broken;
use super::envelope::Salt;
use super::keys::{self, BlockKey};

/// Bytes of a block of the cipher.
pub(in crate::archive) const BLOCK: u64 = 16;

/// Bytes that are encrypted or decrypted at once: many blocks, and still in the second cache.
pub(super) const PIECE: usize = 64 * 1024;

/// Bytes of a v2 body of `plain_size` bytes; none where there can be no such.
pub(super) fn sealed_size(plain_size: u64) -> Option<u64> {
    // There is always padding, a whole block of it where the content ends with a block.
    plain_size.checked_add(BLOCK - plain_size % BLOCK)
}

/// Opens blocks after blocks.
pub(super) struct BlockOpener {
    cipher: cbc::Decryptor<Aes128>,
    padding: Option<usize>,
}

impl BlockOpener {
    /// Opens from the first block on; `plain_size` is that of v2, whose padding is taken away.
    pub(super) fn new(key: &BlockKey, salt: &Salt, plain_size: Option<u64>) -> BlockOpener {
        BlockOpener::behind(key, &keys::block_iv(key, salt), plain_size)
    }

    /// Opens from a block on by the encrypted block before it.
    pub(super) fn behind(
        key: &BlockKey,
        before: &[u8; 16],
        plain_size: Option<u64>,
    ) -> BlockOpener {
        let cipher = cbc::Decryptor::new((&**key).into(), before.into());
        let padding = plain_size.map(|it| (BLOCK - it % BLOCK) as usize);
        BlockOpener { cipher, padding }
    }

    /// Decrypts whole blocks where they stand and tells where in them the content is.
    pub(super) fn open(&mut self, piece: &mut [u8], is_last: bool) -> Result<Range<usize>, Broken> {
        let (blocks, rest) = Block::slice_as_chunks_mut(piece);
        if !rest.is_empty() {
            return Err(Broken::Ragged);
        }
        self.cipher.decrypt_blocks(blocks);
        let padding = self.padding.filter(|_| is_last).unwrap_or(0);
        let end = piece.len().checked_sub(padding).ok_or(Broken::CutShort)?;
        // It need not take the same time for each padding: nobody is there to be asked twice.
        match piece[end..].iter().all(|it| usize::from(*it) == padding) {
            true => Ok(0..end),
            false => Err(Broken::Padding),
        }
    }
}

/// Seals blocks after blocks, as v2.
pub(super) struct BlockSealer(cbc::Encryptor<Aes128>);

impl BlockSealer {
    /// Seals from the first block on.
    pub(super) fn new(key: &BlockKey, salt: &Salt) -> BlockSealer {
        let iv = keys::block_iv(key, salt);
        BlockSealer(cbc::Encryptor::new((&**key).into(), (&*iv).into()))
    }

    /// Encrypts a piece where it stands: whole blocks, or the last of them.
    pub(super) fn seal(&mut self, piece: &mut Vec<u8>, is_last: bool) {
        if is_last {
            let padding = BLOCK as usize - piece.len() % BLOCK as usize;
            piece.resize(piece.len() + padding, padding as u8);
        }
        let (blocks, _) = Block::slice_as_chunks_mut(piece);
        self.0.encrypt_blocks(blocks);
    }
}
