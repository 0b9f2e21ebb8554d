//! The settings as written: every key may be missing, whether it is written in the file, in a
//! variable or on the command line. What cannot be meant is refused here, where its place is known.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::keys::{self, Words};
use crate::log::Form;
use crate::plan::OnMaxHold;
use crate::retention::Keep;
use crate::secret::Secret;

/// The keys of a job, or of all jobs that do not say otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Written {
    /// The Compose project of the home.
    pub project: Option<String>,
    /// The container of Home Assistant.
    pub home: Option<String>,
    /// The folder of backups.
    #[serde(deserialize_with = "absolute")]
    pub store: Option<PathBuf>,
    /// The folder for copies.
    #[serde(deserialize_with = "absolute")]
    pub staging: Option<PathBuf>,
    /// Where the password is.
    #[serde(rename = "password-file", deserialize_with = "password_file")]
    pub password: Option<Password>,
    /// How hard to compress, 1 to 9.
    #[serde(deserialize_with = "level")]
    pub level: Option<u8>,
    /// How to encrypt, 2 or 3.
    #[serde(deserialize_with = "format_version")]
    pub format_version: Option<u8>,
    /// Do not compress.
    pub uncompressed: Option<bool>,
    /// How long the containers may be held.
    #[serde(deserialize_with = "seconds")]
    pub max_hold: Option<Duration>,
    /// What happens then.
    pub on_max_hold: Option<OnMaxHold>,
    /// How long a restored home, or its copies in a boot test, may take to come up.
    #[serde(deserialize_with = "seconds")]
    pub patience: Option<Duration>,
    /// How long everything has to stay up then.
    #[serde(deserialize_with = "seconds")]
    pub settle: Option<Duration>,
    /// The backup's name.
    pub name: Option<String>,
    /// The items; all of them without it.
    #[serde(deserialize_with = "words")]
    pub only: Option<Vec<String>>,
    /// Globs of files to leave out.
    #[serde(deserialize_with = "words")]
    pub exclude: Option<Vec<String>>,
    /// Leave out Home Assistant's database.
    pub no_database: Option<bool>,
    /// When the job is due.
    pub schedule: Option<Spanned<Due>>,
    /// Which of its backups are kept.
    #[serde(deserialize_with = "keep")]
    pub keep: Option<Keep>,
    /// How entries of the log are written; only at the top.
    pub log: Option<Form>,
    /// The jobs by name; only at the top.
    pub profiles: Option<BTreeMap<String, Spanned<Option<Written>>>>,
}

/// Where a password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// In this file, which holds nothing else.
    File(PathBuf),
    /// It was in a variable.
    Known(Secret),
}

/// When a job is due, as written: `schedule: mon-fri 04:45`, or a map of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// What `Schedule::parse` reads.
    pub text: String,
    /// The time zone by its name, such as `Europe/Berlin`; the system's without it.
    pub time_zone: Option<String>,
    /// How long a run may be put off at most.
    pub jitter: Duration,
}

impl Written {
    /// The keys of this one, and where it has none, those of another.
    pub fn over(self, other: Written) -> Written {
        // Both say which home is meant; half of another's answer would contradict this one.
        let picks = self.project.is_some() || self.home.is_some();
        let (project, home) =
            if picks { (self.project, self.home) } else { (other.project, other.home) };
        Written {
            project,
            home,
            store: self.store.or(other.store),
            staging: self.staging.or(other.staging),
            password: self.password.or(other.password),
            level: self.level.or(other.level),
            format_version: self.format_version.or(other.format_version),
            uncompressed: self.uncompressed.or(other.uncompressed),
            max_hold: self.max_hold.or(other.max_hold),
            on_max_hold: self.on_max_hold.or(other.on_max_hold),
            patience: self.patience.or(other.patience),
            settle: self.settle.or(other.settle),
            name: self.name.or(other.name),
            only: self.only.or(other.only),
            exclude: self.exclude.or(other.exclude),
            no_database: self.no_database.or(other.no_database),
            schedule: self.schedule.or(other.schedule),
            keep: self.keep.or(other.keep),
            log: self.log.or(other.log),
            profiles: self.profiles.or(other.profiles),
        }
    }

    /// Whether it says what a backup holds or is called.
    pub fn chooses(&self) -> bool {
        self.name.is_some()
            || self.only.is_some()
            || self.exclude.is_some()
            || self.no_database.is_some()
    }
}

/// A key whose value has to pass a check.
fn checked<'de, D, T, U>(
    deserializer: D,
    check: impl FnOnce(T) -> Result<U, String>,
) -> Result<Option<U>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer)?.map(check).transpose().map_err(D::Error::custom)
}

fn absolute<'de, D: Deserializer<'de>>(it: D) -> Result<Option<PathBuf>, D::Error> {
    checked(it, keys::absolute)
}

fn password_file<'de, D: Deserializer<'de>>(it: D) -> Result<Option<Password>, D::Error> {
    checked(it, |path| keys::absolute(path).map(Password::File))
}

fn level<'de, D: Deserializer<'de>>(it: D) -> Result<Option<u8>, D::Error> {
    checked(it, keys::level)
}

fn format_version<'de, D: Deserializer<'de>>(it: D) -> Result<Option<u8>, D::Error> {
    checked(it, keys::format_version)
}

fn seconds<'de, D: Deserializer<'de>>(it: D) -> Result<Option<Duration>, D::Error> {
    checked(it, keys::seconds)
}

fn words<'de, D: Deserializer<'de>>(it: D) -> Result<Option<Vec<String>>, D::Error> {
    checked(it, |Words(words)| Ok(words))
}

fn keep<'de, D: Deserializer<'de>>(it: D) -> Result<Option<Keep>, D::Error> {
    checked(it, |written: KeepWritten| {
        keys::keep(Keep {
            last: written.last,
            daily: written.daily,
            weekly: written.weekly,
            monthly: written.monthly,
            days: written.days,
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KeepWritten {
    last: u32,
    daily: u32,
    weekly: u32,
    monthly: u32,
    days: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct DueWritten {
    #[serde(deserialize_with = "words")]
    days: Option<Vec<String>>,
    time: Option<String>,
    cron: Option<String>,
    time_zone: Option<String>,
    #[serde(deserialize_with = "seconds")]
    jitter: Option<Duration>,
}

impl DueWritten {
    fn meant(self) -> Result<Due, String> {
        let text = match (self.days, self.time, self.cron) {
            (None, None, Some(cron)) => cron,
            (None, Some(time), None) => time,
            (Some(days), Some(time), None) => format!("{} {time}", days.join(",")),
            _ => return Err("a schedule has a time, days and a time, or a cron line".to_owned()),
        };
        Ok(Due { text, time_zone: self.time_zone, jitter: self.jitter.unwrap_or_default() })
    }
}

impl<'de> Deserialize<'de> for Due {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Due, D::Error> {
        deserializer.deserialize_any(DueVisitor)
    }
}

struct DueVisitor;

impl<'de> serde::de::Visitor<'de> for DueVisitor {
    type Value = Due;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a schedule such as mon-fri 04:45")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Due, E> {
        Ok(Due { text: text.to_owned(), ..Due::default() })
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Due, A::Error> {
        let written = DueWritten::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        written.meant().map_err(A::Error::custom)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Due, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Err(A::Error::custom("one schedule, such as mon-fri 04:45, and no list of them"))
    }
}
