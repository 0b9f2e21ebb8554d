//! Keys out of a password. Whatever leads to one is wiped.

use argon2::{Algorithm, Argon2, Params, Version};
use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::envelope::Salt;
use crate::secret::Secret;

/// The AES key of v1 and v2.
pub(super) type BlockKey = Zeroizing<[u8; 16]>;

/// A key of v3: the root key of a backup, or the key of one inner tar.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// How often v1 and v2 apply SHA-256.
const ROUNDS: usize = 100;

/// Argon2id as v3 has it: 8 passes over 16 MiB in one lane.
const PASSES: u32 = 8;
const MEMORY_KIB: u32 = 16 * 1024;
const LANES: u32 = 1;

/// Parts the keys of v3 from whatever else may be made of its root key.
const PERSONAL: &[u8; 11] = b"SecureTarv3";

/// The key of v1 and v2. It needs no salt: all files of a password share it.
pub(super) fn block_key(password: &Secret) -> BlockKey {
    hundredfold(password.expose().as_bytes())
}

/// The initialisation vector of a v1 or v2 body.
pub(super) fn block_iv(key: &BlockKey, salt: &Salt) -> BlockKey {
    let mut both = Zeroizing::new([0; 32]);
    both[..16].copy_from_slice(&**key);
    both[16..].copy_from_slice(salt);
    hundredfold(&*both)
}

/// The root key of a v3 backup. It takes tens of milliseconds and 16 MiB, which are wiped.
pub(super) fn root_key(password: &Secret, salt: &Salt) -> Result<Key, argon2::Error> {
    let mut key = Key::default();
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(key.len()))?;
    let mut memory = Zeroizing::new(vec![argon2::Block::default(); params.block_count()]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let password = password.expose().as_bytes();
    argon2.hash_password_into_with_memory(password, salt, &mut *key, memory.as_mut_slice())?;
    Ok(key)
}

/// The key that a salt makes of the root key.
pub(super) fn subkey(root: &Key, salt: &Salt) -> Key {
    let mut key = Key::default();
    keyed(root, salt).finalize_into((&mut *key).into());
    key
}

/// Whether a salt makes `expected` of the root key; takes the same time wherever they differ.
pub(super) fn is_subkey(root: &Key, salt: &Salt, expected: &[u8; 32]) -> bool {
    keyed(root, salt).verify_slice(expected).is_ok()
}

fn keyed(root: &Key, salt: &Salt) -> Blake2bMac<U32> {
    Blake2bMac::new_with_salt_and_personal(Some(&**root), salt, PERSONAL)
        .expect("key, salt and personal are as long as BLAKE2b takes them")
}

/// The first half of what SHA-256 gives, applied a hundred times.
fn hundredfold(text: &[u8]) -> BlockKey {
    let mut digest = Key::default();
    Digest::finalize_into(Sha256::new_with_prefix(text), (&mut *digest).into());
    for _ in 1..ROUNDS {
        let round = Sha256::new_with_prefix(&digest[..]);
        Digest::finalize_into(round, (&mut *digest).into());
    }
    let mut half = BlockKey::default();
    half.copy_from_slice(&digest[..16]);
    half
}
