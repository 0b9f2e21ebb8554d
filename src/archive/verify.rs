//! Reading a file to its end, to know that a restore could.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::contents::Contents;
use super::extract::{entry_name, stamp};
use super::index::{Cursor, Entry, INDEX, Index, Kind, Name};
use super::open::{Archive, Member, OpenError};
use super::outer;
use super::secure::Envelope;
use super::unlock::is_inner_tar;
use crate::monitor::Monitor;
use crate::signals;

/// Nobody reads more, and each is compared with all before it.
const MAX_PROBLEMS: usize = 1000;

/// Something that a restore would stumble over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The member of the outer tar.
    pub member: String,
    /// What is wrong with it.
    pub what: String,
    /// Whether a restore could do wrong by it. It could not where all parts are whole and only what
    /// stands around them is damaged, or where a file was broken already when it was backed up.
    #[serde(skip)]
    pub hinders: bool,
}

/// What is looked at beyond what every reading shows: checksums and the marks of ciphers, names,
/// kinds and sizes against the index, and the outer tar to the last byte.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checks<'a> {
    /// The hash of every file, too. Where neither gzip nor the cipher has a checksum of what is in it,
    /// these are looked at in any case.
    pub hashes: bool,
    /// Whether databases and Home Assistant's own files can be read, too; databases are put into
    /// this folder for it, and leave it again.
    pub contents: Option<&'a Path>,
}

/// What reading a file to its end has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is damaged or missing; empty for a sound file.
    pub problems: Vec<Problem>,
    /// What could not be looked at, as sentences.
    pub notes: Vec<String>,
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

    /// As [`Verdict::into_result`] where a restore could do wrong; what else is wrong comes beside
    /// the bytes, as sentences. A backup whose parts are whole can be restored.
    pub fn restorable(
        mut self,
        archive: &Archive,
    ) -> Result<(BTreeMap<String, u64>, Vec<String>), OpenError> {
        let (hindering, others) = self.problems.drain(..).partition(|it| it.hinders);
        self.problems = hindering;
        let tell = |it: Problem| format!("{}: {}: {}", archive.path.display(), it.member, it.what);
        Ok((self.into_result(archive)?, others.into_iter().map(tell).collect()))
    }
}

/// Reads every part of a file to its end, checksums included, and names what is damaged or
/// missing.
///
/// # Errors
/// [`OpenError::Encrypted`] where the parts cannot be read, and whatever cancels the run.
pub fn verify(
    archive: &Archive,
    checks: Checks<'_>,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> Result<Verdict, OpenError> {
    archive.check_unlocked()?;
    let mut look = Look { archive, checks, cancel, monitor, verdict: Verdict::default() };
    let index = look.index();
    look.members(index.as_ref());
    for member in archive.members.iter().filter(|it| is_inner_tar(&it.name)) {
        monitor.part(&member.name);
        // Where that cannot be had, nothing is said of the backup.
        let contents = checks.contents.map(Contents::new).transpose()?;
        let read = look.part(member, index.as_ref(), contents);
        signals::check(cancel).map_err(anyhow::Error::from)?;
        match read {
            Ok(bytes) => {
                look.verdict.content_bytes.insert(member.name.clone(), bytes);
            }
            Err(err) => look.problem(&member.name, format!("{err:#}"), true),
        }
    }
    Ok(look.verdict)
}

struct Look<'a> {
    archive: &'a Archive,
    checks: Checks<'a>,
    cancel: &'a CancellationToken,
    monitor: &'a dyn Monitor,
    verdict: Verdict,
}

impl Look<'_> {
    fn problem(&mut self, member: &str, what: impl Into<String>, hinders: bool) {
        let problem = Problem { member: member.to_owned(), what: what.into(), hinders };
        // Whether one hinders is told in any case.
        let is_enough = self.verdict.problems.len() >= MAX_PROBLEMS
            && (!hinders || self.verdict.problems.iter().any(|it| it.hinders));
        if !is_enough && !self.verdict.problems.contains(&problem) {
            self.verdict.problems.push(problem);
        }
    }

    fn index(&mut self) -> Option<Index> {
        let manifest = self.archive.metadata.hearthkeep.as_ref();
        match self.archive.index() {
            Ok(None) if manifest.is_some_and(|it| it.version > 1) => {
                self.problem(INDEX, "is missing in the file", false);
                None
            }
            Ok(index) => index,
            Err(err) => {
                self.problem(INDEX, format!("{err:#}"), false);
                None
            }
        }
    }

    /// What can be told without reading a part.
    fn members(&mut self, index: Option<&Index>) {
        let archive = self.archive;
        for item in archive.metadata.items() {
            if archive.member_of(&item).is_none() {
                let what = "is listed in backup.json but missing in the file";
                self.problem(&item.to_string(), what, true);
            }
        }
        for (n, member) in archive.members.iter().enumerate() {
            if archive.members[..n].iter().any(|it| it.name == member.name) {
                self.problem(&member.name, "stands twice in the file", true);
            }
            let is_altered = |it: Envelope| !it.is_pristine();
            if archive.head(member).is_ok_and(|it| it.envelope.is_some_and(is_altered)) {
                self.problem(&member.name, "its envelope is not as it was written", false);
            }
        }
        let Some(index) = index else { return };
        for part in index.parts.iter().filter(|it| !self.has(&it.member)).collect::<Vec<_>>() {
            self.problem(&part.member, "is in the index but missing in the file", true);
        }
        match outer::check(archive, index) {
            Ok(problems) => {
                for it in problems {
                    self.problem(&it.member, it.what, it.is_metadata);
                }
            }
            Err(err) => self.problem(INDEX, format!("{err:#}"), false),
        }
    }

    fn has(&self, member: &str) -> bool {
        self.archive.members.iter().any(|it| it.name == member)
    }

    /// Reads a part to its end; gives the bytes of its files.
    fn part(
        &mut self,
        member: &Member,
        index: Option<&Index>,
        mut contents: Option<Contents>,
    ) -> anyhow::Result<u64> {
        let part = index.and_then(|it| it.part(&member.name));
        let hashes = self.checks.hashes || !self.is_guarded(member)?;
        let mut inner = self.archive.read(member, part, self.cancel, self.monitor)?;
        let mut told = index.and_then(|it| it.entries(&member.name));
        let mut piece = vec![0; 256 * 1024];
        let mut tar = tar::Archive::new(&mut inner);
        let mut bytes = 0;
        for entry in tar.entries()? {
            let mut entry = entry?;
            let name = entry_name(&entry.path_bytes()).map_err(|err| {
                anyhow::anyhow!("{}: {err}", String::from_utf8_lossy(&entry.path_bytes()))
            })?;
            let wanted = self.next_told(&mut told);
            if let Some(wanted) = &wanted {
                let is_told = is_told(&mut entry, &name, wanted)?;
                anyhow::ensure!(is_told, "{} is not what the index says", name.display());
            }
            let mut hasher = hashes.then(blake3::Hasher::new);
            let (promised, mut seen) = (entry.size(), 0);
            let is_file = entry.header().entry_type().is_file();
            if let Some(contents) = contents.as_mut().filter(|_| is_file) {
                contents.begin(&member.name, &name, promised);
            }
            loop {
                // What is in a hole passes nobody else who would ask.
                signals::check(self.cancel)?;
                let n = entry.read(&mut piece)?;
                if let Some(contents) = &mut contents {
                    contents.piece(&piece[..n]);
                }
                match n {
                    0 => break,
                    n => seen += n as u64,
                }
                if let Some(hasher) = &mut hasher {
                    hasher.update(&piece[..n]);
                }
            }
            anyhow::ensure!(seen == promised, "cut short in {}", name.display());
            let hash = hasher.map(|it| it.finalize().into());
            if let (Some(hash), Some(Some(wanted))) = (hash, wanted.map(|it| it.hash)) {
                anyhow::ensure!(wanted == hash, "{} has another content", name.display());
            }
            bytes += seen;
        }
        if self.next_told(&mut told).is_some() {
            anyhow::bail!("the index tells of more entries than there are");
        }
        // The checksum stands behind the end of the tar.
        io::copy(&mut inner, &mut io::sink())?;
        if let Some(contents) = contents {
            let (problems, notes) = contents.finish();
            problems.into_iter().for_each(|it| self.problem(&member.name, it, false));
            self.verdict.notes.extend(notes);
        }
        Ok(bytes)
    }

    /// Whether something around its inner tar notices when that was altered.
    fn is_guarded(&self, member: &Member) -> anyhow::Result<bool> {
        let envelope = self.archive.head(member)?.envelope;
        Ok(member.name.ends_with("gz") || matches!(envelope, Some(Envelope::V3 { .. })))
    }

    /// What the index says of the next entry, as long as the index can be read.
    fn next_told(&mut self, told: &mut Option<Cursor<'_>>) -> Option<Entry> {
        match told.as_mut()?.next()? {
            Ok(entry) => Some(entry),
            Err(err) => {
                self.problem(INDEX, err.to_string(), false);
                *told = None;
                None
            }
        }
    }
}

fn is_told<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    name: &Path,
    told: &Entry,
) -> anyhow::Result<bool> {
    let (stamp, _) = stamp(entry)?;
    let kind = entry.header().entry_type();
    let is_kind = match told.kind {
        Kind::File => kind.is_file(),
        Kind::Folder => kind.is_dir(),
        Kind::Symlink => kind.is_symlink(),
        Kind::Hardlink => kind.is_hard_link(),
    };
    let told_name = entry_name(told.path.as_bytes());
    let owner = (u64::from(stamp.uid), u64::from(stamp.gid));
    Ok(is_kind
        && told_name.is_ok_and(|it| it == name)
        && entry.size() == told.size
        && entry.raw_file_position() == told.at + told.head
        && (stamp.mode, owner, stamp.mtime) == (told.mode, (told.uid, told.gid), told.mtime)
        && entry.link_name_bytes().as_deref() == told.target.as_ref().map(Name::as_bytes))
}
