//! What is asked for: the words of a command, and what the one who asks has set besides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use crate::chronicle::Task;
use crate::secret::Secret;

/// What a job does, as far as the order of jobs depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A backup.
    Backup,
    /// A restore.
    Restore,
    /// A backup is verified, maybe by booting it.
    Verify,
    /// Old backups are removed.
    Prune,
    /// A job that an earlier daemon began goes on in a container of its own.
    Follow,
}

/// Who asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Somebody at the socket.
    #[default]
    Socket,
    /// The settings: it was due.
    Schedule,
}

/// A job to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The words after `hearthkeep`, the command first: `["backup", "--profile", "night"]`.
    pub words: Vec<String>,
    /// The settings in the environment of the one who asks, `HEARTHKEEP_…`; never a password.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The folder that relative paths are meant from.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// The password, where the one who asks has read or typed it.
    #[serde(default, serialize_with = "exposed")]
    pub password: Option<Secret>,
    /// Who asks.
    #[serde(default)]
    pub by: By,
}

/// The command by which a job in a container is listened to.
const FOLLOW: &str = "follow";

impl Request {
    /// Listens to a job that goes on in a container.
    pub fn following(container: &str) -> Request {
        Request {
            words: vec![FOLLOW.to_owned(), container.to_owned()],
            variables: BTreeMap::new(),
            folder: None,
            password: None,
            by: By::default(),
        }
    }

    /// What it does; nothing where no job is called so.
    pub fn kind(&self) -> Option<Kind> {
        match self.words.first()?.as_str() {
            "backup" => Some(Kind::Backup),
            "restore" => Some(Kind::Restore),
            "verify" => Some(Kind::Verify),
            "prune" => Some(Kind::Prune),
            FOLLOW => Some(Kind::Follow),
            _ => None,
        }
    }

    /// What the chronicle calls it; nothing where it does not remember such.
    pub fn task(&self) -> Option<Task> {
        if self.words.iter().any(|it| it == "--dry-run") {
            return None;
        }
        match self.kind()? {
            Kind::Backup => Some(Task::Backup),
            Kind::Restore => Some(Task::Restore),
            Kind::Verify => self.words.iter().any(|it| it == "--boot").then_some(Task::BootTest),
            Kind::Prune => Some(Task::Prune),
            // It remembers itself.
            Kind::Follow => None,
        }
    }

    /// Whether both are done by doing one of them, whoever asks.
    pub fn is_same(&self, other: &Request) -> bool {
        self.words == other.words
            && self.variables == other.variables
            && self.folder == other.folder
            && self.password == other.password
    }

    /// The profile that its words name.
    pub fn profile(&self) -> Option<&str> {
        let words = || self.words.iter().map(String::as_str);
        let joined = words().find_map(|it| it.strip_prefix("--profile="));
        joined.or_else(|| words().skip_while(|it| *it != "--profile").nth(1))
    }
}

/// The one way on which a password leaves: the daemon's own socket.
fn exposed<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_tell_what_is_remembered() {
        let check = |words: &str, task: Option<Task>, profile: &str| {
            let words = words.split(' ').map(str::to_owned).collect();
            let request = Request {
                words,
                variables: BTreeMap::new(),
                folder: None,
                password: None,
                by: By::Schedule,
            };
            let named = request.profile().unwrap_or_default();
            assert_eq!((request.task(), named), (task, profile), "{request:?}");
        };
        check("backup", Some(Task::Backup), "");
        check("backup --profile night", Some(Task::Backup), "night");
        check("backup --json --profile=night", Some(Task::Backup), "night");
        check("verify 4f2a --boot", Some(Task::BootTest), "");
        check("verify 4f2a", None, "");
        check("status", None, "");
    }

    #[test]
    fn the_profile_is_the_word_after_its_option_or_joined_to_it() {
        for (words, wanted) in [
            (&["backup"][..], None),
            (&["backup", "--profile", "night"], Some("night")),
            (&["--profile", "night", "backup"], Some("night")),
            (&["backup", "--profile=night", "--json"], Some("night")),
            (&["backup", "--profile"], None),
        ] {
            let words = words.iter().map(|it| (*it).to_owned()).collect();
            let (variables, folder, password) = (BTreeMap::new(), None, None);
            let request = Request { words, variables, folder, password, by: By::Socket };
            assert_eq!(request.profile(), wanted);
        }
    }
}
