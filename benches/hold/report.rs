//! The tables.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context;

use super::home::Backup;
use super::measure::run;

/// Between these lines of `docs/benchmarks.md` the tables stand.
const MARKS: [&str; 2] = ["<!-- hold: begin -->\n", "<!-- hold: end -->\n"];

/// All rounds of one home.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) file_system: &'static str,
    pub(crate) home: String,
    pub(crate) backups: Vec<Backup>,
    /// The compressor of each peer and how long the home was down.
    pub(crate) peers: Vec<(&'static str, Vec<f64>)>,
}

/// The machine, and which kernel.
pub(crate) fn machine(rounds: usize) -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kib = memory.split_whitespace().nth(1).and_then(|it| it.parse::<f64>().ok());
    let gib = kib.context("reading the size of the memory")? / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
    let engine = run(&["docker", "version", "--format", "{{.Server.Version}}"])?;
    Ok(format!(
        "{cores} cores, {gib:.0} GiB, Linux {kernel}, Docker {engine}; each file system in a file \
         on a loop device. Medians of {rounds}.\n\n"
    ))
}

/// The table against what peers do.
pub(crate) fn against_peers(cases: &[Case]) -> anyhow::Result<String> {
    let mut page = String::new();
    let peers: Vec<&str> = cases[0].peers.iter().map(|it| it.0).collect();
    write!(page, "| file system | home | hold s (best–worst) | backup s | peak MiB |")?;
    for peer in &peers {
        write!(page, " stop, tar, {peer}, start s | times as long |")?;
    }
    write!(page, "\n| --- | --- | ---: | ---: | ---: |{}", " ---: | ---: |".repeat(peers.len()))?;
    for case in cases {
        let holds: Vec<f64> = case.backups.iter().map(|it| it.hold_seconds).collect();
        let seconds: Vec<f64> = case.backups.iter().map(|it| it.seconds).collect();
        let peak = case.backups.iter().map(|it| it.peak_mib).fold(0.0, f64::max);
        write!(page, "\n| {} | {} | {} ", case.file_system, case.home, spread(&holds))?;
        write!(page, "| {:.1} | {peak:.0} |", median(&seconds))?;
        for (_, down) in &case.peers {
            let ratio = median(down) / median(&holds);
            write!(page, " {:.1} | {ratio:.0} |", median(down))?;
        }
        let missing = peers.len() - case.peers.len();
        write!(page, "{}", " – | – |".repeat(missing))?;
    }
    page.push_str("\n\n");
    Ok(page)
}

/// The table of homes that grow: only the hold counts.
pub(crate) fn growth(cases: &[Case], pauses: &[f64]) -> anyhow::Result<String> {
    let mut page = String::from("| home | hold s (best–worst) | times as long |\n");
    page.push_str("| --- | ---: | ---: |\n");
    let holds = |case: &Case| case.backups.iter().map(|it| it.hold_seconds).collect::<Vec<_>>();
    let first = median(&holds(&cases[0]));
    for case in cases {
        let holds = holds(case);
        let ratio = median(&holds) / first;
        writeln!(page, "| {} | {} | {ratio:.2} |", case.home, spread(&holds))?;
    }
    let ratio = median(pauses) / first;
    let name = "`docker pause` and `docker unpause`, nothing between";
    writeln!(page, "| {name} | {} | {ratio:.2} |\n", spread(pauses))?;
    Ok(page)
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

fn spread(values: &[f64]) -> String {
    let best = values.iter().copied().fold(f64::MAX, f64::min);
    let worst = values.iter().copied().fold(0.0, f64::max);
    format!("{:.3} ({best:.3}–{worst:.3})", median(values))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
