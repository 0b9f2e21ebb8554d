//! Commands, and that everything ends when somebody says so.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context;

/// Set by the signals that end a program.
static CANCELLED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on a signal ends the command that runs, and through its failure this program, with
/// everything taken away.
pub(crate) fn heed_signals() -> anyhow::Result<()> {
    let flag = CANCELLED.get_or_init(Arc::default);
    for signal in [2, 15, 1] {
        signal_hook::flag::register(signal, flag.clone()).context("listening for signals")?;
    }
    Ok(())
}

/// Runs a command that must succeed; gives what it printed.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<String> {
    finish(Command::new(words[0]).args(&words[1..]), &[0])
}

/// Runs a command that must end with one of these codes; gives what it printed.
pub(crate) fn finish(command: &mut Command, codes: &[i32]) -> anyhow::Result<String> {
    let name = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("starting {name}"));
    let output = output?;
    let cancelled = CANCELLED.get().is_some_and(|it| it.load(Ordering::Relaxed));
    anyhow::ensure!(!cancelled, "cancelled");
    let is_good = output.status.code().is_some_and(|it| codes.contains(&it));
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(is_good, "{name}: {}: {}", output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
