//! Archives that mean harm: each is refused, or what cannot be taken from it is told; nothing
//! outside the staging folder changes, and reading it takes little memory and time. These need no
//! engine, only root and folders.

#[path = "hostile/bombs.rs"]
mod bombs;
#[path = "hostile/build.rs"]
mod build;
#[path = "hostile/cage.rs"]
mod cage;
#[path = "hostile/entries.rs"]
mod entries;
#[path = "hostile/memory.rs"]
mod memory;
#[path = "hostile/outer.rs"]
mod outer;
#[path = "hostile/sound.rs"]
mod sound;
