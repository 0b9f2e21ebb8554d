//! Encrypting and decrypting, held against what others made.

mod damage;
mod vectors;
mod whole;

use std::io::{self, Read};

use super::broken::Broken;
use super::seal::Sealed;
use super::{Envelope, Format, Opener, Place, Seal, Sealer};
use crate::secret::Secret;

const MIB: usize = 1024 * 1024;

fn password() -> Secret {
    Secret::new("hunter2".to_owned())
}

/// Bytes that repeat themselves nowhere near.
fn content(size: usize) -> Vec<u8> {
    (0..size as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A whole member: envelope and body. The content comes in pieces of `piece` bytes.
fn sealed_with(mut seal: Seal, content: &[u8], piece: usize) -> (Vec<u8>, Sealed) {
    let mut member = seal.envelope(0);
    let length = member.len();
    for piece in content.chunks(piece) {
        seal.write(piece, &mut member).unwrap();
    }
    member[..length].copy_from_slice(&seal.envelope(content.len() as u64));
    let sealed = seal.finish(&mut member).unwrap();
    assert_eq!(sealed.plain_size, content.len() as u64);
    (member, sealed)
}

fn sealed(format: Format, content: &[u8]) -> Vec<u8> {
    sealed_with(Sealer::new(&password(), format).unwrap().seal().unwrap(), content, 4096).0
}

/// Reads a member as its reader in `archive` does: all that can be noticed is noticed.
fn opened(opener: &Opener, member: &[u8]) -> Result<Vec<u8>, String> {
    let head = &member[..member.len().min(Envelope::MAX_LEN)];
    let parsed = Envelope::parse(head).map_err(text)?;
    let envelope = parsed.map_or_else(|| Envelope::v1(head), Ok).map_err(text)?;
    let body = member.get(envelope.len() as usize..).ok_or("no body")?;
    if !opener.fits(&envelope, body).map_err(text)? {
        return Err("wrong password".to_owned());
    }
    let plain_size = envelope.plain_size(member.len() as u64).map_err(text)?;
    if !envelope.is_pristine() {
        return Err("not pristine".to_owned());
    }
    let content = decrypted(opener, &envelope, body, member.len())?;
    assert!(plain_size.is_none_or(|it| it == content.len() as u64));
    Ok(content)
}

/// The content, without asking first whether the password fits.
fn decrypted(
    opener: &Opener,
    envelope: &Envelope,
    body: &[u8],
    member_size: usize,
) -> Result<Vec<u8>, String> {
    read(opener.decrypt(envelope, body, member_size as u64).map_err(text)?)
}

/// Reads in odd pieces, and once more behind an error, which must not seem to be the end.
fn read(mut reader: impl Read) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut piece = vec![0; 70_001];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(content),
            Ok(n) => content.extend_from_slice(&piece[..n]),
            Err(err) => {
                assert_eq!(err.kind(), io::ErrorKind::InvalidData);
                assert!(err.get_ref().is_some_and(|it| it.is::<Broken>()));
                assert_eq!(reader.read(&mut piece).unwrap_err().to_string(), err.to_string());
                return Err(err.to_string());
            }
        }
    }
}

fn text(err: Broken) -> String {
    err.to_string()
}
