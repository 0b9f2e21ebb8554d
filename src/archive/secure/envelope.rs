//! The clear bytes before an encrypted body.

use super::broken::Broken;
use super::{blocks, chunks};

const MAGIC: &[u8; 9] = b"SecureTar";

/// A salt, in any of its uses.
pub(super) type Salt = [u8; 16];

/// What stands before an encrypted inner tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::archive) enum Envelope {
    /// Until 2025-01. Knows no size.
    V1 {
        /// Makes the initialisation vector.
        salt: Salt,
    },
    /// Since 2025-01.
    V2 {
        /// Size of the content.
        plain_size: u64,
        /// Zero as every writer leaves it.
        reserved: [u8; 8],
        /// Makes the initialisation vector.
        salt: Salt,
    },
    /// Since 2026-02.
    V3 {
        /// Size of the content.
        plain_size: u64,
        /// Zero as every writer leaves it.
        reserved: [u8; 8],
        /// What the inner tars of one backup share.
        root: Root,
        /// Makes the key of this inner tar.
        derivation_salt: Salt,
        /// Begins the stream of this inner tar.
        header: [u8; 24],
    },
}

/// How a v3 password is made a key, and known to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::archive) struct Root {
    pub(super) salt: Salt,
    pub(super) validation_salt: Salt,
    pub(super) validation_key: [u8; 32],
}

impl Envelope {
    /// Bytes of the longest envelope: as much as [`Envelope::parse`] wants to see.
    pub(in crate::archive) const MAX_LEN: usize = 136;

    /// Reads an envelope of v2 or v3; none where `head` does not begin with its magic: it is v1
    /// then, or not encrypted.
    ///
    /// # Errors
    /// An unknown version, bytes set that are always zero, and a head that is too short.
    pub(in crate::archive) fn parse(head: &[u8]) -> Result<Option<Envelope>, Broken> {
        let Some(mut rest) = head.strip_prefix(MAGIC) else { return Ok(None) };
        let [version] = take(&mut rest)?;
        if !matches!(version, 2 | 3) {
            return Err(Broken::Version(version));
        }
        if take(&mut rest)? != [0; 6] {
            return Err(Broken::NotZero);
        }
        let plain_size = u64::from_be_bytes(take(&mut rest)?);
        let reserved = take(&mut rest)?;
        let salt = take(&mut rest)?;
        if version == 2 {
            return Ok(Some(Envelope::V2 { plain_size, reserved, salt }));
        }
        let validation_salt = take(&mut rest)?;
        let validation_key = take(&mut rest)?;
        let root = Root { salt, validation_salt, validation_key };
        let derivation_salt = take(&mut rest)?;
        let header = take(&mut rest)?;
        Ok(Some(Envelope::V3 { plain_size, reserved, root, derivation_salt, header }))
    }

    /// Takes the first bytes for an envelope of v1, which has nothing to know it by.
    ///
    /// # Errors
    /// A head that is too short.
    pub(in crate::archive) fn v1(mut head: &[u8]) -> Result<Envelope, Broken> {
        Ok(Envelope::V1 { salt: take(&mut head)? })
    }

    /// At what a stream of v3 begins; none for the others, which have no stream.
    pub(in crate::archive) fn first_nonce(&self) -> Option<[u8; 8]> {
        match self {
            Envelope::V3 { header, .. } => header.last_chunk().copied(),
            Envelope::V1 { .. } | Envelope::V2 { .. } => None,
        }
    }

    /// Bytes of the envelope.
    pub(in crate::archive) fn len(&self) -> u64 {
        match self {
            Envelope::V1 { .. } => 16,
            Envelope::V2 { .. } => 48,
            Envelope::V3 { .. } => 136,
        }
    }

    /// Bytes of content in a member of `member_size` bytes; none where v1 does not tell.
    ///
    /// # Errors
    /// A size that does not fit the member.
    pub(in crate::archive) fn plain_size(&self, member_size: u64) -> Result<Option<u64>, Broken> {
        self.body_size(member_size)?;
        Ok(match self {
            Envelope::V1 { .. } => None,
            Envelope::V2 { plain_size, .. } | Envelope::V3 { plain_size, .. } => Some(*plain_size),
        })
    }

    /// Whether the reserved bytes are as every writer leaves them. Readers do not look at them.
    pub(in crate::archive) fn is_pristine(&self) -> bool {
        match self {
            Envelope::V1 { .. } => true,
            Envelope::V2 { reserved, .. } | Envelope::V3 { reserved, .. } => *reserved == [0; 8],
        }
    }

    /// Bytes behind the envelope, found to fit what it says.
    pub(super) fn body_size(&self, member_size: u64) -> Result<u64, Broken> {
        let body = member_size.checked_sub(self.len()).ok_or(Broken::CutShort)?;
        let (says, expected) = match self {
            Envelope::V1 { .. } if body % blocks::BLOCK == 0 => return Ok(body),
            Envelope::V1 { .. } => return Err(Broken::Ragged),
            Envelope::V2 { plain_size, .. } => (*plain_size, blocks::sealed_size(*plain_size)),
            Envelope::V3 { plain_size, .. } => (*plain_size, chunks::sealed_size(*plain_size)),
        };
        match expected {
            Some(expected) if expected == body => Ok(body),
            _ => Err(Broken::Size { says, body }),
        }
    }

    /// The envelope as bytes, with another size of the content.
    pub(super) fn to_bytes(&self, plain_size: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Envelope::MAX_LEN);
        let mut begin = |version: u8, reserved: &[u8; 8], salt: &Salt| {
            bytes.extend_from_slice(MAGIC);
            bytes.extend_from_slice(&[version, 0, 0, 0, 0, 0, 0]);
            bytes.extend_from_slice(&plain_size.to_be_bytes());
            bytes.extend_from_slice(reserved);
            bytes.extend_from_slice(salt);
        };
        match self {
            Envelope::V1 { salt } => bytes.extend_from_slice(salt),
            Envelope::V2 { reserved, salt, .. } => begin(2, reserved, salt),
            Envelope::V3 { reserved, root, derivation_salt, header, .. } => {
                begin(3, reserved, &root.salt);
                bytes.extend_from_slice(&root.validation_salt);
                bytes.extend_from_slice(&root.validation_key);
                bytes.extend_from_slice(derivation_salt);
                bytes.extend_from_slice(header);
            }
        }
        bytes
    }
}

/// The next `N` bytes of a head.
fn take<const N: usize>(head: &mut &[u8]) -> Result<[u8; N], Broken> {
    let (taken, rest) = head.split_first_chunk().ok_or(Broken::CutShort)?;
    *head = rest;
    Ok(*taken)
}
