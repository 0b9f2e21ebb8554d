//! Restored content takes the place of the old, and can be taken back.
//!
//! Blocking. [`Staging`] is one mount's worth, extracted beside the target; [`Exchange`] puts it in
//! place by renames, and back; [`Moves`] is all mounts of a restore. It knows nothing of
//! containers: whoever calls it has stopped them.

mod exchange;
mod moves;
mod staging;

pub use exchange::Exchange;
pub use moves::{Moves, Swapped, configuration};
pub use staging::Staging;
