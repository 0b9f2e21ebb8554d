//! Retention in a store: which backups of a job may go, and their removal.
//!
//! Only what hearthkeep made for this very job of this very home is looked at. Backups of others,
//! of other jobs, those whose content a person chose, and files that cannot be read stay.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::archive::Archive;
use crate::catalog::{self, Booted};
use crate::model::Job;
use crate::retention::{self, Dated, Keep, Reason};
use crate::store::{self, Store};

/// A backup of the job, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Its date, as it says.
    pub date: String,
    /// Its file.
    pub path: PathBuf,
    /// The file's size.
    pub size_bytes: u64,
    /// Why it is kept; where there is no reason, it may go.
    pub reasons: Vec<Reason>,
}

/// Looks at the backups of a job, oldest first, and removes nothing.
pub fn judge(store: &Store, job: &Job, keep: &Keep, now: Timestamp) -> anyhow::Result<Vec<Judged>> {
    let ours = |it: &Archive| {
        it.metadata.hearthkeep.as_ref().is_some_and(|it| it.job.as_ref() == Some(job))
    };
    let backups: Vec<Archive> = catalog::read(store)?.backups.into_iter().filter(ours).collect();
    let dated: Vec<(Dated, Archive)> = backups
        .into_iter()
        // Without a date that can be read nobody knows how old it is.
        .filter_map(|it| {
            let pinned = store::is_pinned(&it.path, &it.metadata.slug);
            Some((Dated { when: it.metadata.when()?, pinned }, it))
        })
        .collect();
    let dates: Vec<Dated> = dated.iter().map(|(dated, _)| *dated).collect();
    let reasons = retention::reasons(&dates, keep, now, &TimeZone::system());
    let judged = dated.into_iter().zip(reasons).map(|((_, archive), reasons)| Judged {
        slug: archive.metadata.slug,
        name: archive.metadata.name,
        date: archive.metadata.date,
        path: archive.path,
        size_bytes: archive.size_bytes,
        reasons,
    });
    Ok(judged.collect())
}

/// Removes the backups of a job that no rule keeps; gives those that are gone, oldest first.
pub fn run(store: &Store, job: &Job, keep: &Keep, now: Timestamp) -> anyhow::Result<Vec<Judged>> {
    let mut judged = judge(store, job, keep, now)?;
    judged.retain(|it| it.reasons.is_empty());
    judged.iter().try_for_each(|it| remove(store, it))?;
    Ok(judged)
}

/// Removes a backup, and what a boot test of it has shown.
pub fn remove(store: &Store, backup: &Judged) -> anyhow::Result<()> {
    store.remove(&backup.path)?;
    Booted::forget(&backup.path)
}
