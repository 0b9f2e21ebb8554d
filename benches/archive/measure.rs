//! What a command costs, its children included.
//!
//! The system adds up what a process's children used. So each command gets a small process of its
//! own around it, which has no other children.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use super::command::finish;

/// What one command cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From start to end.
    pub(crate) wall_seconds: f64,
    /// Of all its processes and threads, in user space and kernel.
    pub(crate) cpu_seconds: f64,
    /// Of its largest process.
    pub(crate) peak_kib: i64,
}

/// Runs a command to its end.
pub(crate) fn run(command: &[String]) -> anyhow::Result<Cost> {
    let mut around = Command::new(std::env::current_exe()?);
    let printed = finish(around.arg("measure").args(command), &[0])?;
    serde_json::from_str(&printed).context("reading what it cost")
}

/// The process around the command: runs it and prints its cost.
pub(crate) fn child(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("starting {program}"))?;
    let wall_seconds = begin.elapsed().as_secs_f64();
    anyhow::ensure!(status.success(), "{program}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time() + usage.system_time();
    let cpu_seconds = cpu.num_microseconds() as f64 / 1e6;
    let cost = Cost { wall_seconds, cpu_seconds, peak_kib: usage.max_rss() };
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}
