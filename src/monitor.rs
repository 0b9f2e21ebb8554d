//! How a story tells what it is doing, to whoever watches.

use std::time::Duration;

/// Watches a run. Called from async and from blocking code, so it must not wait.
pub trait Monitor: Send + Sync {
    /// A step of the story begins; `bytes` is its known extent, 0 where it has none.
    fn step(&self, step: &str, bytes: u64);
    /// Within the step, the work on this part begins.
    fn part(&self, part: &str);
    /// So many more bytes of the step are done.
    fn advance(&self, bytes: u64);
    /// It waits for something that may take so long, and may tell nothing meanwhile.
    fn silence(&self, _longest: Duration) {}
}

/// A monitor that nobody reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Monitor for Quiet {
    fn step(&self, _step: &str, _bytes: u64) {}
    fn part(&self, _part: &str) {}
    fn advance(&self, _bytes: u64) {}
}
