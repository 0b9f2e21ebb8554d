//! The tables.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::ROUNDS;
use super::contenders::Contender;
use super::lab::{Lab, script};
use super::measure::Cost;

/// Between these lines of `docs/benchmarks.md` the tables stand.
const MARKS: [&str; 2] = ["<!-- archive: begin -->\n", "<!-- archive: end -->\n"];

/// One measured command.
pub(crate) struct Run {
    /// The key of the contender.
    pub(crate) contender: &'static str,
    /// What it cost.
    pub(crate) cost: Cost,
    /// The bytes that it wrote; none where it extracted.
    pub(crate) size: Option<u64>,
}

/// The machine and both tables.
pub(crate) fn markdown(
    lab: &Lab,
    contenders: &[Contender],
    runs: &[Run],
) -> anyhow::Result<String> {
    let (files, bytes) = extent(&lab.tree)?;
    let megabytes = bytes as f64 / 1e6;
    let mut page = machine(lab)?;
    writeln!(page, "The tree: {megabytes:.0} MB in {files} files. Medians of {ROUNDS} rounds.\n")?;
    for (title, is_write) in [("Writing", true), ("Extracting", false)] {
        let size = if is_write { " file MB |" } else { "" };
        let line = if is_write { " ---: |" } else { "" };
        writeln!(
            page,
            "| {title} | times as long | s (best–worst) | MB/s | CPU s | peak MiB |{size}"
        )?;
        writeln!(page, "| --- | ---: | ---: | ---: | ---: | ---: |{line}")?;
        let all = |key: &str| -> Vec<&Run> {
            let step = runs.iter().filter(|it| it.size.is_some() == is_write);
            step.filter(|it| it.contender == key).collect()
        };
        let ours = median(&all(contenders[0].key), |it| it.cost.wall_seconds);
        for contender in contenders {
            let runs = all(contender.key);
            if !runs.is_empty() {
                row(&mut page, contender.name, &runs, ours, megabytes)?;
            }
        }
        writeln!(page)?;
    }
    Ok(page)
}

fn row(
    page: &mut String,
    name: &str,
    runs: &[&Run],
    ours: f64,
    megabytes: f64,
) -> anyhow::Result<()> {
    let wall = median(runs, |it| it.cost.wall_seconds);
    let walls = runs.iter().map(|it| it.cost.wall_seconds);
    let (best, worst) = (walls.clone().fold(f64::MAX, f64::min), walls.fold(0.0, f64::max));
    let cpu = median(runs, |it| it.cost.cpu_seconds);
    let peak = median(runs, |it| it.cost.peak_kib as f64 / 1024.0);
    write!(page, "| {name} | {:.2} | {wall:.2} ({best:.2}–{worst:.2}) ", wall / ours)?;
    write!(page, "| {:.0} | {cpu:.1} | {peak:.0} |", megabytes / wall)?;
    if runs[0].size.is_some() {
        write!(page, " {:.1} |", median(runs, |it| it.size.unwrap_or(0) as f64 / 1e6))?;
    }
    writeln!(page)?;
    Ok(())
}

/// Puts the page between the marks of `docs/benchmarks.md`.
pub(crate) fn keep(page: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(MARKS[0]).context("the first mark is missing")?;
    let (_, after) = rest.split_once(MARKS[1]).context("the last mark is missing")?;
    let text = [before, MARKS[0], "\n", page, MARKS[1], after].concat();
    File::create(&path)?.write_all(text.as_bytes())?;
    Ok(())
}

/// The machine in general words, and what was compared.
fn machine(lab: &Lab) -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib: f64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|it| it.parse().ok())
        .context("reading the size of the memory")?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: Vec<&str> = kernel.split('.').take(2).collect();
    let tree = lab.tree.display().to_string();
    let packages = fs::read_to_string(script("requirements.txt"))?;
    Ok(format!(
        "{cores} cores, {:.0} GiB, Linux {}, {}; {}, {}, Python {}, {}.\n\n",
        kib / 1024.0 / 1024.0,
        kernel.join("."),
        last_line("df", &["--output=fstype", &tree])?,
        first_line("tar", &["--version"])?,
        first_line("gzip", &["--version"])?,
        first_line(&lab.python.display().to_string(), &["--version"])?
            .trim_start_matches("Python "),
        packages.trim().replace("==", " ").replace('\n', ", "),
    ))
}

fn first_line(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    Ok(lines(program, arguments)?.lines().next().unwrap_or_default().to_owned())
}

fn last_line(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    Ok(lines(program, arguments)?.lines().last().unwrap_or_default().to_owned())
}

fn lines(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("starting {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn median(runs: &[&Run], value: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(|it| value(it)).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
