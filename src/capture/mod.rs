//! The stable view: which files a part has, as this process can read them.
//!
//! Blocking. Today the view is the live folders of containers that are held; it knows nothing of
//! tar and nothing of Docker.

mod exclude;
mod walk;

use std::path::PathBuf;

pub use exclude::Exclude;
pub use walk::{Found, measure, walk};

use crate::model::Part;

/// A part whose mounts this process can reach.
#[derive(Debug, Clone)]
pub struct Source {
    /// The part.
    pub part: Part,
    /// Where each of its trees lies for this process, in the same order.
    pub roots: Vec<PathBuf>,
    /// Paths where a walk stops, because another part has what lies there.
    pub stops: Vec<PathBuf>,
    /// A folder of backups, whose files never become part of one.
    pub store: PathBuf,
}

/// How much a part holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of all regular files, a hard-linked one counted at each of its names.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}
