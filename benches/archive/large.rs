//! What memory it takes, whatever the size, and one file out of a large backup.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::lab::{self, Lab};
use super::measure::{self, Cost};
use super::page::{extremes, median};

/// A group of the large tree holds one file, and two kinds of smaller ones beside it.
const GROUP_BYTES: u64 = 1_000_000_000;
const MIDDLING: (u64, u64) = (200, 1_000_000);
const SMALL: (u64, u64) = (4000, 10_000);

/// Gigabytes of the trees whose writing is weighed, and of that from which one file is taken.
const WEIGHED: [u64; 2] = [1, 8];
const WHOLE: u64 = 10;

/// It is quick, so many rounds cost nothing.
const CATS: usize = 11;

/// Both tables.
pub(crate) fn tables(lab: &Lab) -> anyhow::Result<String> {
    let folder = tempfile::tempdir_in(&lab.folder)?;
    let mut large = Large { folder: folder.path().join("tree"), scale: lab.scale, groups: 0 };
    let file = folder.path().join("backup");
    let mut page = String::from(
        "| Memory, v3 | writing, peak MiB | s | extracting, peak MiB | s |\n\
         | --- | ---: | ---: | ---: | ---: |\n",
    );
    let disk = lab.disk()?;
    let mut weigh = |name: &str, tree: &Path| weigh(&mut page, name, tree, &file, &disk.path());
    weigh(lab.trees[1].name, &lab.trees[1].folder)?;
    for gigabytes in WEIGHED {
        large.grow(gigabytes)?;
        weigh(&format!("{gigabytes} GB"), &large.folder)?;
    }
    drop(disk);
    large.grow(WHOLE)?;
    eprintln!("one file out of {WHOLE} GB");
    ours(&["write", "v3"], &[&large.folder, &file])?;
    fs::remove_dir_all(&large.folder)?;
    writeln!(page)?;
    page.push_str(&cats(&file)?);
    Ok(page)
}

fn weigh(
    page: &mut String,
    name: &str,
    tree: &Path,
    file: &Path,
    disk: &Path,
) -> anyhow::Result<()> {
    eprintln!("memory: {name}");
    let mib = |it: &Cost| it.peak_kib as f64 / 1024.0;
    let write = ours(&["write", "v3"], &[tree, file])?;
    let extracted = tempfile::tempdir_in(disk)?;
    let extract = ours(&["extract"], &[file, extracted.path()])?;
    write!(page, "| {name} | {:.0} | {:.1} ", mib(&write), write.wall_seconds)?;
    writeln!(page, "| {:.0} | {:.1} |", mib(&extract), extract.wall_seconds)?;
    fs::remove_file(file)?;
    Ok(())
}

fn cats(file: &Path) -> anyhow::Result<String> {
    let mut page = format!(
        "| One file out of {WHOLE} GB, v3 | s (best–worst) | peak MiB |\n| --- | ---: | ---: |\n"
    );
    let middle = WHOLE / 2;
    let small = Large::small(Path::new(""), middle, SMALL.0 / 2);
    let middling = Large::middling(Path::new(""), middle, MIDDLING.0 / 2);
    for (name, path) in [("10 kB", small), ("1 MB", middling)] {
        let path = Path::new("homeassistant/data").join(path);
        for (where_, is_cold) in [("in the cache", false), ("not in the cache", true)] {
            let mut costs = Vec::new();
            for _ in 0..CATS {
                if is_cold {
                    lab::forget(file)?;
                }
                costs.push(ours(&["cat"], &[file, &path])?);
            }
            let walls: Vec<f64> = costs.iter().map(|it| it.wall_seconds).collect();
            let peaks: Vec<f64> = costs.iter().map(|it| it.peak_kib as f64 / 1024.0).collect();
            let (best, worst) = extremes(&walls);
            write!(page, "| {name}, {where_} | {:.3} ({best:.3}–{worst:.3}) ", median(&walls))?;
            writeln!(page, "| {:.0} |", median(&peaks))?;
        }
    }
    writeln!(page)?;
    Ok(page)
}

fn ours(step: &[&str], paths: &[&Path]) -> anyhow::Result<Cost> {
    nix::unistd::sync();
    let mut words = vec![std::env::current_exe()?.display().to_string()];
    words.extend(step.iter().map(|it| (*it).to_owned()));
    words.extend(paths.iter().map(|it| it.display().to_string()));
    measure::run(&words)
}

/// A tree that grows, of bytes that compress to about half.
struct Large {
    folder: PathBuf,
    scale: u64,
    groups: u64,
}

impl Large {
    fn grow(&mut self, groups: u64) -> io::Result<()> {
        for n in self.groups..groups {
            let mut noise = Noise(n + 1);
            fs::create_dir_all(self.folder.join(n.to_string()))?;
            let rest = GROUP_BYTES - MIDDLING.0 * MIDDLING.1 - SMALL.0 * SMALL.1;
            noise.file(&self.folder.join(n.to_string()).join("large"), rest / self.scale)?;
            for k in 0..MIDDLING.0 {
                noise.file(&Large::middling(&self.folder, n, k), MIDDLING.1 / self.scale)?;
            }
            for k in 0..SMALL.0 {
                noise.file(&Large::small(&self.folder, n, k), SMALL.1 / self.scale)?;
            }
        }
        self.groups = groups;
        Ok(())
    }

    fn middling(folder: &Path, group: u64, n: u64) -> PathBuf {
        folder.join(group.to_string()).join(format!("middling-{n}"))
    }

    fn small(folder: &Path, group: u64, n: u64) -> PathBuf {
        folder.join(group.to_string()).join(format!("small-{n}"))
    }
}

/// Xorshift: the same bytes each time, and quick.
struct Noise(u64);

impl Noise {
    fn file(&mut self, path: &Path, size: u64) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for _ in 0..size / 8 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            // Sixteen letters.
            let bytes = (self.0 & 0x0f0f_0f0f_0f0f_0f0f) | 0x6060_6060_6060_6060;
            file.write_all(&bytes.to_le_bytes())?;
        }
        file.flush()
    }
}
