//! The file: an outer tar with `./backup.json` and one inner tar for each part.
//!
//! Blocking: bytes ↔ meaning. The layout is that of home-assistant/supervisor
//! (`supervisor/backups/backup.py`) and of the Python package `securetar`. It knows nothing of
//! Docker, nor of where backups are kept.

mod ahead;
mod below;
mod blocks;
mod confidential;
mod contents;
mod deflate;
mod diff;
mod entry;
mod extract;
mod files;
#[cfg(test)]
mod flips;
mod guard;
mod holds;
#[cfg(feature = "isal")]
mod igzip;
mod index;
mod inflate;
mod inner;
mod lenient;
mod member;
mod metadata;
mod open;
mod outer;
mod picked;
mod reading;
mod secure;
mod share;
mod source;
mod through;
mod unlock;
mod verify;
mod write;

pub use deflate::Level;
pub use diff::{Changed, Difference, Listing, PartDifference, Versions};
pub use extract::{Extracted, ROOT, Target, extract};
pub use files::{NoSuchFile, Place, cat, entries, take_out};
pub use holds::{holds, option};
pub use index::{Entry, Hash, Kind, Name};
pub use inner::Again;
pub use metadata::{AddonRecord, HomeAssistantRecord, Metadata, slug};
pub use open::{Archive, Member, OpenError};
pub use secure::Format;
pub use share::{Extent, Gauge, Share};
pub use source::Source;
pub use verify::{Checks, Problem, Verdict, verify};
pub use write::{Wrapper, Wrapping, Written, write};
