//! What else an earlier run left: commands that containers are owed, and unfinished files.

use std::path::PathBuf;
use std::time::Duration;

use crate::engine::Engine;
use crate::fsx::{self, PARTIAL};
use crate::island::island;
use crate::journal::{Event, Journal, OwedAfter};
use crate::plan::{Hook, OnError};
use crate::quiesce::hooks::{self, Owed};

/// Runs the commands that containers are owed; gives what a person should look at. They may have
/// run before the crash, as one that undoes something can.
pub(super) async fn run_owed(
    engine: &Engine,
    journal: &Journal,
    afters: Vec<OwedAfter>,
) -> Vec<String> {
    let owed = |it: &OwedAfter| Owed {
        id: it.container.id.clone(),
        name: it.container.name.clone(),
        hook: Hook {
            command: it.command.clone(),
            user: it.user.clone(),
            timeout: Duration::from_secs(it.timeout_seconds),
            on_error: OnError::Fail,
        },
    };
    let after = hooks::after(engine, &afters.iter().map(owed).collect::<Vec<_>>()).await;
    let done = afters.into_iter().map(|it| Event::AfterDone { name: it.container.name });
    let (journal, done) = (journal.clone(), done.collect::<Vec<_>>());
    // At worst they run once more.
    let _ = island("writing the journal", move || journal.note(&done)).await;
    after.warnings
}

/// Removes unfinished files; gives those that are gone, those that are still there, and why.
pub(super) fn remove(drafts: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>, Vec<String>) {
    let (mut removed, mut kept, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for draft in drafts {
        // Whatever a damaged journal says, nothing else is removed.
        if draft.extension().is_none_or(|it| it != PARTIAL) {
            continue;
        }
        match fsx::remove_if_there(&draft) {
            Ok(true) => removed.push(draft),
            Ok(false) => (),
            Err(err) => {
                problems.push(format!("{err:#}"));
                kept.push(draft);
            }
        }
    }
    (removed, kept, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_that_is_no_draft() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["a.tar", "b.tar.partial"] {
            std::fs::File::create(path(name)).expect("a file");
        }
        let drafts = ["a.tar", "b.tar.partial", "c.tar.partial"].map(path).to_vec();
        let (removed, kept, problems) = remove(drafts);
        assert_eq!(removed, [path("b.tar.partial")]);
        assert!(path("a.tar").exists() && kept.is_empty() && problems.is_empty());
    }
}
