//! The keys of a backup that is being written.

use std::fmt;

use anyhow::Context;

use super::Format;
use super::blocks::BlockSealer;
use super::chunks::ChunkSealer;
use super::envelope::{Envelope, Root, Salt};
use super::keys::{self, BlockKey, Key};
use super::seal::{Cipher, Seal};
use super::stream::Stream;
use crate::secret::Secret;

/// Encrypts the inner tars of one backup.
pub(in crate::archive) struct Sealer {
    keys: Keys,
}

enum Keys {
    V2(BlockKey),
    /// One root for all inner tars: Home Assistant Core makes its key by the first one's, and
    /// reads all of them by it.
    V3 {
        root_key: Key,
        root: Root,
    },
}

impl Sealer {
    /// Makes the keys of a new backup.
    ///
    /// # Errors
    /// No randomness, or no memory for Argon2.
    pub(in crate::archive) fn new(password: &Secret, format: Format) -> anyhow::Result<Sealer> {
        match format {
            Format::V2 => Ok(Sealer { keys: Keys::V2(keys::block_key(password)) }),
            Format::V3 => Sealer::v3(password, random()?, random()?),
        }
    }

    /// Begins an inner tar.
    ///
    /// # Errors
    /// No randomness.
    pub(in crate::archive) fn seal(&self) -> anyhow::Result<Seal> {
        let header = match self.keys {
            Keys::V2(_) => [0; 24],
            Keys::V3 { .. } => random()?,
        };
        Ok(self.seal_by(random()?, header))
    }

    /// A sealer of v3 by these salts.
    pub(super) fn v3(
        password: &Secret,
        salt: Salt,
        validation_salt: Salt,
    ) -> anyhow::Result<Sealer> {
        let root_key = keys::root_key(password, &salt).context("making the key of the backup")?;
        let validation_key = *keys::subkey(&root_key, &validation_salt);
        let root = Root { salt, validation_salt, validation_key };
        Ok(Sealer { keys: Keys::V3 { root_key, root } })
    }

    /// Begins an inner tar by this salt and, for v3, this header.
    pub(super) fn seal_by(&self, salt: Salt, header: [u8; 24]) -> Seal {
        let (plain_size, reserved) = (0, [0; 8]);
        match &self.keys {
            Keys::V2(key) => {
                let envelope = Envelope::V2 { plain_size, reserved, salt };
                Seal::new(envelope, Cipher::Blocks(Box::new(BlockSealer::new(key, &salt))))
            }
            Keys::V3 { root_key, root } => {
                let stream = Stream::new(&keys::subkey(root_key, &salt), &header);
                let (root, derivation_salt) = (*root, salt);
                let envelope = Envelope::V3 { plain_size, reserved, root, derivation_salt, header };
                Seal::new(envelope, Cipher::Chunks(ChunkSealer::new(stream)))
            }
        }
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Sealer(…)")
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("asking the kernel for randomness")?;
    Ok(bytes)
}
