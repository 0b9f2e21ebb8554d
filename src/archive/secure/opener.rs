//! A password that opens inner tars.

use std::fmt;
use std::io::Read;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::blocks::{BLOCK, BlockOpener};
use super::broken::Broken;
use super::chunks::{ChunkOpener, SEALED_CHUNK};
use super::decrypt::{Cipher, Decrypt, Place};
use super::envelope::{Envelope, Root, Salt};
use super::keys::{self, BlockKey, Key};
use super::stream::Stream;
use crate::secret::Secret;

/// Root keys that one opener makes. Backups have one; a file that asks for many wants to cost time.
const MAX_KEYS: usize = 16;

/// How many encrypted bytes tell whether a password of v1 or v2 fits: one block of a tar.
const PROBE: usize = 512;

/// A password and the keys that were made of it so far.
pub(in crate::archive) struct Opener {
    password: Secret,
    block_key: OnceLock<BlockKey>,
    root_keys: Mutex<Vec<(Salt, Key)>>,
}

impl Opener {
    /// Keeps a password; keys are made when they are needed.
    pub(in crate::archive) fn new(password: Secret) -> Opener {
        // With room for all of them: growing would leave keys behind that nobody wipes.
        let root_keys = Mutex::new(Vec::with_capacity(MAX_KEYS));
        Opener { password, block_key: OnceLock::new(), root_keys }
    }

    /// Whether the password fits. `body` is the beginning of what stands behind the envelope, 512
    /// bytes where there are as many: v1 and v2 only show by it that they became gzip or tar.
    ///
    /// # Errors
    /// A key that cannot be made.
    pub(in crate::archive) fn fits(
        &self,
        envelope: &Envelope,
        body: &[u8],
    ) -> Result<bool, Broken> {
        let salt = match envelope {
            Envelope::V1 { salt } | Envelope::V2 { salt, .. } => salt,
            Envelope::V3 { root, .. } => {
                let key = self.root_key(&root.salt)?;
                return Ok(keys::is_subkey(&key, &root.validation_salt, &root.validation_key));
            }
        };
        let n = body.len().min(PROBE);
        let mut head = body[..n - n % BLOCK as usize].to_vec();
        BlockOpener::new(self.block_key(), salt, None).open(&mut head, false)?;
        Ok(head.starts_with(&[0x1f, 0x8b, 8]) || head.get(257..262) == Some(b"ustar"))
    }

    /// The content of a member of `member_size` bytes, envelope included, of which `body` gives
    /// what stands behind the envelope. Of v1 all that was decrypted, the padding in its end
    /// included.
    ///
    /// # Errors
    /// An envelope that does not fit the member, and a key that cannot be made. What is wrong with
    /// the body, the reader tells as [`std::io::ErrorKind::InvalidData`] with [`Broken`] in it.
    pub(in crate::archive) fn decrypt<R: Read>(
        &self,
        envelope: &Envelope,
        body: R,
        member_size: u64,
    ) -> Result<Decrypt<R>, Broken> {
        self.decrypt_from(envelope, body, member_size, Place::Start)
    }

    /// The content from a place on; `body` gives what stands behind that place.
    ///
    /// # Errors
    /// As [`Opener::decrypt`], and a place that there is not.
    pub(in crate::archive) fn decrypt_from<R: Read>(
        &self,
        envelope: &Envelope,
        body: R,
        member_size: u64,
        place: Place,
    ) -> Result<Decrypt<R>, Broken> {
        let size = envelope.body_size(member_size)?;
        let before = match place {
            Place::Start => Some(0),
            Place::Block { number, .. } => number.checked_mul(BLOCK),
            Place::Chunk { number, .. } => number.checked_mul(SEALED_CHUNK),
        };
        let left = before.and_then(|it| size.checked_sub(it)).ok_or(Broken::Place)?;
        if left == 0 && place != Place::Start {
            return Err(Broken::Place);
        }
        let plain_size = envelope.plain_size(member_size)?;
        let cipher = match (envelope, place) {
            (Envelope::V1 { salt } | Envelope::V2 { salt, .. }, Place::Start) => {
                let opener = BlockOpener::new(self.block_key(), salt, plain_size);
                Cipher::Blocks(Box::new(opener))
            }
            (Envelope::V1 { .. } | Envelope::V2 { .. }, Place::Block { before, .. }) => {
                let opener = BlockOpener::behind(self.block_key(), &before, plain_size);
                Cipher::Blocks(Box::new(opener))
            }
            (Envelope::V3 { root, derivation_salt, header, .. }, Place::Start) => {
                let stream = Stream::new(&self.stream_key(root, derivation_salt)?, header);
                Cipher::Chunks(ChunkOpener::new(stream, 0))
            }
            (
                Envelope::V3 { root, derivation_salt, header, .. },
                Place::Chunk { number, nonce },
            ) => {
                let packet = u32::try_from(number).map_err(|_| Broken::Place)?;
                let key = self.stream_key(root, derivation_salt)?;
                let stream = Stream::at(&key, header, packet, nonce);
                Cipher::Chunks(ChunkOpener::new(stream, number))
            }
            _ => return Err(Broken::Place),
        };
        Ok(Decrypt::new(body, cipher, left))
    }

    fn block_key(&self) -> &BlockKey {
        self.block_key.get_or_init(|| keys::block_key(&self.password))
    }

    fn stream_key(&self, root: &Root, derivation_salt: &Salt) -> Result<Key, Broken> {
        Ok(keys::subkey(&self.root_key(&root.salt)?, derivation_salt))
    }

    /// Others wait while a key is made: most of them want the same one.
    fn root_key(&self, salt: &Salt) -> Result<Key, Broken> {
        let mut made = self.root_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = made.iter().find(|(it, _)| it == salt) {
            return Ok(key.clone());
        }
        if made.len() == MAX_KEYS {
            return Err(Broken::Keys(MAX_KEYS));
        }
        let key = keys::root_key(&self.password, salt)?;
        made.push((*salt, key.clone()));
        Ok(key)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Opener(…)")
    }
}
