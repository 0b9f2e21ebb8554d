//! How long a home stands still for a backup, against "stop, tar and gzip, start", as ratios of
//! one run.
//!
//! `cargo bench --bench hold` makes homes on ext4, xfs and btrfs, one after the other, whose
//! container writes all the time, and backs each up in turn with the program and in the way of its
//! peers; of some it restores the backup, too. `-- --keep` puts the tables into `docs/benchmarks.md`; `-- --quick` tries it in a minute,
//! with homes far too small to say anything. It needs root, for the mounts.

#[path = "../shared/command.rs"]
mod command;
#[path = "../shared/disk.rs"]
mod disk;
mod home;
mod measure;
#[path = "../shared/page.rs"]
mod page;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use home::{Content, Home};
use report::Case;

/// Odd, so that the median is a run and not a mean.
const ROUNDS: usize = 3;

/// Pausing is quick, so many rounds cost nothing.
const PAUSES: usize = 11;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["measure", output, program, words @ ..] => {
            measure::child(Path::new(output), program, words)
        }
        // Cargo adds `--bench`.
        flags => bench(flags.contains(&"--quick"), flags.contains(&"--keep")).map(|()| 0),
    };
    match done {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(quick: bool, keep: bool) -> anyhow::Result<()> {
    anyhow::ensure!(nix::unistd::Uid::effective().is_root(), "mounting needs root");
    command::heed_signals()?;
    let below = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&below)?;
    let scale = if quick { 20 } else { 1 };
    let bench = Bench { below, rounds: if quick { 1 } else { ROUNDS }, scale };
    let mut page = report::machine(bench.rounds)?;
    let cases = bench.against_peers()?;
    page.push_str(&report::against_peers(&cases)?);
    let (cases, pauses) = bench.growth()?;
    page.push_str(&report::growth(&cases, &pauses)?);
    println!("{page}");
    if keep { page::keep("hold", &page).context("keeping the tables") } else { Ok(()) }
}

struct Bench {
    /// Where disks and backups lie.
    below: PathBuf,
    rounds: usize,
    /// How many times smaller than meant everything is.
    scale: u64,
}

impl Bench {
    fn against_peers(&self) -> anyhow::Result<Vec<Case>> {
        let pigz = command::run(&["pigz", "--version"]).is_ok();
        let peers: &[&'static str] = if pigz { &["gzip -6", "pigz -6"] } else { &["gzip -6"] };
        let mut cases = Vec::new();
        for file_system in ["ext4", "xfs", "btrfs"] {
            let usual = self.content(12_000, 200, 800, 700);
            let home = Home::new(&self.below, file_system, usual)?;
            cases.push(self.rounds(&home, file_system, name(usual), peers)?);
            if file_system == "ext4" {
                let inside = format!("{}, store in it", name(usual));
                cases.push(self.inside(&home, file_system, inside)?);
            }
            drop(home);
            let small = self.content(200_000, 2000, 200, 0);
            let home = Home::new(&self.below, file_system, small)?;
            cases.push(self.rounds(&home, file_system, name(small), peers)?);
        }
        Ok(cases)
    }

    /// Ten times the cold data, and ten times the database.
    fn growth(&self) -> anyhow::Result<(Vec<Case>, Vec<f64>)> {
        let (mut cases, mut pauses) = (Vec::new(), Vec::new());
        for (files, megabytes, database) in [(1200, 80, 70), (12_000, 800, 70), (1200, 80, 700)] {
            let content = self.content(files, 200, megabytes, database);
            let home = Home::new(&self.below, "ext4", content)?;
            let mut case = self.rounds(&home, "ext4", name(content), &[])?;
            case.restores =
                (0..self.rounds).map(|_| home.restore()).collect::<anyhow::Result<_>>()?;
            cases.push(case);
            if pauses.is_empty() {
                pauses = (0..PAUSES).map(|_| home.pause()).collect::<anyhow::Result<_>>()?;
            }
        }
        Ok((cases, pauses))
    }

    fn rounds(
        &self,
        home: &Home,
        file_system: &'static str,
        name: String,
        peers: &[&'static str],
    ) -> anyhow::Result<Case> {
        let peers = peers.iter().map(|it| (*it, Vec::new())).collect();
        let mut case = Case { file_system, home: name, peers, ..Case::default() };
        for round in 1..=self.rounds {
            eprintln!("{file_system}, {}: round {round} of {}", case.home, self.rounds);
            case.backups.push(home.back_up(&home.store_outside())?);
            for (compressor, down) in &mut case.peers {
                down.push(home.stop_and_archive(compressor)?);
            }
        }
        Ok(case)
    }

    fn inside(&self, home: &Home, file_system: &'static str, name: String) -> anyhow::Result<Case> {
        eprintln!("{file_system}, {name}");
        let backups = (0..self.rounds).map(|_| home.back_up(&home.store_inside()));
        let backups = backups.collect::<anyhow::Result<_>>()?;
        Ok(Case { file_system, home: name, backups, ..Case::default() })
    }

    fn content(&self, files: u64, folders: u64, megabytes: u64, database: u64) -> Content {
        Content {
            files: files / self.scale,
            folders: (folders / self.scale).max(1),
            megabytes: megabytes / self.scale,
            database_megabytes: database / self.scale,
        }
    }
}

fn name(content: Content) -> String {
    let Content { files, megabytes, database_megabytes, .. } = content;
    let database = match database_megabytes {
        0 => "small database".to_owned(),
        megabytes => format!("database of {megabytes} MB"),
    };
    format!("{files} files of {megabytes} MB, {database}")
}
