//! The file: what others wrote and what this program writes, read by this program and by others,
//! whole and damaged. These need no engine.
//!
//! The tests must run as root, since only root may give files away, and need the Python of
//! `tests/lab/prepare tests`.

#[path = "archive/contents.rs"]
mod contents;
#[path = "archive/damage.rs"]
mod damage;
#[path = "archive/damaged.rs"]
mod damaged;
#[path = "archive/examples.rs"]
mod examples;
#[path = "archive/house.rs"]
mod house;
#[path = "archive/memory.rs"]
mod memory;
#[path = "archive/peers.rs"]
mod peers;
#[path = "archive/picking.rs"]
mod picking;
#[path = "archive/round_trip.rs"]
mod round_trip;
#[path = "small/tree.rs"]
mod tree;

mod support;
