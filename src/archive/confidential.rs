//! What may be secret of the containers, in a member of its own, which only encrypted files have.
//!
//! It is JSON in one gzip member, encrypted as the parts are. Home Assistant's software leaves a
//! member with this ending alone, as it does the index.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use zeroize::Zeroizing;

use super::open::Archive;
use crate::model::Confidential;
use crate::secret::Secret;

/// The name of the member.
pub(super) const CONFIDENTIAL: &str = "hearthkeep.confidential";

/// Larger than this is none, compressed or not.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The content of the member.
pub(super) fn pack(all: &BTreeMap<String, Confidential>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let json = Confidential::to_json(all).context("writing what is confidential")?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(json.expose().as_bytes())?;
    Ok(Zeroizing::new(gzip.finish()?))
}

impl Archive {
    /// What may be secret of the containers, by their names; nothing where the file has none, as
    /// those that are not encrypted, or was not unlocked.
    pub fn confidential(&self) -> anyhow::Result<BTreeMap<String, Confidential>> {
        let member = self.members.iter().find(|it| it.name == CONFIDENTIAL);
        let Some(member) = member.filter(|_| self.opener.is_some()) else {
            return Ok(BTreeMap::new());
        };
        ensure!(member.size <= MAX_BYTES, "it is far too large");
        let head = self.head(member)?;
        // In the clear nobody of us wrote it.
        ensure!(head.envelope.is_some(), "it is not encrypted");
        let mut bytes = Zeroizing::new(Vec::with_capacity(member.size as usize));
        self.plain(member, &head, Arc::default())?.read_to_end(&mut bytes)?;
        let mut text = Zeroizing::new(Vec::new());
        GzDecoder::new(&bytes[..]).take(MAX_BYTES).read_to_end(&mut text)?;
        let text = std::str::from_utf8(&text).context("it is not text")?;
        Confidential::from_json(&Secret::new(text.to_owned()))
            .context("it is not as it was written")
    }
}
