//! The stable view: the files of all parts as they were at one instant.
//!
//! Blocking. The method is that of live migration: copy while everything runs until little is left,
//! then hold, take the rest, release. It knows nothing of tar and nothing of Docker.
//!
//! ```text
//! look ──► warm ──► warm … ──► (hold) settle (release) ──► let go ──► visit, read
//! ```
//!
//! - *warm*: what may change at any moment is copied to the [spool](spool), everything else is held
//!   open, so that no rename or removal takes it away;
//! - *settle*: what changed since the last look is copied;
//! - afterwards, what was held open is checked when it is read: the few files that were written in
//!   place after the release are taken again in one more short hold ([`Capture::retake`]).
//!
//! A capture that is not warmed reads every file in its place: then the hold lasts until the
//! archive is written.

mod exclude;
mod fill;
mod hot;
mod look;
mod node;
mod read;
mod spool;
mod sqlite;
mod staging;

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

pub use self::exclude::Exclude;
use self::fill::{Fill, Phase, Readers};
pub use self::node::{Found, Stat, What, Where};
use self::node::{Kind, Node, View};
pub use self::read::{Reading, Retaken};
use self::spool::Spool;
pub use self::spool::{GoOn, NoRoom};
pub use self::staging::Staging;
use crate::model::Part;

/// When less than this has changed between two looks, another one would find as much again.
const LITTLE: u64 = 8 * 1024 * 1024;

/// Looks while everything runs, at most.
const ROUNDS: usize = 3;

/// Descriptors that are left for everything else: folders on the way down, sockets, the archive.
const SPARE_DESCRIPTORS: u64 = 1024;

/// Folders may lie in folders two thousand times, and each takes a few frames. Only what is used of
/// a stack takes memory.
pub const DEEP_STACK: usize = 64 * 1024 * 1024;

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
    /// Whether all files have to be of one instant to be of use, as those of a database.
    pub at_one_instant: bool,
}

/// How much a part holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bytes of all regular files, a hard-linked one counted at each of its names.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// The files of all parts.
#[derive(Debug)]
pub struct Capture {
    parts: Vec<Captured>,
    spool: Option<Spool>,
    readers: Readers,
    /// Descriptors that may still be taken.
    descriptors: AtomicI64,
    /// Files up to this size are copied rather than held open.
    pack: u64,
    /// Seconds since 1970.
    began: i64,
}

#[derive(Debug)]
struct Captured {
    source: Source,
    views: Vec<View>,
    /// What the last look had to tell.
    warnings: Vec<String>,
}

impl Capture {
    /// Looks at all parts for the first time.
    ///
    /// # Errors
    /// A folder that cannot be read, naming it.
    pub fn look(sources: Vec<Source>) -> anyhow::Result<Capture> {
        // Fails where it was done before, which is as well.
        let _ = rayon::ThreadPoolBuilder::new().stack_size(DEEP_STACK).build_global();
        let parts = sources.into_iter().map(|source| {
            let views = node::views(&source);
            Captured { source, views, warnings: Vec::new() }
        });
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut capture = Capture {
            parts: parts.collect(),
            spool: None,
            readers: Readers::default(),
            descriptors: AtomicI64::new(0),
            pack: 0,
            began: since.as_secs().cast_signed(),
        };
        capture.look_again(&|| Ok(()))?;
        let budget = descriptors()?;
        capture.descriptors = AtomicI64::new(budget.cast_signed());
        capture.pack = capture.pack_up_to(usize::try_from(budget).unwrap_or(usize::MAX));
        Ok(capture)
    }

    /// How much each part holds.
    pub fn extents(&self) -> Vec<Extent> {
        let of_part = |part: &Captured| {
            let mut extent = Extent::default();
            part.each(&mut |node| {
                extent.entries += 1;
                if node.stat.is_file() {
                    extent.bytes += node.stat.size;
                }
            });
            extent
        };
        self.parts.iter().map(of_part).collect()
    }

    /// The parts, in the order of the sources.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(|it| &it.source.part)
    }

    /// Lets go of the parts that are not `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(&Part) -> bool) {
        self.parts.retain(|it| wanted(&it.source.part));
    }

    /// Begins to keep what changes, in a spool.
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn begin(&mut self, staging: &Staging) -> anyhow::Result<()> {
        self.spool = Some(Spool::new(&staging.folder, staging.room)?);
        Ok(())
    }

    /// Copies and opens, while the containers run, until little changes from one look to the next.
    ///
    /// # Errors
    /// [`NoRoom`] where the spool is too small; the capture is then one that was never begun.
    /// Whatever `go_on` says.
    pub fn warm(&mut self, go_on: GoOn<'_>) -> anyhow::Result<()> {
        for _ in 0..ROUNDS {
            match self.round(Phase::Warm, go_on) {
                Ok(copied) if copied < LITTLE => break,
                Ok(_) => (),
                Err(err) => {
                    if err.is::<NoRoom>() {
                        self.give_up();
                    }
                    return Err(err);
                }
            }
        }
        Ok(())
    }

    /// Takes what changed since the last look, while the containers are held; gives the bytes of
    /// what had to be copied.
    ///
    /// # Errors
    /// Whatever `go_on` says, between two files or two pieces of one.
    pub fn settle(&mut self, go_on: GoOn<'_>) -> anyhow::Result<u64> {
        if let Some(spool) = &self.spool {
            spool.lift(staging::SPARE)?;
        }
        self.round(Phase::Held, go_on)
    }

    /// Ends the read transactions in databases. To be called as soon as the containers run again.
    pub fn let_go(&mut self) {
        self.readers = Readers::default();
    }

    /// Whether it holds a stable view, or files have to be read in their places.
    pub fn is_stable(&self) -> bool {
        self.spool.is_some()
    }

    /// How many files had to be copied because there are not as many descriptors; 0 mostly.
    pub fn n_packed(&self) -> u64 {
        let mut n = 0;
        if self.pack > 0 {
            let mut count =
                |node: &Node| n += u64::from(node.stat.is_file() && node.stat.size <= self.pack);
            self.parts.iter().for_each(|it| it.each(&mut count));
        }
        n
    }

    fn round(&mut self, phase: Phase, go_on: GoOn<'_>) -> anyhow::Result<u64> {
        self.look_again(go_on)?;
        let Some(spool) = &self.spool else { return Ok(0) };
        let hot = match phase {
            Phase::Warm => hot::inodes(),
            Phase::Held => HashSet::new(),
        };
        if phase == Phase::Warm {
            sync(&self.parts)?;
        }
        let mut copied = 0;
        for part in &mut self.parts {
            let told = Mutex::new(Vec::new());
            let fill = Fill {
                phase,
                spool,
                hot: &hot,
                readers: &self.readers,
                pack: self.pack,
                descriptors: &self.descriptors,
                began: self.began,
                go_on,
                told: &told,
                copied: AtomicU64::new(0),
                all: part.source.at_one_instant,
            };
            part.views.iter_mut().try_for_each(|view| fill.view(view))?;
            copied += fill.copied.load(Ordering::Relaxed);
            part.warnings.extend(told.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(copied)
    }

    fn look_again(&mut self, go_on: GoOn<'_>) -> anyhow::Result<()> {
        for part in &mut self.parts {
            part.warnings.clear();
            let views = std::mem::take(&mut part.views);
            match look::look(&part.source, views, &mut part.warnings, go_on) {
                Ok(views) => part.views = views,
                Err(err) => {
                    // Whoever goes on in spite of it begins with this part anew.
                    part.views = node::views(&part.source);
                    return Err(err);
                }
            }
        }
        Ok(())
    }

    /// Turns back into a capture that reads everything in its place.
    fn give_up(&mut self) {
        self.let_go();
        self.spool = None;
        self.parts.iter_mut().for_each(|it| it.views = node::views(&it.source));
    }

    /// The size up to which files have to be copied, so that at most `n` are held open.
    fn pack_up_to(&self, n: usize) -> u64 {
        let mut sizes = Vec::new();
        let mut note = |node: &Node| sizes.extend(node.stat.is_file().then_some(node.stat.size));
        self.parts.iter().for_each(|it| it.each(&mut note));
        if sizes.len() <= n {
            return 0;
        }
        let (_, limit, _) = sizes.select_nth_unstable_by(n, |a, b| b.cmp(a));
        *limit
    }
}

impl Captured {
    fn each(&self, visit: &mut dyn FnMut(&Node)) {
        fn each(node: &Node, visit: &mut dyn FnMut(&Node)) {
            visit(node);
            if let Kind::Folder(children) = &node.kind {
                children.iter().for_each(|it| each(it, visit));
            }
        }
        self.views.iter().filter_map(|it| it.node.as_ref()).for_each(|it| each(it, visit));
    }
}

/// Brings what is in memory to the disk. A store through shared memory moves no time of the file
/// while the page is dirty already; after this, the next one does. So what a look before this tells
/// of a file holds for what is read after it.
fn sync(parts: &[Captured]) -> anyhow::Result<()> {
    let mut synced = HashSet::new();
    // What is left out, such as a socket, cannot be opened or waits for somebody.
    let there = parts.iter().flat_map(|it| &it.views).filter(|it| it.node.is_some());
    for root in there.map(|it| &it.root) {
        let syncing = || format!("syncing the file system of {}", root.display());
        let folder = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(root);
        let folder = folder.with_context(syncing)?;
        if synced.insert(folder.metadata().with_context(syncing)?.dev()) {
            nix::unistd::syncfs(&folder).with_context(syncing)?;
        }
    }
    Ok(())
}

/// How many files may be held open, after asking for as many as this process can get.
fn descriptors() -> anyhow::Result<u64> {
    let asking = "asking how many files may be open";
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context(asking)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context(asking)?;
    Ok(most.saturating_sub(SPARE_DESCRIPTORS))
}
