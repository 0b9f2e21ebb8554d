//! The one bridge from async code to blocking code: a whole step crosses, never a chunk of one.

use anyhow::Context;

/// Runs `work` on a blocking thread and waits for it. A panic inside becomes an error that names
/// the step, so that the caller can still release what it holds.
pub async fn island<T, F>(step: &'static str, work: F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> anyhow::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.with_context(|| format!("{step} panicked"))?
}
