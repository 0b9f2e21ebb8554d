//! The package on a machine that boots systemd, with a home on the real engine.
//!
//! Docker must run here and have the images of `tests/lab/images helper systemd`, `cargo deb` must be
//! there, and the tests must run as root. Without any of that they fail rather than say nothing.

#[path = "systemd/alone.rs"]
mod alone;
#[path = "systemd/contained.rs"]
mod contained;
#[path = "systemd/dying.rs"]
mod dying;
#[path = "systemd/installing.rs"]
mod installing;
#[path = "systemd/machine.rs"]
mod machine;
#[path = "systemd/removing.rs"]
mod removing;
#[path = "systemd/running.rs"]
mod running;
#[path = "systemd/units.rs"]
mod units;

mod support;
