//! What stands around an inner tar that is encrypted, as the Python package `securetar` has it.
//!
//! ```text
//! envelope: version, size of the content, salts     clear
//! body      v1, v2: AES-128-CBC                     key: SHA-256, a hundred times
//!           v3: XChaCha20-Poly1305 in chunks        key: Argon2id, then BLAKE2b
//! ```
//!
//! All three are read, the last two are written. Only v3 notices each change of its body; of v1 and
//! v2 the gzip checksum inside is all there is. No version protects the envelope itself, so what it
//! says of sizes is believed only where it fits the length of the body.

mod blocks;
mod broken;
mod chunks;
mod decrypt;
mod envelope;
mod keys;
mod opener;
mod seal;
mod sealer;
mod stream;
#[cfg(test)]
mod tests;

pub(super) use blocks::BLOCK;
pub(super) use chunks::{CHUNK, SEALED_CHUNK};
pub(super) use decrypt::{Decrypt, Place};
pub(super) use envelope::Envelope;
pub(super) use opener::Opener;
pub(super) use seal::Seal;
pub(super) use sealer::Sealer;

/// How a backup is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// SecureTar v2, for a Home Assistant older than 2026.3.
    V2,
    /// SecureTar v3, which notices when something was altered.
    #[default]
    V3,
}
