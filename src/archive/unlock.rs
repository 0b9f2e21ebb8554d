//! The password of a file, and which of its members take it.

use std::sync::Arc;

use anyhow::Context;

use super::confidential::CONFIDENTIAL;
use super::index::INDEX;
use super::open::{Archive, Member, OpenError};
use super::secure::{Envelope, Opener};
use crate::secret::Secret;

/// The longest envelope, and as much behind it as tells whether a password of the old ciphers fits.
const HEAD: u64 = Envelope::MAX_LEN as u64 + 512;

/// What a member begins with.
pub(super) struct Head {
    /// Where it is encrypted: how.
    pub(super) envelope: Option<Envelope>,
    /// What stands behind that.
    pub(super) body: Vec<u8>,
}

impl Archive {
    /// Whether anything in it is encrypted.
    pub fn is_encrypted(&self) -> Result<bool, OpenError> {
        for member in self.inner() {
            if self.head(member).is_ok_and(|it| it.envelope.is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the password of an encrypted file.
    ///
    /// # Errors
    /// [`OpenError::WrongPassword`] where it is that of no member.
    pub fn unlock(&mut self, password: Secret) -> Result<(), OpenError> {
        let opener = Opener::new(password);
        // What is wrong with a head is told when its member is read.
        let heads = self.inner().filter_map(|it| self.head(it).ok());
        let mut fits = heads.filter_map(|Head { envelope, body }| {
            Some(opener.fits(&envelope?, &body).unwrap_or(false))
        });
        // One that does not may be damaged; all of them are not.
        let is_wrong = fits.next().is_some_and(|first| !first && !fits.any(|it| it));
        drop(fits);
        if is_wrong {
            return Err(OpenError::WrongPassword { path: self.path.clone() });
        }
        self.opener = Some(Arc::new(opener));
        Ok(())
    }

    /// Refuses a file that is encrypted and was not unlocked.
    pub(super) fn check_unlocked(&self) -> Result<(), OpenError> {
        match self.opener.is_none() && self.is_encrypted()? {
            true => Err(OpenError::Encrypted { path: self.path.clone() }),
            false => Ok(()),
        }
    }

    /// What a member begins with. Home Assistant decrypts files without our own members, and
    /// encrypts without them: so the member itself tells, and not the metadata.
    pub(super) fn head(&self, member: &Member) -> anyhow::Result<Head> {
        let mut head = vec![0; member.size.min(HEAD) as usize];
        self.source.read_exact_at(&mut head, member.offset).context("reading its head")?;
        let is_gzip = head.starts_with(&[0x1f, 0x8b]);
        let is_tar = head.get(257..262) == Some(b"ustar");
        let envelope = match Envelope::parse(&head)? {
            None if self.metadata.protected && !is_gzip && !is_tar => Some(Envelope::v1(&head)?),
            envelope => envelope,
        };
        let body = head.split_off(envelope.as_ref().map_or(0, |it| it.len() as usize));
        Ok(Head { envelope, body })
    }

    /// All members that may be encrypted.
    fn inner(&self) -> impl Iterator<Item = &Member> {
        let is_ours = |it: &Member| [INDEX, CONFIDENTIAL].contains(&it.name.as_str());
        self.members.iter().filter(move |it| is_inner_tar(&it.name) || is_ours(it))
    }
}

/// Whether a member holds a part.
pub(super) fn is_inner_tar(name: &str) -> bool {
    [".tar", ".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end))
}
