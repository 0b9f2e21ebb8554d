//! The tables.

use std::fmt::Write as _;

use super::command::run;
use super::home::Backup;
use super::page::{self, extremes, median};

/// All rounds of one home.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) file_system: &'static str,
    pub(crate) home: String,
    pub(crate) backups: Vec<Backup>,
    /// The compressor of each peer and how long the home was down.
    pub(crate) peers: Vec<(&'static str, Vec<f64>)>,
    /// How long it was down for each restore; none where none was measured.
    pub(crate) restores: Vec<f64>,
}

/// The machine, and which kernel.
pub(crate) fn machine(rounds: usize) -> anyhow::Result<String> {
    let machine = page::machine()?;
    let engine = run(&["docker", "version", "--format", "{{.Server.Version}}"])?;
    Ok(format!(
        "{machine}, Docker {engine}; each file system in a file on a loop device. \
         Medians of {rounds}.\n\n"
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

/// The table of homes that grow: only how long they stand still counts.
pub(crate) fn growth(cases: &[Case], pauses: &[f64]) -> anyhow::Result<String> {
    let mut page = String::from(
        "| home | hold s (best–worst) | times as long | down for a restore s | times as long |\n",
    );
    page.push_str("| --- | ---: | ---: | ---: | ---: |\n");
    let holds = |case: &Case| case.backups.iter().map(|it| it.hold_seconds).collect::<Vec<_>>();
    let first = median(&holds(&cases[0]));
    let first_restore = median(&cases[0].restores);
    for case in cases {
        let holds = holds(case);
        let ratio = median(&holds) / first;
        write!(page, "| {} | {} | {ratio:.2} ", case.home, spread(&holds))?;
        let ratio = median(&case.restores) / first_restore;
        writeln!(page, "| {} | {ratio:.2} |", spread(&case.restores))?;
    }
    let ratio = median(pauses) / first;
    let name = "`docker pause` and `docker unpause`, nothing between";
    writeln!(page, "| {name} | {} | {ratio:.2} | – | – |\n", spread(pauses))?;
    Ok(page)
}

fn spread(values: &[f64]) -> String {
    let (best, worst) = extremes(values);
    format!("{:.3} ({best:.3}–{worst:.3})", median(values))
}
