//! A small process that watches a run and, when the run dies, lets go on what it held.
//!
//! SIGKILL and the OOM killer give a run no time to release anything. The guardian is started
//! before the first hold and then only waits at the end of a pipe, in a process group of its own.
//! The run that ends in good order says farewell through the pipe; where the pipe just ends, the
//! run is dead, and the guardian closes what the journal shows as open
//! ([`recover`](../recover/index.html)).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context;

use crate::{faults, secret, signals};

/// The hidden command by which a guardian is started.
pub const COMMAND: &str = "guardian";

/// This program, also where its file has been replaced by a newer one meanwhile.
const PROGRAM: &str = "/proc/self/exe";

/// What the guardian says when nothing can end it any more but what ends everything.
const READY: &str = "ready";

/// What a run says that ends in good order.
const FAREWELL: &str = "farewell";

/// The guardian of a run, as the run sees it. Dropped without a farewell, it does its duty.
#[derive(Debug)]
pub struct Guardian {
    process: Option<(Child, ChildStdin)>,
}

impl Guardian {
    /// Starts a guardian over the journal in a state folder.
    ///
    /// # Errors
    /// Where it does not come up. Nothing should be held then.
    pub fn start(state: &Path) -> anyhow::Result<Guardian> {
        if faults::without_guardian() {
            return Ok(Guardian { process: None });
        }
        let state = std::path::absolute(state).context("finding the state folder")?;
        let mut child = command(&state).spawn().context("starting the guardian")?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (leash, stdout) = pipes.context("starting the guardian: it has no pipes")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("waiting for the guardian")?;
        anyhow::ensure!(line.trim() == READY, "the guardian ended before it was ready");
        Ok(Guardian { process: Some((child, leash)) })
    }

    /// Lets the guardian go, and waits until it is gone.
    pub fn dismiss(self) {
        if let Some((mut child, mut leash)) = self.process {
            // One that is gone already needs no farewell.
            let _ = writeln!(leash, "{FAREWELL}");
            drop(leash);
            let _ = child.wait();
        }
    }
}

/// What starts the guardian.
fn command(state: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .arg0("hearthkeep")
        .arg(COMMAND)
        .env("HEARTHKEEP_STATE", state)
        // It reads no backup, and may be there for long.
        .env_remove(secret::VARIABLE)
        // It must not keep a disk busy that somebody wants to unmount.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // What ends the run by the terminal must not end it.
        .process_group(0);
    faults::spare(&mut command);
    command
}

/// The guardian's own part: waits for the end of the run; gives whether it died.
pub fn watch() -> anyhow::Result<bool> {
    signals::outlive()?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{READY}").and_then(|()| stdout.flush()).context("saying ready")?;
    let mut said = Vec::new();
    // A pipe that cannot be read tells as little of the run as one that ends.
    let _ = io::stdin().read_to_end(&mut said);
    Ok(said != format!("{FAREWELL}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn it_inherits_no_password() {
        let command = command(Path::new("/state"));
        let mut environment = command.get_envs();
        assert!(environment.any(|it| it == (OsStr::new("HEARTHKEEP_PASSWORD"), None)));
    }
}
