//! One job, as meant: every key has a value, and no value has to be checked again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_saphyr::Spanned;

use super::written::{Due, Password, Written};
use super::{BadSettings, variables};
use crate::nearest::nearest;
use crate::plan::{BackupRequest, HoldLimit, Pick};
use crate::retention::Keep;
use crate::schedule::Schedule;

/// How long a restored home may take to come up where nobody says.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a restored home has to stay up where nobody says.
const SETTLE: Duration = Duration::from_secs(2);

/// How hard to compress where nobody says: most of what a higher level saves, at half the time.
const LEVEL: u8 = 2;

/// The format of encryption where nobody says: that of Home Assistant since 2026.4.
const FORMAT_VERSION: u8 = 3;

/// A job: what is backed up, where to, when, and what is kept.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name; empty for the one without.
    pub profile: String,
    /// Whether the command line says what a backup holds or is called, so that it is none of those
    /// that this job makes by itself.
    pub by_hand: bool,
    /// Which home.
    pub pick: Pick,
    /// The folder of backups; without it the home's own.
    pub store: Option<PathBuf>,
    /// The folder for copies.
    pub staging: Option<PathBuf>,
    /// Where the password is; without it nothing is encrypted.
    pub password: Option<Password>,
    /// How hard to compress, 1 to 9.
    pub level: u8,
    /// How to encrypt, 2 or 3.
    pub format_version: u8,
    /// Whether the parts are not compressed.
    pub uncompressed: bool,
    /// How long the containers may be held, and what then.
    pub limit: HoldLimit,
    /// How long a restored home, or its copies in a boot test, may take to come up.
    pub patience: Duration,
    /// How long everything has to stay up then.
    pub settle: Duration,
    /// The backup's name.
    pub name: Option<String>,
    /// The items; empty means all.
    pub only: Vec<String>,
    /// Globs of files to leave out.
    pub exclude: Vec<String>,
    /// Whether Home Assistant's database is left out.
    pub no_database: bool,
    /// When it is due.
    pub schedule: Option<Schedule>,
    /// Which of its backups are kept; without it all of them.
    pub keep: Option<Keep>,
}

/// No profile goes by that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no profile {name} in the settings; {}", advice(.name, .known))]
pub struct NoSuchProfile {
    /// As it was asked for.
    pub name: String,
    /// Those that there are.
    pub known: Vec<String>,
}

fn advice(name: &str, known: &[String]) -> String {
    match (nearest(name, known.iter().map(String::as_str)), known) {
        (Some(meant), _) => format!("probably {meant}"),
        (None, []) => "there are none".to_owned(),
        (None, known) => format!("there are {}", known.join(", ")),
    }
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            profile: String::new(),
            by_hand: false,
            pick: Pick::default(),
            store: None,
            staging: None,
            password: None,
            level: LEVEL,
            format_version: FORMAT_VERSION,
            uncompressed: false,
            limit: HoldLimit::default(),
            patience: PATIENCE,
            settle: SETTLE,
            name: None,
            only: Vec::new(),
            exclude: Vec::new(),
            no_database: false,
            schedule: None,
            keep: None,
        }
    }
}

impl Profile {
    pub(super) fn meant(
        profile: &str,
        written: Written,
        by_hand: bool,
        file: &Path,
    ) -> Result<Profile, BadSettings> {
        let usual = Profile::default();
        Ok(Profile {
            profile: profile.to_owned(),
            by_hand,
            pick: Pick { project: written.project, container: written.home },
            store: written.store,
            staging: written.staging,
            password: written.password,
            level: written.level.unwrap_or(usual.level),
            format_version: written.format_version.unwrap_or(usual.format_version),
            uncompressed: written.uncompressed.unwrap_or(usual.uncompressed),
            limit: HoldLimit {
                longest: written.max_hold.unwrap_or(usual.limit.longest),
                then: written.on_max_hold.unwrap_or(usual.limit.then),
            },
            patience: written.patience.unwrap_or(usual.patience),
            settle: written.settle.unwrap_or(usual.settle),
            name: written.name,
            only: written.only.unwrap_or_default(),
            exclude: written.exclude.unwrap_or_default(),
            no_database: written.no_database.unwrap_or(usual.no_database),
            schedule: written.schedule.map(|it| schedule(&it, file)).transpose()?,
            keep: written.keep,
        })
    }

    /// The backup that this job makes.
    pub fn request(&self) -> BackupRequest {
        BackupRequest {
            name: self.name.clone(),
            only: self.only.clone(),
            exclude: self.exclude.clone(),
            no_database: self.no_database,
            uncompressed: self.uncompressed,
            limit: self.limit,
            profile: (!self.by_hand).then(|| self.profile.clone()),
            keep: self.keep.filter(|_| !self.by_hand),
        }
    }

    /// Its name for people.
    pub fn title(&self) -> String {
        match self.profile.as_str() {
            "" => "backups".to_owned(),
            name => format!("profile {name}"),
        }
    }
}

fn schedule(due: &Spanned<Due>, file: &Path) -> Result<Schedule, BadSettings> {
    let refused = |what: String| match due.referenced.line() {
        0 => BadSettings::of_variable(&variables::name("schedule"), what),
        _ => BadSettings::at(file, due.referenced, format!("schedule: {what}")),
    };
    let Due { text, time_zone, jitter } = &due.value;
    let zone = match time_zone {
        None => TimeZone::system(),
        Some(name) => TimeZone::get(name)
            .map_err(|_| refused(format!("no time zone {name}, such as Europe/Berlin")))?,
    };
    let schedule = Schedule::parse(text, zone).map_err(|err| refused(format!("{text}: {err}")))?;
    Ok(schedule.with_jitter(*jitter))
}

/// Refuses a name that cannot be part of a unit's or a file's.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.chars().all(sound) {
        true => Ok(()),
        false => Err(format!("profile {name:?}: a name has letters, digits, - and _")),
    }
}
