//! How still the home stands, and that it runs again: the engine's own ways, and databases that
//! are written all the time.
//!
//! Docker must run here and have the images of `tests/lab/images`, and the tests must run as root,
//! since they start a daemon of their own.

#[path = "stillness/busy.rs"]
mod busy;
#[path = "stillness/chain.rs"]
mod chain;
#[path = "stillness/counter.rs"]
mod counter;
#[path = "stillness/daemon.rs"]
mod daemon;
#[path = "stillness/instant.rs"]
mod instant;
#[path = "stillness/limits.rs"]
mod limits;
#[path = "stillness/outage.rs"]
mod outage;
#[path = "stillness/scene.rs"]
mod scene;
#[path = "stillness/sqlite.rs"]
mod sqlite;
#[path = "small/tree.rs"]
mod tree;

mod support;

/// Tests whose homes would take each other's companions for their own, and hold them, run one after
/// the other: a home takes known companions of projects that have no Home Assistant yet.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ENGINE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ENGINE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
