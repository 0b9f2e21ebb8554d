//! Reading a file to its end, to know that a restore could.

use std::collections::BTreeMap;
use std::io::{self, Read};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::extract::entry_name;
use super::open::{Archive, Member, OpenError};
use crate::monitor::Monitor;
use crate::signals;

/// Something that a restore would stumble over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The member of the outer tar.
    pub member: String,
    /// What is wrong with it.
    pub what: String,
}

/// What reading a file to its end has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is damaged or missing; empty for a sound file.
    pub problems: Vec<Problem>,
    /// Bytes of all files in each inner tar, by the member's name.
    pub content_bytes: BTreeMap<String, u64>,
}

impl Verdict {
    /// The first problem as an error, else the bytes of each member's content.
    pub fn into_result(self, archive: &Archive) -> Result<BTreeMap<String, u64>, OpenError> {
        match self.problems.first() {
            None => Ok(self.content_bytes),
            Some(first) => Err(archive.damaged(format!("{}: {}", first.member, first.what))),
        }
    }
}

/// Reads every part of a file to its end, checksums included, and names what is damaged or
/// missing.
///
/// # Errors
/// [`OpenError::Encrypted`] where the parts cannot be read, and whatever cancels the run.
pub fn verify(
    archive: &Archive,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> Result<Verdict, OpenError> {
    if archive.metadata.protected {
        return Err(OpenError::Encrypted { path: archive.path.clone() });
    }
    let mut problems = Vec::new();
    let mut content_bytes = BTreeMap::new();
    for item in archive.metadata.items() {
        if archive.member_of(&item).is_none() {
            problems.push(Problem {
                member: item.to_string(),
                what: "is listed in backup.json but missing in the file".to_owned(),
            });
        }
    }
    for (n, member) in archive.members.iter().enumerate() {
        if archive.members[..n].iter().any(|it| it.name == member.name) {
            let what = "stands twice in the file".to_owned();
            problems.push(Problem { member: member.name.clone(), what });
        }
        if !is_inner_tar(&member.name) {
            continue;
        }
        monitor.part(&member.name);
        match read_to_end(archive, member, cancel, monitor) {
            Ok(bytes) => {
                content_bytes.insert(member.name.clone(), bytes);
            }
            Err(err) => {
                signals::check(cancel).map_err(anyhow::Error::from)?;
                problems.push(Problem { member: member.name.clone(), what: format!("{err:#}") });
            }
        }
    }
    Ok(Verdict { problems, content_bytes })
}

fn is_inner_tar(name: &str) -> bool {
    [".tar", ".tar.gz", ".tgz"].iter().any(|end| name.ends_with(end))
}

fn read_to_end(
    archive: &Archive,
    member: &Member,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<u64> {
    let mut inner = archive.read(member, cancel, monitor)?;
    let mut piece = vec![0; 256 * 1024];
    let mut tar = tar::Archive::new(&mut inner);
    let mut bytes = 0;
    for entry in tar.entries()? {
        let mut entry = entry?;
        let promised = entry.size();
        entry_name(&entry.path_bytes())
            .with_context(|| String::from_utf8_lossy(&entry.path_bytes()).into_owned())?;
        let mut seen = 0;
        loop {
            match entry.read(&mut piece)? {
                0 => break,
                n => seen += n as u64,
            }
        }
        anyhow::ensure!(seen == promised, "cut short in {}", entry.path()?.display());
        bytes += seen;
    }
    // The checksum stands behind the end of the tar.
    io::copy(&mut inner, &mut io::sink())?;
    Ok(bytes)
}
