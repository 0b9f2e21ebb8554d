//! How still the home stands, and that it runs again: the engine's own ways, and databases that
//! are written all the time.
//!
//! Docker must run here and have the images of `tests/lab/images`, and the tests must run as root,
//! since they start a daemon of their own.

#[path = "stillness/chain.rs"]
mod chain;
#[path = "stillness/counter.rs"]
mod counter;
#[path = "stillness/daemon.rs"]
mod daemon;
#[path = "stillness/outage.rs"]
mod outage;

mod support;
