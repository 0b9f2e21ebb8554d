//! This program, started once more to do a job.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{lines, secret, socket, systemd};

/// This program, also where its file has been replaced by a newer one meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// Where a job reads its password.
const STDIN: [&str; 2] = ["--password-file", "/dev/stdin"];

/// Begins the names of the variables that somebody who asks for a job may set.
const PREFIX: &str = "HEARTHKEEP_";

/// The folder of the state, as a variable.
const STATE: &str = "HEARTHKEEP_STATE";

/// What is for the one who starts a job to say, and for nobody else.
const OURS: [&str; 4] = [STATE, socket::VARIABLE, secret::VARIABLE, lines::VARIABLE];

/// What every job of a daemon is started with.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The state folder.
    pub state: PathBuf,
    /// The settings that the daemon was given as words, as variables.
    pub variables: Vec<(String, OsString)>,
}

/// One job.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// Its identifier.
    pub id: &'a str,
    /// The words after `hearthkeep`.
    pub words: &'a [String],
    /// The settings in the environment of the one who asks.
    pub variables: &'a BTreeMap<String, String>,
    /// The folder that relative paths are meant from.
    pub folder: Option<&'a Path>,
    /// Whether it will be given a password on standard input.
    pub has_password: bool,
}

/// The command that does a job. Its output is lines.
pub fn job(surroundings: &Surroundings, start: &Start<'_>) -> Command {
    let mut command = Command::new(PROGRAM);
    // Options go behind the command, where they are options whatever else it says.
    let (first, rest) = start.words.split_at(start.words.len().min(1));
    command.arg0("hearthkeep").args(first);
    if start.has_password {
        command.args(STDIN).stdin(Stdio::piped());
    } else {
        command.stdin(Stdio::null());
    }
    command.args(rest);
    for key in systemd::VARIABLES {
        command.env_remove(key);
    }
    command.envs(surroundings.variables.iter().map(|(key, value)| (key, value)));
    command.envs(start.variables.iter().filter(|(key, _)| is_for_others(key)));
    command
        .env(STATE, &surroundings.state)
        .env(lines::VARIABLE, start.id)
        .env_remove(secret::VARIABLE)
        // The daemon's own may be a disk that somebody wants to unmount.
        .current_dir(start.folder.unwrap_or(Path::new("/")))
        .stdout(Stdio::piped())
        // What ends the daemon by the terminal would cancel the job.
        .process_group(0);
    command
}

fn is_for_others(key: &str) -> bool {
    key.starts_with(PREFIX) && !OURS.contains(&key)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> BTreeMap<OsString, Option<OsString>> {
        let variables =
            variables.iter().map(|(key, it)| ((*key).to_owned(), (*it).to_owned())).collect();
        let words = ["backup".to_owned()];
        let start = Start {
            id: "7",
            words: &words,
            variables: &variables,
            folder: None,
            has_password: true,
        };
        let surroundings = Surroundings {
            state: "/state".into(),
            variables: vec![("HEARTHKEEP_STORE".to_owned(), "/daemon".into())],
        };
        let command = job(&surroundings, &start);
        let owned = |it: &OsStr| it.to_owned();
        command.get_envs().map(|(key, it)| (owned(key), it.map(owned))).collect()
    }

    #[test]
    fn nothing_but_settings_comes_from_who_asks() {
        let asked = [
            ("HEARTHKEEP_STORE", "/asked"),
            ("HEARTHKEEP_STATE", "/asked"),
            ("HEARTHKEEP_PASSWORD", "hunter2"),
            ("HEARTHKEEP_JOB", "8"),
            ("LD_PRELOAD", "/asked.so"),
        ];
        let all = environment(&asked);
        let value = |key: &str| all.get(OsStr::new(key)).cloned();
        assert_eq!(value("HEARTHKEEP_STORE"), Some(Some("/asked".into())));
        assert_eq!(value("HEARTHKEEP_STATE"), Some(Some("/state".into())));
        assert_eq!(value("HEARTHKEEP_JOB"), Some(Some("7".into())));
        assert_eq!(value("HEARTHKEEP_PASSWORD"), Some(None));
        assert_eq!(value("NOTIFY_SOCKET"), Some(None));
        assert_eq!(value("LD_PRELOAD"), None);
        assert_eq!(environment(&[])[OsStr::new("HEARTHKEEP_STORE")], Some("/daemon".into()));
    }
}
