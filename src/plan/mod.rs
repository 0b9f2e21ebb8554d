//! Rules: from facts to a plan. No I/O, no clock: every decision of a backup or a restore can be
//! tested by data alone, and a dry run is the plan without the deed.

mod backup;
mod boot;
mod databases;
mod hold;
mod home;
mod hooks;
mod labels;
mod map;
mod mounts;
mod order;
mod outpost;
mod parts;
mod refused;
mod restore;
mod warnings;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use backup::{BackupPlan, BackupRequest, HoldLimit, LeftOut, OnMaxHold, backup};
pub use boot::{BootMount, BootPlan, BootSource, BootTree, Copied, boot};
pub use databases::{Served, as_after_a_power_cut, consistency};
pub use hold::{Hold, How, Need};
pub use home::{Home, Pick, find};
pub use hooks::{Hook, Hooks, OnError};
pub use map::{Map, MapOwner, MapPath, MapPlace, Mapped};
pub use order::start_order;
pub use outpost::{Reaches, at_host, beyond, for_paths, is_placed, meets, outermost, own};
pub use refused::Refused;
pub use restore::{Database, PENDING_RESTORE, RestorePlan, RestoreRequest, Route, asks, restore};
pub use warnings::strangers_with_data;

use crate::model::Container;

/// What is known of the engine before anything is decided.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every container on the engine.
    pub containers: Vec<Container>,
    /// Home Assistant's version by the source of the mount in whose root `.HA_VERSION` lies.
    pub versions: BTreeMap<PathBuf, String>,
    /// The identifier of the container in which this program runs, where it runs in one.
    pub own_container: Option<String>,
    /// Where the engine keeps its own files; never backed up as a whole.
    pub engine_root: PathBuf,
    /// Whether the engine is Podman.
    pub is_podman: bool,
}
