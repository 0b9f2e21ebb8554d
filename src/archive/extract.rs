//! Putting the entries of an inner tar into folders, below which nothing can be left.
//!
//! Every name is walked from a folder handle, one component at a time, and no component may be a
//! link: neither `..` nor a link in the archive leads anywhere else. What an entry may be is
//! decided here; how it gets onto the disk is in [`super::below`].

use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tar::EntryType;
use tokio_util::sync::CancellationToken;

use super::below::{Below, Stamp};
use super::entry::BLOCK;
use super::guard::{Guard, Unfit};
use super::index::Entry;
use super::open::{Archive, Member};
use super::share::Share;
use crate::monitor::Monitor;
use crate::signals;

/// Where entries go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Which entries.
    pub share: Share,
    /// An existing empty folder of ours. What has the prefix itself as its name becomes `root` in
    /// it, a folder or a file.
    pub staging: PathBuf,
    /// The path below `root` that it becomes instead.
    pub below: PathBuf,
    /// User and group that everything gets, instead of those in the tar.
    pub owner: Option<(u32, u32)>,
    /// Names in the inner tar that are passed over.
    pub passed_over: Vec<String>,
}

/// The name of a tree's root in its staging folder.
pub const ROOT: &str = "root";

/// The longest path that Linux takes, and the longest name in one.
const MAX_PATH_BYTES: usize = 4096;
const MAX_NAME_BYTES: usize = 255;

/// Nobody reads more, and each takes memory.
const MAX_WARNINGS: usize = 1000;

/// What an extraction did.
#[derive(Debug, Default)]
pub struct Extracted {
    /// What could not be restored, as sentences.
    pub warnings: Vec<String>,
    /// What no target takes, as sentences.
    pub unplaced: Vec<String>,
}

/// Extracts a member into targets; an entry goes to the one with the longest prefix. Owners,
/// modes and times are set as the archive says; for owners other than its own the process must be
/// root.
///
/// # Errors
/// The first entry that cannot be put in place, by name. What was extracted until then stays in
/// the staging folders.
pub fn extract(
    archive: &Archive,
    member: &Member,
    targets: &[Target],
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Extracted> {
    // Without an index, or with one that is damaged, it only takes longer.
    let index = archive.index().ok().flatten();
    let part = index.as_ref().and_then(|it| it.part(&member.name));
    let tar = archive.read(member, part, cancel, monitor)?;
    let roots = targets.iter().map(|it| join(Path::new(ROOT), &it.below)).collect();
    Extractor::new(targets, roots, cancel)?.run(archive, member, tar, None)
}

/// Entries of a part that are taken out alone.
pub(super) struct Wanted<'a> {
    /// An existing folder of ours.
    pub(super) folder: &'a Path,
    /// The path in it that takes the place of the part's root.
    pub(super) root: PathBuf,
    /// In the order of the tar.
    pub(super) entries: Vec<&'a Entry>,
    /// Entries that go by another name, which stands behind them in the tar.
    pub(super) renamed: HashMap<PathBuf, PathBuf>,
}

/// Extracts single entries of a member, reading little else where there is an index.
pub(super) fn extract_wanted(
    archive: &Archive,
    member: &Member,
    wanted: &Wanted<'_>,
    cancel: &CancellationToken,
    monitor: &dyn Monitor,
) -> anyhow::Result<Extracted> {
    let target = Target { staging: wanted.folder.to_owned(), ..Target::default() };
    let roots = vec![wanted.root.clone()];
    let mut extractor = Extractor::new(std::slice::from_ref(&target), roots, cancel)?;
    extractor.renamed.clone_from(&wanted.renamed);
    let index = archive.index().ok().flatten();
    match index.as_ref().and_then(|it| it.part(&member.name)) {
        Some(part) => {
            let all = |it: &&Entry| it.at..it.at + it.head + it.size.next_multiple_of(BLOCK);
            let picked =
                archive.picked(member, part.clone(), wanted.entries.iter().map(all), cancel)?;
            extractor.run(archive, member, Guard::new(picked, member.size), None)
        }
        None => {
            let places: HashSet<u64> = wanted.entries.iter().map(|it| it.at).collect();
            let tar = archive.read(member, None, cancel, monitor)?;
            extractor.run(archive, member, tar, Some(&places))
        }
    }
}

struct Extractor<'a> {
    belows: Vec<Below>,
    targets: &'a [Target],
    /// What the root of each target is called in its folder.
    roots: Vec<PathBuf>,
    renamed: HashMap<PathBuf, PathBuf>,
    done: Extracted,
    /// Folders get their times and modes last, when nothing in them changes any more.
    folders: HashMap<(usize, PathBuf), Stamp>,
    /// Warnings beyond those that are kept.
    n_untold: u64,
    /// What no target takes, as far up as nothing else in it has one.
    unplaced: HashSet<PathBuf>,
    n_unplaced_untold: u64,
    cancel: &'a CancellationToken,
}

impl<'a> Extractor<'a> {
    fn new(
        targets: &'a [Target],
        roots: Vec<PathBuf>,
        cancel: &'a CancellationToken,
    ) -> anyhow::Result<Extractor<'a>> {
        Ok(Extractor {
            belows: targets
                .iter()
                .map(|it| Below::open(&it.staging, it.owner))
                .collect::<Result<_, _>>()?,
            targets,
            roots,
            renamed: HashMap::new(),
            done: Extracted::default(),
            folders: HashMap::new(),
            n_untold: 0,
            unplaced: HashSet::new(),
            n_unplaced_untold: 0,
            cancel,
        })
    }

    /// Extracts what stands in a tar; where `places` are told, only what stands there.
    fn run(
        mut self,
        archive: &Archive,
        member: &Member,
        tar: impl Read,
        places: Option<&HashSet<u64>>,
    ) -> anyhow::Result<Extracted> {
        let extracted = self.entries(archive, member, tar, places);
        // Below a reader the reason of its error is lost, so that it is told here.
        signals::check(self.cancel)?;
        extracted?;
        self.finish()
    }

    fn entries(
        &mut self,
        archive: &Archive,
        member: &Member,
        tar: impl Read,
        places: Option<&HashSet<u64>>,
    ) -> anyhow::Result<()> {
        let mut tar = tar::Archive::new(tar);
        for entry in tar.entries()? {
            signals::check(self.cancel)?;
            let mut entry = match entry {
                Err(err) if err.kind() == ErrorKind::InvalidData => {
                    return Err(archive.damaged(format!("{}: {err}", member.name)).into());
                }
                entry => entry.with_context(|| format!("reading {}", member.name))?,
            };
            if places.is_some_and(|it| !it.contains(&entry.raw_header_position())) {
                continue;
            }
            let name = entry.path_bytes().into_owned();
            let naming = || format!("{} of {}", String::from_utf8_lossy(&name), member.name);
            match self.entry(&mut entry) {
                Err(err) if err.is::<Unfit>() => {
                    return Err(archive.damaged(format!("{}: {err}", naming())).into());
                }
                placed => placed.with_context(naming)?,
            }
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> anyhow::Result<()> {
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            return Ok(());
        }
        let name = entry_name(&entry.path_bytes())?;
        let (n, path) = match self.route(&name) {
            Some((n, Some(path))) => (n, path),
            Some((_, None)) => return Ok(()),
            None => {
                self.unplaced(&name);
                return Ok(());
            }
        };
        let (mut stamp, is_whole) = stamp(entry)?;
        if let Some((uid, gid)) = self.targets[n].owner {
            (stamp.uid, stamp.gid) = (uid, gid);
        }
        if !is_whole {
            let what = "has a line break in its name, which may be cut off there";
            self.warn(format!("{} {what}", name.display()));
        }
        let below = &mut self.belows[n];
        let kind = entry.header().entry_type();
        // The root takes the place of a mount: a link there would lead anywhere.
        if path == self.roots[n] && matches!(kind, EntryType::Symlink | EntryType::Link) {
            return Err(Unfit("a link in place of a mount").into());
        }
        match kind {
            EntryType::Directory => {
                below.folder(&path)?;
                self.folders.insert((n, path), stamp);
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                below.file(&path, entry)?;
                below.stamp(&path, &stamp)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or(Unfit("a link without a target"))?;
                below.symlink(&path, &target)?;
                below.stamp(&path, &stamp)?;
            }
            EntryType::Link => self.hard_link(n, &path, entry, &stamp)?,
            other => {
                let kind = match other {
                    EntryType::Fifo => "FIFO",
                    EntryType::Char | EntryType::Block => "device",
                    _ => "thing of an unknown kind",
                };
                let what = format!("{} is a {kind} and was not restored", name.display());
                self.warn(what);
            }
        }
        Ok(())
    }

    fn warn(&mut self, what: String) {
        match self.done.warnings.len() < MAX_WARNINGS {
            true => self.done.warnings.push(what),
            false => self.n_untold += 1,
        }
    }

    fn hard_link<R: Read>(
        &mut self,
        n: usize,
        path: &Path,
        entry: &tar::Entry<'_, R>,
        stamp: &Stamp,
    ) -> anyhow::Result<()> {
        let first = entry.link_name_bytes().ok_or(Unfit("a hard link without a target"))?;
        let name = entry_name(&first)?;
        let Some((other, Some(first))) = self.route(&name) else {
            let what = format!("{}: linked to {}", path.display(), name.display());
            self.warn(format!("{what}, which has no place here; not restored"));
            return Ok(());
        };
        // Two mounts of one part may have had a file in common.
        let first = self.belows[other].first(&first)?;
        self.belows[n].hard_link(&first, path, stamp)
    }

    /// The target with the longest prefix of a name, and the path below its staging folder, where it
    /// takes what has this name.
    fn route(&self, name: &Path) -> Option<(usize, Option<PathBuf>)> {
        let name = self.renamed.get(name).map_or(name, PathBuf::as_path);
        let (n, below) = Share::find(self.targets.iter().map(|it| &it.share), name)?;
        if self.targets[n].passed_over.iter().any(|it| Path::new(it) == name) {
            return None;
        }
        let takes = self.targets[n].share.takes(below);
        Some((n, takes.then(|| join(&self.roots[n], below))))
    }

    fn unplaced(&mut self, name: &Path) {
        // What the Supervisor adds for itself has no place in a container.
        const NOT_OURS: [&str; 4] =
            ["addon.json", "homeassistant.json", "image.tar", "apparmor.txt"];
        let is_ours =
            |it: &Path| self.targets.iter().any(|to| Path::new(&to.share.prefix).starts_with(it));
        let is_known = |it: &str| Path::new(it) == name;
        let mut passed_over = self.targets.iter().flat_map(|it| &it.passed_over);
        if NOT_OURS.into_iter().any(is_known) || passed_over.any(|it| is_known(it)) {
            return;
        }
        // A folder in which something else has a target is named by what is in it.
        let tops = name.ancestors().take_while(|it| !is_ours(it));
        let Some(top) = tops.last() else { return };
        if self.unplaced.contains(top) {
            return;
        }
        if self.unplaced.len() >= MAX_WARNINGS {
            self.n_unplaced_untold += 1;
            return;
        }
        let what = format!("{}: no container has a mount for it; not restored", top.display());
        self.unplaced.insert(top.to_owned());
        self.done.unplaced.push(what);
    }

    fn finish(mut self) -> anyhow::Result<Extracted> {
        // Deepest first: setting a child changes nothing in its parent, but a parent without
        // write permission could not be entered any more.
        let mut folders: Vec<_> = std::mem::take(&mut self.folders).into_iter().collect();
        folders.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        for ((n, path), stamp) in &folders {
            self.belows[*n]
                .stamp(path, stamp)
                .with_context(|| format!("setting the attributes of {}", path.display()))?;
        }
        for (n, told) in [
            (self.n_untold, &mut self.done.warnings),
            (self.n_unplaced_untold, &mut self.done.unplaced),
        ] {
            if n > 0 {
                told.push(format!("and {n} more of the like"));
            }
        }
        Ok(self.done)
    }
}

/// Joining an empty rest would add a slash, which makes a folder of a file.
fn join(root: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { root.to_owned() } else { root.join(rest) }
}

/// A name as components, without `./`; that of the root has none.
pub(super) fn entry_name(bytes: &[u8]) -> Result<PathBuf, Unfit> {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Component;
    if bytes.is_empty() {
        return Err(Unfit("it has no name"));
    }
    if bytes.contains(&0) {
        return Err(Unfit("its name has a zero byte"));
    }
    if bytes.len() > MAX_PATH_BYTES {
        return Err(Unfit("its name is longer than any path can be"));
    }
    let mut name = PathBuf::new();
    for component in Path::new(std::ffi::OsStr::from_bytes(bytes)).components() {
        match component {
            Component::Normal(part) if part.len() > MAX_NAME_BYTES => {
                return Err(Unfit("a part of its name is longer than any name can be"));
            }
            Component::Normal(part) => name.push(part),
            Component::CurDir => (),
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err(Unfit("its name leads out of the backup"));
            }
        }
    }
    Ok(name)
}

/// Attributes of an entry, and whether all its records can be read: the `tar` crate takes a line
/// break in one for its end.
pub(super) fn stamp<R: Read>(entry: &mut tar::Entry<'_, R>) -> anyhow::Result<(Stamp, bool)> {
    let mut mtime = (i64::try_from(entry.header().mtime()?).unwrap_or(0), 0);
    let mut is_whole = true;
    if let Some(records) = entry.pax_extensions()? {
        for record in records {
            let Ok(record) = record else {
                is_whole = false;
                continue;
            };
            if let (Ok("mtime"), Ok(value)) = (record.key(), record.value()) {
                mtime = parse_mtime(value).ok_or(Unfit("its time is not a number"))?;
            }
        }
    }
    let header = entry.header();
    let stamp = Stamp {
        mode: header.mode()? & 0o7777,
        uid: number(header.uid()?).ok_or(Unfit("its owner is out of range"))?,
        gid: number(header.gid()?).ok_or(Unfit("its group is out of range"))?,
        mtime,
    };
    Ok((stamp, is_whole))
}

/// The number of a user or group. The last one stands for "leave it as it is".
fn number(id: u64) -> Option<u32> {
    u32::try_from(id).ok().filter(|it| *it != u32::MAX)
}

/// Reads `-1.25` as -2 s and 750,000,000 ns. A float would lose the last digits.
fn parse_mtime(text: &str) -> Option<(i64, i64)> {
    if text.contains(['e', 'E']) {
        // So Python writes what is very near to 1970.
        let time: f64 = text.parse().ok()?;
        return Some((time.floor() as i64, ((time - time.floor()) * 1e9) as i64));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let negative = seconds.starts_with('-');
    let seconds: i64 = seconds.parse().ok()?;
    let digits: String = fraction.chars().take(9).collect();
    let nanoseconds: i64 = match digits.as_str() {
        "" => 0,
        digits => format!("{digits:0<9}").parse().ok()?,
    };
    Some(match (negative, nanoseconds) {
        (true, 1..) => (seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds),
        _ => (seconds, nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_exactly() {
        let check = |text: &str, wanted| assert_eq!(parse_mtime(text), wanted, "{text}");
        check("5", Some((5, 0)));
        check("1795309071.6035922", Some((1_795_309_071, 603_592_200)));
        check("5.0000000079", Some((5, 7)));
        check("-1.25", Some((-2, 750_000_000)));
        check("-0.5", Some((-1, 500_000_000)));
        check("1e-09", Some((0, 1)));
        for bad in ["x", "", "1.-5", "1.+5", "-9223372036854775808.5", "1e", "9223372036854775808"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let long = "n".repeat(256);
        let deep = "d/".repeat(100_000);
        for bad in ["../x", "a/../../x", "/etc/passwd", "data/..", "", "a\0b", &long, &deep] {
            assert!(entry_name(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(entry_name(&[b'd', b'/'].repeat(2048)).is_ok());
        assert!(entry_name(&[b'n'; 255]).is_ok());
        assert_eq!(entry_name(b".").expect("the root"), Path::new(""));
        assert_eq!(entry_name(b"./data//x/.").expect("sound"), Path::new("data/x"));
    }
}
