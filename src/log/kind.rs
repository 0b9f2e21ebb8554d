//! The kinds of entries, and what never changes of them.

use serde::Serialize;

use super::Level;

/// What kinds of entries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The service is ready.
    Ready,
    /// The service ends.
    Stopping,
    /// A job has begun.
    JobBegan,
    /// A step of a job has begun.
    JobStep,
    /// A job says what a person should look at.
    JobWarning,
    /// A job is done.
    JobDone,
    /// A job has failed.
    JobFailed,
    /// What an interrupted run had left open was closed.
    Recovered,
    /// The settings were read again.
    Reloaded,
    /// The settings could not be read again, and the old ones go on.
    ReloadRefused,
    /// A job that was due while nobody could run it is made up for.
    MadeUp,
    /// A person should look at something that belongs to no job.
    Warned,
    /// The service could not begin, or not go on.
    Failed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 13] = [
        Kind::Ready,
        Kind::Stopping,
        Kind::JobBegan,
        Kind::JobStep,
        Kind::JobWarning,
        Kind::JobDone,
        Kind::JobFailed,
        Kind::Recovered,
        Kind::Reloaded,
        Kind::ReloadRefused,
        Kind::MadeUp,
        Kind::Warned,
        Kind::Failed,
    ];

    /// The journal's `MESSAGE_ID`. Filters and catalogs of others have it, so it stays.
    pub fn id(self) -> &'static str {
        match self {
            Kind::Ready => "c8725b1e15ab4d4bbc9fbf29b915afc6",
            Kind::Stopping => "5e4c85cd7f2d4e2793cc31622e59e932",
            Kind::JobBegan => "411528323ff34fa68f4f65c1073abb59",
            Kind::JobStep => "b0829258d78842fea513378a3a129c10",
            Kind::JobWarning => "4d81d1656c9b4e2d8329e5e35d7137f1",
            Kind::JobDone => "d3f87069d92a4940924b34a0455ebe05",
            Kind::JobFailed => "9a52b9407b564634b0ffc60c77f40219",
            Kind::Recovered => "d0b2f1622e884a53819847a2a31ef7c6",
            Kind::Reloaded => "50a0c93905244108b364dc0b9e9b4a6b",
            Kind::ReloadRefused => "2ba120af144e4dc2933de556608a2614",
            Kind::MadeUp => "57b0a36a90d3458281bd418ab7df9595",
            Kind::Warned => "dfd00afd41ba4319be7cb1a74427a361",
            Kind::Failed => "35761ce99af14a238feeb6c4d6f349cb",
        }
    }

    /// Its name in fields and JSON, which stays as well.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ready => "ready",
            Kind::Stopping => "stopping",
            Kind::JobBegan => "job-began",
            Kind::JobStep => "job-step",
            Kind::JobWarning => "job-warning",
            Kind::JobDone => "job-done",
            Kind::JobFailed => "job-failed",
            Kind::Recovered => "recovered",
            Kind::Reloaded => "reloaded",
            Kind::ReloadRefused => "reload-refused",
            Kind::MadeUp => "made-up",
            Kind::Warned => "warned",
            Kind::Failed => "failed",
        }
    }

    /// How much such an entry usually weighs.
    pub fn level(self) -> Level {
        match self {
            Kind::Ready
            | Kind::Stopping
            | Kind::JobBegan
            | Kind::JobStep
            | Kind::JobDone
            | Kind::Reloaded
            | Kind::MadeUp => Level::Info,
            Kind::JobWarning | Kind::Recovered | Kind::Warned => Level::Warning,
            Kind::JobFailed | Kind::ReloadRefused | Kind::Failed => Level::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Said a second time, since others rely on it: `journalctl MESSAGE_ID=…` in their scripts.
    const PROMISED: [(&str, &str); 13] = [
        ("ready", "c8725b1e15ab4d4bbc9fbf29b915afc6"),
        ("stopping", "5e4c85cd7f2d4e2793cc31622e59e932"),
        ("job-began", "411528323ff34fa68f4f65c1073abb59"),
        ("job-step", "b0829258d78842fea513378a3a129c10"),
        ("job-warning", "4d81d1656c9b4e2d8329e5e35d7137f1"),
        ("job-done", "d3f87069d92a4940924b34a0455ebe05"),
        ("job-failed", "9a52b9407b564634b0ffc60c77f40219"),
        ("recovered", "d0b2f1622e884a53819847a2a31ef7c6"),
        ("reloaded", "50a0c93905244108b364dc0b9e9b4a6b"),
        ("reload-refused", "2ba120af144e4dc2933de556608a2614"),
        ("made-up", "57b0a36a90d3458281bd418ab7df9595"),
        ("warned", "dfd00afd41ba4319be7cb1a74427a361"),
        ("failed", "35761ce99af14a238feeb6c4d6f349cb"),
    ];

    #[test]
    fn each_kind_has_an_identifier_of_its_own_that_stays() {
        let all = Kind::ALL.map(|it| (it.word(), it.id()));
        assert_eq!(all, PROMISED);
        let ids: BTreeSet<&str> = all.iter().map(|it| it.1).collect();
        assert_eq!(ids.len(), all.len());
        let is_id = |it: &&str| it.len() == 32 && it.bytes().all(|it| it.is_ascii_hexdigit());
        assert!(ids.iter().all(is_id));
    }

    #[test]
    fn the_manual_has_all_of_them() {
        let manual = include_str!("../../docs/logs.md");
        for (word, id) in PROMISED {
            let row = manual.lines().find(|it| it.contains(id));
            assert!(row.is_some_and(|it| it.contains(&format!("`{word}`"))), "{word}");
        }
    }
}
