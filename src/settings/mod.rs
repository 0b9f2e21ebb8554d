//! Settings: as written → as meant, merged, defaulted and checked once.
//!
//! They are written in four places, and the first that has a key counts: the words of the command
//! line, variables, the job's profile in the file, the top of the file. Labels of containers are
//! none of them: they say how one container is treated, and `plan` reads them.

mod bad;
mod keys;
mod profile;
mod variables;
mod written;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_saphyr::Location;

pub use self::bad::BadSettings;
pub use self::keys::seconds;
pub use self::profile::{NoSuchProfile, Profile};
pub use self::variables::{KEYS, LOG, Variables, name as variable, unknown as unknown_variables};
pub use self::written::{Due, Password, Written};
use crate::fsx::Draft;
use crate::log::Form;

/// Where the file lies that nobody named.
pub const USUAL: &str = "/etc/hearthkeep/config.yaml";

/// The environment variable that names the file.
pub const FILE: &str = "HEARTHKEEP_CONFIG";

/// The name of the copy in the state folder.
const KEPT: &str = "config.yaml";

/// The name of the file in which systemd hands a service its password.
const CREDENTIAL: &str = "password";

/// No file of settings is longer; one that is was named by mistake.
const LIMIT: u64 = 1024 * 1024;

/// All jobs, ready to be done.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file that they were read from, where there is one.
    pub file: Option<PathBuf>,
    /// How entries of the log are written; where nothing says so, as suits the place.
    pub log: Option<Form>,
    /// The job without a name: what the top of the file says.
    nameless: Profile,
    profiles: BTreeMap<String, Profile>,
}

impl Settings {
    /// Reads the file that was named, or the usual one where it is there, and puts what the
    /// environment and the command line say over it.
    ///
    /// # Errors
    /// [`BadSettings`] where something cannot be meant. A file that was named has to be there.
    pub fn load(
        named: Option<&Path>,
        variables: &Variables<'_>,
        words: Written,
    ) -> anyhow::Result<Settings> {
        let path = named.unwrap_or(Path::new(USUAL));
        let text = read(path, named.is_some())?;
        let file = match &text {
            Some(text) => parse(text, path)?,
            None => Written::default(),
        };
        let mut settings = Settings::build(file, path, variables, words)?;
        settings.file = text.map(|_| path.to_owned());
        Ok(settings)
    }

    /// Puts together what was written.
    fn build(
        mut file: Written,
        path: &Path,
        variables: &Variables<'_>,
        words: Written,
    ) -> Result<Settings, BadSettings> {
        let by_hand = words.chooses();
        let over = words.over(variables.written()?);
        let last = Written { password: credential(variables), ..Written::default() };
        let profiles = file.profiles.take().unwrap_or_default();
        let top = file.over(last);
        let log = over.log.or(top.log);
        let meant = |name: &str, own: Written| {
            let written = over.clone().over(own).over(top.clone());
            Profile::meant(name, written, by_hand, path)
        };
        let nameless = meant("", Written::default())?;
        let mut all = BTreeMap::new();
        for (name, own) in profiles {
            let refused = |what: String| BadSettings::at(path, own.referenced, what);
            profile::check_name(&name).map_err(refused)?;
            let own = own.value.unwrap_or_default();
            for (key, is_there) in [("profiles", own.profiles.is_some()), (LOG, own.log.is_some())]
            {
                if is_there {
                    let what = format!("profile {name}: {key} stands at the top of the file alone");
                    return Err(refused(what));
                }
            }
            let profile = meant(&name, own)?;
            all.insert(name, profile);
        }
        Ok(Settings { file: None, log, nameless, profiles: all })
    }

    /// The job of this name, or the one without.
    ///
    /// # Errors
    /// [`NoSuchProfile`], with the names that there are.
    pub fn profile(&self, name: Option<&str>) -> Result<&Profile, NoSuchProfile> {
        let Some(name) = name else { return Ok(&self.nameless) };
        self.profiles.get(name).ok_or_else(|| NoSuchProfile {
            name: name.to_owned(),
            known: self.profiles.keys().cloned().collect(),
        })
    }

    /// All jobs, the one without a name first.
    pub fn all(&self) -> impl Iterator<Item = &Profile> {
        std::iter::once(&self.nameless).chain(self.profiles.values())
    }

    /// The jobs that are to run by themselves: the profiles, or where there are none the one
    /// without a name.
    pub fn jobs(&self) -> impl Iterator<Item = &Profile> {
        let without_name = self.profiles.is_empty().then_some(&self.nameless);
        without_name.into_iter().chain(self.profiles.values())
    }
}

/// The text of a file of settings; nothing where it is missing and need not be there.
fn read(path: &Path, must_be_there: bool) -> anyhow::Result<Option<String>> {
    let reading = || format!("reading the settings in {}", path.display());
    let refused = |what: &str| BadSettings::at(path, Location::UNKNOWN, what.to_owned()).into();
    let file = match File::open(path) {
        Err(err) if err.kind() == ErrorKind::NotFound => {
            return if must_be_there { Err(refused("there is no such file")) } else { Ok(None) };
        }
        file => file.with_context(reading)?,
    };
    let mut bytes = Vec::new();
    match file.take(LIMIT + 1).read_to_end(&mut bytes) {
        Err(err) if err.kind() == ErrorKind::IsADirectory => {
            // An engine makes a folder where a file that it shall mount is missing.
            return Err(refused("it is a folder: name a file, or make it before it is mounted"));
        }
        read => read.with_context(reading)?,
    };
    if bytes.len() as u64 > LIMIT {
        return Err(refused("it is longer than 1 MiB, and so no file of settings"));
    }
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| refused("it is not UTF-8: save it as text in UTF-8"))
}

/// Reads the text of a file. `path` is for errors.
fn parse(text: &str, path: &Path) -> Result<Written, BadSettings> {
    let options = serde_saphyr::options! { with_snippet: false };
    let written: Result<Option<Written>, _> = serde_saphyr::from_str_with_options(text, options);
    written.map(Option::unwrap_or_default).map_err(|err| BadSettings::of_yaml(path, &err))
}

/// Keeps a copy of a file of settings that could be read, so that what is due by it is done by it,
/// whatever becomes of the file; gives where the copy lies. Without a file there is none.
pub fn keep(file: Option<&Path>, state: &Path) -> anyhow::Result<Option<PathBuf>> {
    let Some(file) = file else { return Ok(None) };
    let text = read(file, true)?.unwrap_or_default();
    // It may have been changed since it was read.
    parse(&text, file)?;
    let kept = state.join(KEPT);
    let draft = Draft::create(&kept)?;
    draft.file().write_all(text.as_bytes()).context("keeping the settings")?;
    draft.replace()?;
    Ok(Some(kept))
}

/// The password that systemd hands to a service with `LoadCredential=password:…`.
fn credential(variables: &Variables<'_>) -> Option<Password> {
    let folder = (variables.0)("CREDENTIALS_DIRECTORY").filter(|it| !it.is_empty())?;
    let path = Path::new(&folder).join(CREDENTIAL);
    path.is_file().then_some(Password::File(path))
}

#[cfg(test)]
mod tests;
