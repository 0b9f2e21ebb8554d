//! Crashes on request, for tests alone: a process can be killed from outside, but not at the exact
//! moment between two lines of its journal or two renames, and each of those moments has to be shown to be
//! harmless. Release builds have none of it.

use std::process::Command;

/// Ends the process right after so many appends to the journal are on the disk.
#[cfg(debug_assertions)]
const ABORT_AFTER: &str = "HEARTHKEEP_TEST_ABORT_AFTER";

/// Ends the process right before that append.
#[cfg(debug_assertions)]
const ABORT_BEFORE: &str = "HEARTHKEEP_TEST_ABORT_BEFORE";

/// Ends the process right before that rename of an exchange.
#[cfg(debug_assertions)]
const ABORT_AT_RENAME: &str = "HEARTHKEEP_TEST_ABORT_AT_RENAME";

/// Starts no guardian, as if the crash had taken the whole control group.
#[cfg(debug_assertions)]
const NO_GUARDIAN: &str = "HEARTHKEEP_TEST_NO_GUARDIAN";

/// Makes one append to the journal, unless the process is to end before.
#[cfg(debug_assertions)]
pub(crate) fn append<T>(append: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static APPENDS: AtomicUsize = AtomicUsize::new(0);
    let n = APPENDS.fetch_add(1, Ordering::Relaxed) + 1;
    abort_at(ABORT_BEFORE, n);
    let done = append()?;
    abort_at(ABORT_AFTER, n);
    Ok(done)
}

/// Counts a rename of an exchange, unless the process is to end before.
#[cfg(debug_assertions)]
pub(crate) fn rename() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static RENAMES: AtomicUsize = AtomicUsize::new(0);
    abort_at(ABORT_AT_RENAME, RENAMES.fetch_add(1, Ordering::Relaxed) + 1);
}

#[cfg(debug_assertions)]
fn abort_at(key: &str, n: usize) {
    let wanted = std::env::var(key).ok().and_then(|it| it.parse::<usize>().ok());
    if wanted.is_some_and(|it| n >= it) {
        std::process::abort();
    }
}

/// Whether no guardian is wanted.
#[cfg(debug_assertions)]
pub(crate) fn without_guardian() -> bool {
    std::env::var_os(NO_GUARDIAN).is_some()
}

/// Keeps the guardian from sharing the fate of the process that it watches.
#[cfg(debug_assertions)]
pub(crate) fn spare(guardian: &mut Command) {
    guardian.env_remove(ABORT_AFTER).env_remove(ABORT_BEFORE).env_remove(ABORT_AT_RENAME);
}

#[cfg(not(debug_assertions))]
pub(crate) fn append<T>(append: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    append()
}

#[cfg(not(debug_assertions))]
pub(crate) fn rename() {}

#[cfg(not(debug_assertions))]
pub(crate) fn without_guardian() -> bool {
    false
}

#[cfg(not(debug_assertions))]
pub(crate) fn spare(_guardian: &mut Command) {}
