//! Reading a file to its end, to know that a restore could.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::confidential::CONFIDENTIAL;
use super::contents::Contents;
use super::index::{INDEX, Index};
use super::open::{Archive, Member, OpenError};
use super::outer;
use super::secure::Envelope;
use super::share::{Extent, Gauge};
use super::through::Through;
use super::unlock::{Head, is_inner_tar};
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
    /// What to measure on the way.
    pub gauges: &'a [Gauge],
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
    /// What the gauges say, in their order; nothing of what is damaged.
    pub extents: Vec<Extent>,
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
    /// what the gauges say, as sentences. A backup whose parts are whole can be restored.
    pub fn restorable(
        mut self,
        archive: &Archive,
    ) -> Result<(Vec<Extent>, Vec<String>), OpenError> {
        let (hindering, others) = self.problems.drain(..).partition(|it| it.hinders);
        self.problems = hindering;
        let tell = |it: Problem| format!("{}: {}: {}", archive.path.display(), it.member, it.what);
        let extents = std::mem::take(&mut self.extents);
        self.into_result(archive)?;
        Ok((extents, others.into_iter().map(tell).collect()))
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
    let extents = vec![Extent::default(); checks.gauges.len()];
    let verdict = Verdict { extents, ..Verdict::default() };
    let mut look = Look { archive, checks, cancel, monitor, verdict };
    let index = look.index();
    look.members(index.as_deref());
    for member in archive.members.iter().filter(|it| is_inner_tar(&it.name)) {
        monitor.part(&member.name);
        look.part(member, index.as_deref())?;
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

    fn index(&mut self) -> Option<Arc<Index>> {
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
        // No home that runs already needs it.
        if let Err(err) = archive.confidential() {
            self.problem(CONFIDENTIAL, format!("{err:#}"), false);
        }
        let Some(index) = index else { return };
        if index.confidential.is_some() && !self.has(CONFIDENTIAL) {
            self.problem(CONFIDENTIAL, "is in the index but missing in the file", false);
        }
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

    /// Reads a part to its end.
    fn part(&mut self, member: &Member, index: Option<&Index>) -> Result<(), OpenError> {
        let (archive, name) = (self.archive, &member.name);
        let table = index.and_then(|it| it.part(name));
        // Where databases cannot be put anywhere, nothing is said of the backup.
        let contents = self.checks.contents.map(Contents::new).transpose()?;
        let told = index.and_then(|it| it.entries(name));
        let mut through = Through::new(member, told, contents, self.checks.gauges, self.cancel);
        let hashes = self.checks.hashes || !self.is_guarded(member);
        let read = archive.read(member, table, self.cancel, self.monitor);
        let bytes = read.and_then(|inner| through.read(inner, hashes));
        signals::check(self.cancel).map_err(anyhow::Error::from)?;
        let seen = through.finish();
        seen.index.into_iter().for_each(|it| self.problem(INDEX, it, false));
        match bytes {
            Ok(bytes) => {
                self.verdict.content_bytes.insert(name.clone(), bytes);
                seen.contents.into_iter().for_each(|it| self.problem(name, it, false));
                self.verdict.notes.extend(seen.notes);
                let gauges = self.checks.gauges.iter().zip(&mut self.verdict.extents);
                let ours = gauges.filter(|(it, _)| it.member == *name).map(|(_, it)| it);
                ours.zip(seen.extents).for_each(|(it, seen)| *it = seen);
            }
            Err(err) => self.problem(name, format!("{err:#}"), true),
        }
        Ok(())
    }

    /// Whether something around its inner tar notices when that was altered.
    fn is_guarded(&self, member: &Member) -> bool {
        let head = self.archive.head(member);
        let is_newest = |it: Head| matches!(it.envelope, Some(Envelope::V3 { .. }));
        member.name.ends_with("gz") || head.is_ok_and(is_newest)
    }
}
