//! What else an earlier run left: commands that containers are owed, and unfinished files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::engine::Engine;
use crate::fsx::{self, PARTIAL};
use crate::island::island;
use crate::journal::{Event, Journal, Open, OwedAfter, RawPath};
use crate::plan::{Hook, OnError};
use crate::quiesce::hooks::{self, Owed};
use crate::swap;

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

/// Removes unfinished files, and folders with what was extracted; gives what is gone, and why the
/// rest is still there, which stays open.
pub(super) fn remove(open: &mut Open) -> (Vec<PathBuf>, Vec<String>) {
    let (mut removed, mut problems) = (Vec::new(), Vec::new());
    // Whatever a damaged journal says, nothing else is removed.
    open.drafts.retain(|it| it.extension().is_some_and(|it| it == PARTIAL));
    open.stagings.retain(|it| swap::is_staging(it));
    let mut each = |path: &RawPath, remove: fn(&Path) -> anyhow::Result<bool>| match remove(path) {
        Ok(was_there) => {
            removed.extend(was_there.then(|| path.to_path_buf()));
            false
        }
        Err(err) => {
            problems.push(format!("{err:#}"));
            true
        }
    };
    open.drafts.retain(|it| each(it, fsx::remove_if_there));
    // Those of an exchange have more in them than what was extracted.
    let exchanged = open.swap.iter().flat_map(|it| &it.mounts).map(|it| &it.staging);
    let exchanged: Vec<&RawPath> = exchanged.collect();
    open.stagings.retain(|it| exchanged.contains(&it) || each(it, swap::discard));
    (removed, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_that_is_no_draft_and_no_staging() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["a.tar", "b.tar.partial"] {
            std::fs::File::create(path(name)).expect("a file");
        }
        for name in ["data", "x/.hearthkeep-restore/root", "y/.hearthkeep-restore/old/file"] {
            std::fs::create_dir_all(path(name)).expect("a folder");
        }
        std::fs::File::create(path("y/.hearthkeep-restore/old/file/a")).expect("a file");
        let all = |names: &[&str]| names.iter().map(|it| path(it).into()).collect();
        let mut open = Open {
            drafts: all(&["a.tar", "b.tar.partial", "c.tar.partial"]),
            stagings: all(&["data", "x/.hearthkeep-restore", "y/.hearthkeep-restore"]),
            ..Open::default()
        };
        let (removed, problems) = remove(&mut open);
        assert_eq!(removed, ["b.tar.partial", "x/.hearthkeep-restore"].map(path));
        assert!(path("a.tar").exists() && path("data").exists(), "{removed:?}");
        assert!(problems[0].contains("holds old content"), "{problems:?}");
        assert!(path("y/.hearthkeep-restore/old/file/a").exists());
        let left = Open { stagings: all(&["y/.hearthkeep-restore"]), ..Open::default() };
        assert_eq!(open, left);
    }
}
