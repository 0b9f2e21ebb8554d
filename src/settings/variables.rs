//! The settings in the environment: `HEARTHKEEP_MAX_HOLD` for `max-hold`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use serde_saphyr::{Location, Spanned};

use super::written::{Due, Password, Written};
use super::{BadSettings, keys};
use crate::log::Form;
use crate::nearest::nearest;
use crate::plan::OnMaxHold;
use crate::secret::{self, Secret};

/// Begins the names of all of them.
const PREFIX: &str = "HEARTHKEEP_";

/// The keys that are variables too. Of profiles there is no one value.
pub const KEYS: [&str; 19] = [
    "project",
    "home",
    "store",
    "staging",
    "password-file",
    "level",
    "format-version",
    "uncompressed",
    "max-hold",
    "on-max-hold",
    "patience",
    "settle",
    "name",
    "only",
    "exclude",
    "no-database",
    "schedule",
    "keep",
    LOG,
];

/// The key that is not one of a job, but of the whole program.
pub const LOG: &str = "log";

/// Variables that are no settings.
const OTHERS: [&str; 5] = [
    "HEARTHKEEP_PASSWORD",
    "HEARTHKEEP_CONFIG",
    "HEARTHKEEP_STATE",
    "HEARTHKEEP_SOCKET",
    crate::lines::VARIABLE,
];

/// The environment of a process, or what a test says it is.
pub struct Variables<'a>(pub &'a dyn Fn(&str) -> Option<OsString>);

impl Variables<'_> {
    /// Reads every variable that is set. One that is empty counts as not set, as Compose files
    /// often leave them; only a password is never empty by intent.
    ///
    /// # Errors
    /// [`BadSettings`] for a value that means nothing, and for two passwords.
    pub(super) fn written(&self) -> Result<Written, BadSettings> {
        let list = |key| Ok::<_, BadSettings>(self.text(key)?.map(|it| split(&it)));
        Ok(Written {
            project: self.text("project")?,
            home: self.text("home")?,
            store: self.path("store"),
            staging: self.path("staging"),
            password: self.password()?,
            level: self.checked("level", "a number", keys::level)?,
            format_version: self.checked("format-version", "a number", keys::format_version)?,
            uncompressed: self.checked("uncompressed", "true or false", Ok)?,
            max_hold: self.checked("max-hold", "a number of seconds", keys::seconds)?,
            on_max_hold: self.read("on-max-hold", |it| match it {
                "fail" => Ok(OnMaxHold::Fail),
                "continue" => Ok(OnMaxHold::Continue),
                _ => Err("must be fail or continue".to_owned()),
            })?,
            patience: self.checked("patience", "a number of seconds", keys::seconds)?,
            settle: self.checked("settle", "a number of seconds", keys::seconds)?,
            name: self.text("name")?,
            only: list("only")?,
            exclude: list("exclude")?,
            no_database: self.checked("no-database", "true or false", Ok)?,
            schedule: self.text("schedule")?.map(|text| {
                Spanned::new(Due { text, ..Due::default() }, Location::UNKNOWN, Location::UNKNOWN)
            }),
            keep: self.read("keep", keys::keep_of)?,
            log: self.read(LOG, |it| {
                Form::parse(it).ok_or_else(|| format!("{it:?} must be plain, json or journal"))
            })?,
            profiles: None,
        })
    }

    fn password(&self) -> Result<Option<Password>, BadSettings> {
        let file = self.path("password-file");
        let Some(password) = (self.0)(secret::VARIABLE) else {
            return Ok(file.map(Password::File));
        };
        if let Some(file) = file {
            return Err(BadSettings::of_variable(
                secret::VARIABLE,
                format!(
                    "there is {} as well ({}): set one of them",
                    name("password-file"),
                    file.display()
                ),
            ));
        }
        // What is in it must not get into the error.
        let refused = |what: &str| BadSettings::of_variable(secret::VARIABLE, what.to_owned());
        match password.into_string() {
            Err(_) => Err(refused("it is not UTF-8")),
            Ok(text) if text.is_empty() => Err(refused("it is empty: set it or unset it")),
            Ok(text) => Ok(Some(Password::Known(Secret::new(text)))),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        (self.0)(&name(key)).filter(|it| !it.is_empty()).map(PathBuf::from)
    }

    fn text(&self, key: &str) -> Result<Option<String>, BadSettings> {
        self.read(key, |it| Ok(it.to_owned()))
    }

    fn checked<T: FromStr, U>(
        &self,
        key: &str,
        wanted: &str,
        check: impl Fn(T) -> Result<U, String>,
    ) -> Result<Option<U>, BadSettings> {
        self.read(key, |it| match it.trim().parse() {
            Ok(value) => check(value),
            Err(_) => Err(format!("{it:?} must be {wanted}")),
        })
    }

    fn read<T>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadSettings> {
        let Some(value) = (self.0)(&name(key)).filter(|it| !it.is_empty()) else { return Ok(None) };
        let text = value.into_string().map_err(|_| "it is not UTF-8".to_owned());
        text.and_then(|it| read(&it))
            .map(Some)
            .map_err(|it| BadSettings::of_variable(&name(key), it))
    }
}

/// The variable for a key.
pub fn name(key: &str) -> String {
    format!("{PREFIX}{}", key.to_uppercase().replace('-', "_"))
}

/// Of the names of variables those that look like settings and are none, each with the nearest
/// that is one. Those for tests are passed over.
pub fn unknown<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(String, Option<String>)> {
    let known: Vec<String> =
        KEYS.iter().map(|it| name(it)).chain(OTHERS.map(str::to_owned)).collect();
    let is_strange = |it: &&str| {
        it.starts_with(PREFIX)
            && !it.starts_with("HEARTHKEEP_TEST_")
            && !known.iter().any(|known| known == it)
    };
    let words = || KEYS.iter().copied();
    let meant = |it: &str| nearest(&it[PREFIX.len()..], words()).map(name);
    names.filter(is_strange).map(|it| (it.to_owned(), meant(it))).collect()
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}
