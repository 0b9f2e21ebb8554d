//! The one bridge from async code to blocking code: a whole step crosses, never a chunk of one.

use anyhow::Context;

/// The way back, for the rare step that has to wait for the engine in the middle of its work.
#[derive(Debug, Clone)]
pub struct Shore(tokio::runtime::Handle);

impl Shore {
    /// The runtime of the async code that calls this.
    pub fn here() -> Shore {
        Shore(tokio::runtime::Handle::current())
    }

    /// Waits on an island for async code.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.block_on(future)
    }
}

/// Runs `work` on a blocking thread and waits for it. A panic inside becomes an error that names
/// the step, so that the caller can still release what it holds.
pub async fn island<T, F>(step: &'static str, work: F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> anyhow::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.with_context(|| format!("{step} panicked"))?
}
