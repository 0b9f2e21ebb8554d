//! A job that the daemon does: it is asked for, watched, and ends here as it ended there.

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::Context;
use clap::CommandFactory;

use super::args::Args;
use super::daemon::{Daemon, Lines};
use super::relay::Relay;
use super::{Exit, Face, job, password};
use crate::jobs::{By, Request};
use crate::lines::{self, Line};
use crate::secret::{self, Secret};
use crate::settings::Password;
use crate::{catalog, settings, signals, socket};

/// The word that says where the password is, which is read here.
const PASSWORD_FILE: &str = "password-file";

/// Has the daemon do what was asked for, where one answers; nothing where this process has to do
/// it itself. `shown` is the slug of the backup that somebody has agreed to.
///
/// # Errors
/// Where the daemon does not want it, or goes away.
pub(super) async fn instead(face: &Face, shown: Option<&str>) -> anyhow::Result<Option<Exit>> {
    if job::is_one() {
        return Ok(None);
    }
    let Some((mut words, variables)) = told() else { return Ok(None) };
    settle(&mut words, shown);
    let Some(daemon) = Daemon::find().await? else { return Ok(None) };
    let password = password(face).await?;
    let folder = std::env::current_dir().ok().filter(|_| names_files(&words, &variables));
    let request = Request { words, variables, folder, password, by: By::Socket };
    // Whatever comes now, whoever does the work says how it ended.
    face.record.is_elsewhere();
    let asked = face.cancel.run_until_cancelled(daemon.submit(&request)).await;
    let id = asked.context(signals::Cancelled)??;
    if let Some(told) = face.out.told() {
        told.is_elsewhere(&id);
    }
    let lines = daemon.follow(&id).await?;
    watch(face, &daemon, &id, lines).await.map(Some)
}

/// Puts the backup that somebody has agreed to in the place of the newest one, which may be another
/// by the time it is looked for again.
pub(super) fn settle(words: &mut [String], shown: Option<&str>) {
    let newest = words.iter_mut().find(|it| *it == catalog::NEWEST);
    if let (Some(word), Some(shown)) = (newest, shown) {
        shown.clone_into(word);
    }
}

/// The same before a backup is opened here, which may take a password that only the service has.
/// Where a person can be asked for it, nothing.
pub(super) async fn before_opening(face: &Face) -> anyhow::Result<Option<Exit>> {
    match password::can_ask() {
        true => Ok(None),
        false => instead(face, None).await,
    }
}

/// Follows a job to its end.
async fn watch(face: &Face, daemon: &Daemon, id: &str, mut lines: Lines) -> anyhow::Result<Exit> {
    let mut relay = Relay::new(face);
    let mut is_cancelled = false;
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = face.cancel.cancelled(), if !is_cancelled => {
                is_cancelled = true;
                // Nothing is held by this process, so that the next one may end it at once.
                signals::end_at_next()?;
                daemon.cancel(id).await?;
                continue;
            }
        };
        match line {
            Some(Line::Ended(code)) => return Ok(Exit::of_code(code)),
            Some(line) => relay.tell(line),
            None => anyhow::bail!(
                "the service went away in the middle of this: it closes what is open when it starts again; look at hearthkeep status"
            ),
        }
    }
}

/// The password that the daemon's process could not read as this one can: typed, from a variable,
/// or from a file that may be a pipe. What the settings name it reads itself.
async fn password(face: &Face) -> anyhow::Result<Option<Secret>> {
    let variables = [secret::VARIABLE.to_owned(), settings::variable(PASSWORD_FILE)];
    let is_set = variables.iter().any(|it| std::env::var_os(it).is_some_and(|it| !it.is_empty()));
    let is_own = is_set || face.common.password_file.is_some() || is_credential(face);
    match face.unlocked_with.get() {
        Some(password) => Ok(Some(password.clone())),
        None if is_own => face.password().await,
        None => Ok(None),
    }
}

/// Whether the password is one that systemd hands to this service, which the daemon's need not have.
fn is_credential(face: &Face) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|it| !it.is_empty());
    match (&face.profile.password, folder) {
        (Some(Password::File(path)), Some(folder)) => path.starts_with(folder),
        _ => false,
    }
}

/// The words and the variables of this process; nothing where they are no text.
fn told() -> Option<(Vec<String>, BTreeMap<String, String>)> {
    let words = std::env::args_os().skip(1).map(OsString::into_string);
    let words = words.collect::<Result<Vec<_>, _>>().ok()?;
    let ours = std::env::vars_os()
        .filter(|(key, _)| key.to_str().is_some_and(is_setting))
        .map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    Some((reordered(words)?, ours.collect::<Option<_>>()?))
}

/// Whether what was asked for may name files from this folder. Where it does not, who asks the same
/// elsewhere asks for the same job.
fn names_files(words: &[String], variables: &BTreeMap<String, String>) -> bool {
    const OPTIONS: [&str; 3] = ["--config", "--store", "--staging"];
    const VARIABLES: [&str; 3] = ["HEARTHKEEP_CONFIG", "HEARTHKEEP_STORE", "HEARTHKEEP_STAGING"];
    let is_plain = matches!(words.first().map(String::as_str), Some("backup" | "prune"));
    let is_path = |word: &String| OPTIONS.iter().any(|it| word.starts_with(it));
    let is_relative = |it: &&str| variables.get(*it).is_some_and(|it| !it.starts_with('/'));
    !is_plain || words.iter().any(is_path) || VARIABLES.iter().any(is_relative)
}

/// Whether a variable is for the one who does the work. The password goes its own way, and the
/// daemon knows where it keeps its state.
fn is_setting(key: &str) -> bool {
    let own = [
        secret::VARIABLE,
        socket::VARIABLE,
        lines::VARIABLE,
        "HEARTHKEEP_STATE",
        PASSWORD_VARIABLE,
    ];
    key.starts_with("HEARTHKEEP_") && !own.contains(&key)
}

/// What [`PASSWORD_FILE`] is as a variable.
const PASSWORD_VARIABLE: &str = "HEARTHKEEP_PASSWORD_FILE";

/// The words with the command first and without the place of the password; nothing where they
/// name another state folder than the daemon has.
fn reordered(words: Vec<String>) -> Option<Vec<String>> {
    let command = Args::command();
    let takes_value = |word: &str| {
        let is_it = |it: &&clap::Arg| it.get_long().is_some_and(|it| word == format!("--{it}"));
        command.get_arguments().find(is_it).is_some_and(|it| it.get_action().takes_values())
    };
    let (mut first, mut rest) = (None, Vec::new());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or_default();
        let value = if takes_value(&word) { words.next() } else { None };
        match name.strip_prefix("--") {
            Some("state") => return None,
            Some(PASSWORD_FILE) => (),
            // What follows are no options, and none of them is taken for one.
            Some("") => {
                rest.push(word);
                rest.extend(words.by_ref());
            }
            None if first.is_none() && !word.starts_with('-') => first = Some(word),
            _ => rest.extend([Some(word), value].into_iter().flatten()),
        }
    }
    Some([vec![first?], rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_comes_first_and_no_password_goes_along() {
        let check = |words: &str, wanted: Option<&str>| {
            let split = |it: &str| it.split(' ').map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(reordered(split(words)), wanted.map(split), "{words}");
        };
        check("backup", Some("backup"));
        check("--json -q backup --name x", Some("backup --json -q --name x"));
        check("--profile backup backup", Some("backup --profile backup"));
        check("--profile=a --store /x prune", Some("prune --profile=a --store /x"));
        check("restore --password-file /k 4f2a --yes", Some("restore 4f2a --yes"));
        check("--password-file=/k backup", Some("backup"));
        check("restore -- --password-file", Some("restore -- --password-file"));
        check("backup --exclude *.mp4 www/**", Some("backup --exclude *.mp4 www/**"));
        check("--state /x backup", None);
        assert_eq!(settings::variable(PASSWORD_FILE), PASSWORD_VARIABLE);
    }
}
