//! The file: an outer tar with `./backup.json` and one inner tar for each part.
//!
//! Blocking: bytes ↔ meaning. The layout is that of home-assistant/supervisor
//! (`supervisor/backups/backup.py`) and of the Python package `securetar`. It knows nothing of
//! Docker, nor of where backups are kept.

mod below;
mod entry;
mod extract;
mod guard;
mod inner;
mod lenient;
mod member;
mod metadata;
mod open;
mod verify;
mod write;

pub use extract::{Extracted, ROOT, Target, extract};
pub use inner::Again;
pub use metadata::{AddonRecord, HomeAssistantRecord, Metadata, slug};
pub use open::{Archive, Member, OpenError};
pub use verify::{Problem, Verdict, verify};
pub use write::{Written, write};
