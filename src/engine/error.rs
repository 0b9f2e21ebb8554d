//! What callers branch on when an engine does not do as asked.

use std::time::Duration;

/// Why the engine did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers at the address.
    #[error("no Docker engine answers at {address}: {reason}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What happened there, and where possible what to do.
        reason: String,
    },
    /// The engine knows no such container.
    #[error("container {container} does not exist")]
    NotFound {
        /// As it was asked for.
        container: String,
    },
    /// The engine answered, but refused or failed.
    #[error("{}: {message}", deed(.doing, .container))]
    Refused {
        /// What was being done: `pausing`, `starting`, …
        doing: &'static str,
        /// To which container; empty where it concerned none.
        container: String,
        /// The engine's own words.
        message: String,
    },
    /// A command inside a container went on for longer than it may.
    #[error("{}: no end within {} s{}", deed(.doing, .container), .after.as_secs(), quoted(.said))]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// In which container.
        container: String,
        /// How long it was waited for.
        after: Duration,
        /// The end of what it printed until then.
        said: String,
    },
}

/// `pausing homeassistant`; `listing containers`, which concerns none.
fn deed(doing: &str, container: &str) -> String {
    format!("{doing} {container}").trim_end().to_owned()
}

/// The last line of what was said, where anything was.
fn quoted(said: &str) -> String {
    said.trim().lines().last().map(|it| format!("; it said: {it}")).unwrap_or_default()
}
