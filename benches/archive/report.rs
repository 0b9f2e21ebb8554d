//! The tables of what everybody did with a tree.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::command::run;
use super::contenders::Contender;
use super::duel::{Deed, Run};
use super::lab::{Lab, Tree, script};
use super::page::{self, extremes, median};

/// The machine in general words, and what was compared.
pub(crate) fn machine(lab: &Lab) -> anyhow::Result<String> {
    let first_line = |program: &str| -> anyhow::Result<String> {
        Ok(run(&[program, "--version"])?.lines().next().unwrap_or_default().to_owned())
    };
    let folder = lab.folder.display().to_string();
    let file_system = run(&["df", "--output=fstype", &folder])?;
    let zstd = first_line("zstd")?;
    let packages = fs::read_to_string(script("requirements.txt"))?;
    Ok(format!(
        "{}, written to {} and extracted to xfs in a file on a loop device; {}, {}, {}, zstd {}, \
         {}, {}. {}.\n\n",
        page::machine()?,
        file_system.lines().last().unwrap_or_default(),
        first_line("tar")?,
        first_line("gzip")?,
        first_line("pigz")?,
        zstd.split_whitespace()
            .find_map(|it| it.strip_prefix('v'))
            .unwrap_or_default()
            .trim_end_matches(','),
        first_line(&lab.python.display().to_string())?,
        packages.trim().replace("==", " ").replace('\n', ", "),
        match lab.rounds {
            1 => "One round".to_owned(),
            n => format!("Medians of {n} rounds"),
        },
    ))
}

/// A table for each deed.
pub(crate) fn duel(tree: &Tree, all: &[(Contender, Vec<Run>)]) -> anyhow::Result<String> {
    let (files, bytes) = extent(&tree.folder)?;
    let megabytes = bytes as f64 / 1e6;
    let mut page = String::new();
    for (title, deed) in
        [("Writing", Deed::Write), ("Verifying", Deed::Verify), ("Extracting", Deed::Extract)]
    {
        let size = if deed == Deed::Write { " file MB |" } else { "" };
        let line = if deed == Deed::Write { " ---: |" } else { "" };
        write!(page, "| {title} {}: {megabytes:.0} MB in {files} files | cipher ", tree.name)?;
        writeln!(page, "| times as long | s (best–worst) | MB/s | CPU s | peak MiB |{size}")?;
        writeln!(page, "| --- | --- | ---: | ---: | ---: | ---: | ---: |{line}")?;
        let mut ours = f64::NAN;
        for (contender, runs) in all {
            let runs: Vec<&Run> = runs.iter().filter(|it| it.deed == deed).collect();
            if runs.is_empty() {
                continue;
            }
            let wall = of(&runs, |it| it.cost.wall_seconds);
            if contender.reads == "ours" {
                ours = wall;
            }
            write!(page, "| {} | {} ", contender.name, contender.cipher)?;
            row(&mut page, &runs, ours, megabytes)?;
        }
        writeln!(page)?;
    }
    Ok(page)
}

fn row(page: &mut String, runs: &[&Run], ours: f64, megabytes: f64) -> anyhow::Result<()> {
    let walls: Vec<f64> = runs.iter().map(|it| it.cost.wall_seconds).collect();
    let wall = median(&walls);
    let (best, worst) = extremes(&walls);
    let spread = match runs.len() {
        1 => "once".to_owned(),
        _ => format!("{best:.2}–{worst:.2}"),
    };
    let cpu = of(runs, |it| it.cost.cpu_seconds);
    let peak = of(runs, |it| it.cost.peak_kib as f64 / 1024.0);
    write!(page, "| {:.2} | {wall:.2} ({spread}) ", wall / ours)?;
    write!(page, "| {:.0} | {cpu:.1} | {peak:.0} |", megabytes / wall)?;
    if runs[0].deed == Deed::Write {
        write!(page, " {:.1} |", of(runs, |it| it.size as f64 / 1e6))?;
    }
    writeln!(page)?;
    Ok(())
}

fn of(runs: &[&Run], value: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(|it| value(it)).collect::<Vec<_>>())
}

/// Files of a tree, and their bytes.
fn extent(folder: &Path) -> anyhow::Result<(u64, u64)> {
    let mut sum = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (files, bytes) = match entry.metadata()? {
            it if it.is_dir() => extent(&entry.path())?,
            it => (1, it.len()),
        };
        sum = (sum.0 + files, sum.1 + bytes);
    }
    Ok(sum)
}
