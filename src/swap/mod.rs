//! Restored content takes the place of the old, and can be taken back.
//!
//! Blocking. [`Targets`] is what is known before; [`Staging`] is one mount's worth, extracted beside
//! the target; [`Exchange`] puts it in place by renames, and back; [`Moves`] is all mounts of a
//! restore. It knows nothing of containers: whoever calls it has stopped them.

mod exchange;
mod keep;
mod moves;
mod obstacles;
mod room;
mod staging;
mod targets;

pub use exchange::Exchange;
pub use moves::{Moves, Swapped, text};
pub use room::Room;
pub use staging::Staging;
pub use targets::Targets;
