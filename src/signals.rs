//! The signals that ask the program to stop, turned into one token.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use tokio_util::sync::CancellationToken;

/// The run was asked to stop by a signal; everything it had begun was put back.
#[derive(Debug, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// What ends a run in good order. A suspended run (SIGTSTP) would hold the home for as long as
/// nobody thinks of it.
const STOPPING: [i32; 5] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP];

/// The exit code of a process that a signal has ended before its time.
const CANCELLED: i32 = 130;

/// A token that is cancelled by each of the [`STOPPING`] signals. Later signals change nothing: the
/// release of held containers, which is what a cancelled run still has to do, is never cut short.
pub fn token() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut signals = Signals::new(STOPPING).context("watching for signals to stop")?;
    let on_signal = token.clone();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for _ in &mut signals {
                on_signal.cancel();
            }
        })
        .context("starting the signal thread")?;
    Ok(token)
}

/// From here on the next of the [`STOPPING`] signals ends the process at once. For one that holds
/// nothing, and waits for another.
pub fn end_at_next() -> anyhow::Result<()> {
    for signal in STOPPING {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(signal, CANCELLED, always)
            .context("preparing for signals")?;
    }
    Ok(())
}

/// Lets this process go on through the [`STOPPING`] signals, and through a reader that has gone.
pub fn outlive() -> anyhow::Result<()> {
    for signal in STOPPING.into_iter().chain([SIGPIPE]) {
        // A flag that nobody reads: all that counts is that the signal has a handler.
        flag::register(signal, Arc::default()).context("preparing for signals")?;
    }
    Ok(())
}

/// The error that ends a run whose token was cancelled.
pub fn check(token: &CancellationToken) -> Result<(), Cancelled> {
    if token.is_cancelled() { Err(Cancelled) } else { Ok(()) }
}
