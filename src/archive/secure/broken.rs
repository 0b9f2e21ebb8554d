//! What can be wrong with an encrypted inner tar.

use std::io;

/// Why an encrypted inner tar cannot be read. "It" is the inner tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::archive) enum Broken {
    /// Neither v2 nor v3.
    #[error("its envelope says version {0}, which nobody knows")]
    Version(u8),
    /// Behind the version.
    #[error("its envelope has bytes set that are always zero")]
    NotZero,
    /// What the envelope says cannot be of this body.
    #[error("its envelope speaks of {says} bytes, which do not fit the {body} behind it")]
    Size {
        /// The size of the content, by the envelope.
        says: u64,
        /// Bytes behind the envelope.
        body: u64,
    },
    /// v1 only, the other versions have the size to compare.
    #[error("its length is no multiple of 16")]
    Ragged,
    /// It ends before its end.
    #[error("it is cut short")]
    CutShort,
    /// It goes on behind its end.
    #[error("there is more behind its end")]
    MoreBehind,
    /// v2 only: the last bytes do not say how many they are.
    #[error("its padding is wrong")]
    Padding,
    /// v3 only. Counted from 0.
    #[error("chunk {0} is not what was encrypted (damaged, or altered)")]
    Chunk(u64),
    /// Random access to where there is nothing, or by the rules of another version.
    #[error("there is no such place in it")]
    Place,
    /// A backup has one key; each more costs the time of Argon2.
    #[error("its file asks for more than {0} keys")]
    Keys(usize),
    /// The password cannot be made a key, or there is no memory for it.
    #[error("making its key: {0}")]
    Key(#[from] argon2::Error),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, broken)
    }
}
