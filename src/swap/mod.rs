//! Restored content takes the place of the old, and can be taken back.
//!
//! Blocking. [`Targets`] is what is known before; [`Staging`] is where one mount's worth is extracted,
//! beside the target; [`forward`] puts it in place by renames, [`back`] takes it back; [`Moves`] is all
//! mounts of a restore before the exchange, [`exchange`], [`put_back`], [`settle`] and [`finish`] are
//! steps of all of them together. It knows nothing of containers: whoever calls it has stopped them.

mod attributes;
mod exchange;
mod keep;
mod mounts;
mod moves;
mod obstacles;
mod room;
mod staging;
mod targets;

pub use exchange::{back, forward, is_aside};
pub use mounts::{Stuck, are_aside, exchange, finish, prove, put_back, settle};
pub use moves::{Moves, text};
pub use room::Room;
pub use staging::{Staging, discard, is_staging, old_content, remove};
pub use targets::Targets;
