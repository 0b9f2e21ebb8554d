//! Words that every floor above shares: what a container is, what an item is, how one is held.
//!
//! Plain data only. It knows nothing of Docker's or the archive's own spelling.

mod container;
mod contents;
mod item;
mod manifest;
mod outpost;
mod part;
mod recipe;
mod replica;
mod who;

pub use container::{Container, Health, Mount, MountKind, State};
pub use contents::{Asks, Contents, Found, InPart};
pub use item::{FOLDERS, Item};
pub use manifest::{Job, Manifest, PartRecord, TreeRecord};
pub use outpost::{JOB_LABEL, Meets, Outpost, STATE_LABEL};
pub use part::{Part, PartKind, Tree, member_name};
pub use recipe::{Confidential, Recipe, RecipeMount};
pub use replica::{Join, Replica, ReplicaMount, Source};
pub use who::{Compose, Who};
