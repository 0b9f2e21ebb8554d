//! The index: a member of the file that says what lies where in its parts.
//!
//! With it a single file comes out of a large backup by reading little more than that file, parts
//! are read by all cores, and what was written can be told from what is there now. It is one line of
//! JSON about the parts, then one line for each entry of each part, each of the two kinds in gzip
//! members of their own; in a protected backup it is encrypted as the parts are. Home Assistant's
//! software leaves a member with this ending alone.

mod read;
mod write;

use serde::{Deserialize, Serialize};

pub(super) use self::read::{Cursor, Index};
pub(super) use self::write::IndexWriter;

/// The name of the member.
pub(super) const INDEX: &str = "hearthkeep.index";

/// The layout of the index that this program writes and reads.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Table {
    /// The layout of the index.
    pub(super) version: u32,
    /// The time of all members of the file.
    pub(super) written: jiff::Timestamp,
    /// The hash of `backup.json`.
    pub(super) metadata: Hash,
    /// The parts, in the order of the file.
    pub(super) parts: Vec<PartTable>,
    /// Bytes of the member behind them, where there is one with what may be secret of the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) confidential: Option<u64>,
}

/// A part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PartTable {
    /// Its member of the outer tar, without `./`.
    pub(super) member: String,
    /// Bytes of the member in the file.
    pub(super) size: u64,
    /// Bytes of the inner tar.
    pub(super) tar_bytes: u64,
    /// Bytes of the inner tar in each block but the last.
    pub(super) block_bytes: u64,
    /// Bytes before the first block, in the plain stream.
    pub(super) head: u64,
    /// Bytes that each block takes there.
    pub(super) blocks: Vec<u64>,
    /// Where the part is encrypted by chunks: what it takes to begin at each, as one hexadecimal text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) nonces: String,
    /// How many entries it has.
    pub(super) n_entries: u64,
    /// Bytes of the gzip member that lists them.
    pub(super) list_bytes: u64,
}

/// An entry of an inner tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the inner tar, without `./`.
    pub path: Name,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Where its headers begin in the inner tar.
    pub at: u64,
    /// Bytes of its headers.
    pub head: u64,
    /// Bytes of its content.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// Seconds since 1970, and the nanoseconds on top of them.
    pub mtime: (i64, i64),
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
    /// The hash of a file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A further name of a file.
    Hardlink,
}

/// A name; text mostly, but Linux allows any bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Name {
    /// As nearly all are.
    Text(String),
    /// What is not UTF-8.
    Bytes(Vec<u8>),
}

impl Name {
    /// Keeps a name.
    pub fn new(bytes: &[u8]) -> Name {
        match std::str::from_utf8(bytes) {
            Ok(text) => Name::Text(text.to_owned()),
            Err(_) => Name::Bytes(bytes.to_owned()),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Text(text) => text.as_bytes(),
            Name::Bytes(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// The first 16 bytes of a BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 16]);

impl Hash {
    /// Of bytes.
    pub(super) fn of(bytes: &[u8]) -> Hash {
        blake3::hash(bytes).into()
    }
}

impl From<blake3::Hash> for Hash {
    fn from(hash: blake3::Hash) -> Hash {
        let mut short = [0; 16];
        short.copy_from_slice(&hash.as_bytes()[..16]);
        Hash(short)
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&hex(&self.0))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, out)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = unhex(&text).and_then(|it| it.try_into().ok());
        bytes.map(Hash).ok_or_else(|| serde::de::Error::custom("no hash of 16 bytes"))
    }
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |it: u8| char::from(DIGITS[usize::from(it)]);
    bytes.iter().flat_map(|it| [digit(it >> 4), digit(it & 15)]).collect()
}

/// Hexadecimal digits as bytes.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|it| it.to_digit(16).and_then(|it| u8::try_from(it).ok())).collect();
    let digits = digits.filter(|it| it.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|it| it[0] << 4 | it[1]).collect())
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}
