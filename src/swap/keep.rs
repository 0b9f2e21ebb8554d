//! What stays in a target while the rest is exchanged.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::exchange::{is_folder, names};
use crate::capture::Exclude;
use crate::fsx::has_changed;
use crate::plan::Route;
use crate::reach;

/// Everything below a target that the restore leaves as it is, relative to the target. `routes` are
/// all that lead there, `stays` are paths anywhere.
pub(super) fn kept(
    routes: &[Route],
    target: &Path,
    stays: &[PathBuf],
) -> anyhow::Result<HashSet<PathBuf>> {
    let mut keep: HashSet<PathBuf> = routes.iter().flat_map(|it| &it.keep).cloned().collect();
    beside(routes, target, Path::new(""), &mut keep)?;
    // They may have been named through a link.
    let real = |it: &PathBuf| fs::canonicalize(it).unwrap_or_else(|_| it.clone());
    let below = |it: PathBuf| it.strip_prefix(target).ok().map(Path::to_owned);
    keep.extend(stays.iter().map(real).filter_map(below));
    // A folder on which something is mounted can be moved, but with it what is mounted deep inside:
    // the share of another machine would go with the old content.
    keep.extend(reach::mounted_below(target)?);
    keep.retain(|it| !it.as_os_str().is_empty());
    if is_folder(target) {
        // Those of one mount have the same.
        let Some(route) = routes.first() else { return Ok(keep) };
        if !route.only.is_empty() {
            let names = names(target)?.into_iter().map(PathBuf::from);
            keep.extend(names.filter(|it| !route.only.contains(it)));
        }
        if !route.keep_globs.is_empty() {
            let globs = Exclude::new(&route.keep_globs)?;
            let matching = Matching { target, destination: &route.tree.destination, globs };
            matching.collect(Path::new(""), &mut keep)?;
        }
    }
    Ok(keep)
}

/// Adds what lies beside the paths that are replaced, where they are not all of the mount.
fn beside(
    routes: &[Route],
    target: &Path,
    below: &Path,
    keep: &mut HashSet<PathBuf>,
) -> anyhow::Result<()> {
    let folder = target.join(below);
    if routes.iter().any(|it| below.starts_with(&it.below)) || !is_folder(&folder) {
        return Ok(());
    }
    for name in names(&folder)? {
        let path = below.join(name);
        if routes.iter().any(|it| it.below.starts_with(&path)) {
            beside(routes, target, &path, keep)?;
        } else {
            keep.insert(path);
        }
    }
    Ok(())
}

struct Matching<'a> {
    target: &'a Path,
    destination: &'a Path,
    globs: Exclude,
}

impl Matching<'_> {
    /// Adds what the globs match below the target; what lies inside a match goes with it.
    fn collect(&self, below: &Path, keep: &mut HashSet<PathBuf>) -> anyhow::Result<()> {
        let folder = self.target.join(below);
        let reading = || format!("reading {}", folder.display());
        let entries = match fs::read_dir(&folder) {
            // The home may go on meanwhile.
            Err(err) if has_changed(&err) => return Ok(()),
            entries => entries.with_context(reading)?,
        };
        for entry in entries {
            let entry = entry.with_context(reading)?;
            let path = below.join(entry.file_name());
            if keep.contains(&path) {
                continue;
            }
            if self.globs.matches(self.destination, &path) {
                keep.insert(path);
            } else if entry.file_type().with_context(reading)?.is_dir() {
                self.collect(&path, keep)?;
            }
        }
        Ok(())
    }
}
