//! The exchange of a restore as it stands in the journal: with all that it takes to undo it.

use serde::{Deserialize, Serialize};

use super::{OpenHold, RawPath};

/// An exchange that may have begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSwap {
    /// The slug of the backup.
    pub backup: String,
    /// Each mount whose content is exchanged, in that order.
    pub mounts: Vec<SwapMount>,
    /// Every container that sees them, in the order in which they are stopped.
    pub holds: Vec<OpenHold>,
    /// How far it has come.
    #[serde(default)]
    pub stage: Stage,
}

/// How far an exchange has come, as far as that decides what becomes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The restored home has not shown that it comes up: whoever finds this takes it back.
    #[default]
    Underway,
    /// It did not come up, and a person wants to look at it.
    Left,
    /// It came up: all that is left to do is to remove the old content.
    Proved,
}

/// One mount. Which of its content lies where is told by the names in its staging folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapMount {
    /// The folder or file, as the run reached it.
    pub target: RawPath,
    /// The folder beside it, or in it, that has the other content.
    pub staging: RawPath,
    /// The inode of the folder in which the staging folder lies: a disk that is away, or another
    /// one in its place, has another.
    pub inode: u64,
    /// Paths below the target that stay where they are.
    pub keep: Vec<RawPath>,
    /// The folders that stay while their content goes, the target itself first; none where it is a
    /// file.
    pub folders: Vec<StayingFolder>,
}

/// A folder that stays while its content goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StayingFolder {
    /// Where it lies below the target; empty for the target itself.
    pub below: RawPath,
    /// What it was like.
    pub attributes: Attributes,
    /// The names in it: what else is found there on the way back came later.
    pub names: Vec<RawPath>,
}

/// What a folder has beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Its user.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// Its permissions with the special bits.
    pub mode: u32,
    /// The time of its last change, in seconds since 1970.
    pub modified: i64,
    /// The nanoseconds of that.
    pub nanos: u32,
}
