//! What commands cost.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};

/// How long something took, in seconds.
pub(crate) fn timed<T>(deed: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let begin = Instant::now();
    deed()?;
    Ok(begin.elapsed().as_secs_f64())
}

/// The process around a command: the command's output goes to a file, its peak in KiB is printed.
///
/// The system tells the peak of a process's largest child. So each command gets a process of its
/// own around it, which has no other children.
pub(crate) fn child(output: &Path, program: &str, words: &[&str]) -> anyhow::Result<i32> {
    let output = File::create(output).context("creating the output")?;
    let mut command = Command::new(program);
    let status = command.args(words).stdin(Stdio::null()).stdout(output).status();
    let status = status.with_context(|| format!("starting {program}"))?;
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(status.code().unwrap_or(1))
}
