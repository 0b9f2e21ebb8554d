//! A home on a file system of its own; both gone with their guards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde_json::Value;

use super::command::{finish, run};
use super::disk::Disk;
use super::measure::timed;

/// Only its Python is used here; `tests/lab/images` makes it.
const IMAGE: &str = "hearthkeep-lab/homeassistant:2026.2.3";

/// Long enough for a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Room for the largest home, what is staged of it and a backup inside; nothing takes it before.
const DISK_BYTES: u64 = 12_000_000_000;

/// What lies in a home.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(crate) files: u64,
    pub(crate) folders: u64,
    /// Of the files, all together.
    pub(crate) megabytes: u64,
    /// Of the database; none where this is 0.
    pub(crate) database_megabytes: u64,
}

/// What one backup reported, and its peak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backup {
    pub(crate) hold_seconds: f64,
    pub(crate) seconds: f64,
    pub(crate) peak_mib: f64,
}

/// A container whose `/config` is a folder of a disk.
pub(crate) struct Home {
    name: String,
    config: PathBuf,
    scratch: tempfile::TempDir,
    _disk: Disk, // after the container, which is removed by then
}

impl Home {
    pub(crate) fn new(below: &Path, file_system: &str, content: Content) -> anyhow::Result<Home> {
        let disk = Disk::new(below, file_system, DISK_BYTES)?;
        let config = disk.path().join("config");
        fs::create_dir(&config)?;
        let scratch = tempfile::tempdir_in(below)?;
        let name = format!("hearthkeep-bench-{}", std::process::id());
        let home = Home { name, config, scratch, _disk: disk };
        let Content { files, folders, megabytes, database_megabytes } = content;
        let numbers = [files, folders, megabytes, database_megabytes].map(|it| it.to_string());
        let mut words = vec!["fill", "/config"];
        words.extend(numbers.iter().map(String::as_str));
        home.run(&["--rm"], &words).context("filling the home")?;
        let begin = SystemTime::now();
        home.run(&["--detach"], &["write", "/config/home-assistant_v2.db"])?;
        home.wait_for_writer(begin)?;
        Ok(home)
    }

    /// Runs `home.py` in a container.
    fn run(&self, options: &[&str], words: &[&str]) -> anyhow::Result<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/hold/home.py");
        let script = format!("{}:/home.py:ro", script.display());
        let config = format!("{}:/config", self.config.display());
        let mut all = vec!["docker", "run", "--name", &self.name, "--network", "none"];
        all.extend(["--label", "io.hearthkeep.test=1", "--label", "hearthkeep.role=homeassistant"]);
        all.extend(["--volume", &config, "--volume", &script, "--entrypoint", "python3"]);
        all.extend(options);
        all.extend([IMAGE, "/home.py"]);
        all.extend(words);
        run(&all)
    }

    /// Waits until the container writes, and can be stopped: until then it ignores signals.
    fn wait_for_writer(&self, begin: SystemTime) -> anyhow::Result<()> {
        let journal = self.config.join("home-assistant_v2.db-wal");
        let written = || fs::metadata(&journal).and_then(|it| it.modified());
        while written().ok().is_none_or(|it| it < begin) {
            let waited = begin.elapsed().unwrap_or_default();
            anyhow::ensure!(waited < DEADLINE, "{} does not write its database", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The default store, in which every round's backup takes room until it is removed.
    pub(crate) fn store_inside(&self) -> PathBuf {
        self.config.join("backups")
    }

    /// A store on the machine's own disk.
    pub(crate) fn store_outside(&self) -> PathBuf {
        self.scratch.path().join("store")
    }

    /// Backs the home up with the program and removes the backup.
    pub(crate) fn back_up(&self, store: &Path) -> anyhow::Result<Backup> {
        let (path, backup) = self.back_up_to(store)?;
        fs::remove_file(path)?;
        Ok(backup)
    }

    fn back_up_to(&self, store: &Path) -> anyhow::Result<(PathBuf, Backup)> {
        let store = store.display().to_string();
        let (report, peak_kib) = self.hearthkeep(&["backup", "--store", &store])?;
        let path = report["path"].as_str().context("the report has no path")?.into();
        let backup = Backup {
            hold_seconds: seconds(&report, "longest_hold_seconds")?,
            seconds: seconds(&report, "duration_seconds")?,
            peak_mib: peak_kib / 1024.0,
        };
        Ok((path, backup))
    }

    /// Backs the home up and restores it; gives for how long it was down.
    pub(crate) fn restore(&self) -> anyhow::Result<f64> {
        let (path, _) = self.back_up_to(&self.store_outside())?;
        let backup = path.display().to_string();
        // Nothing in here answers on a port, before and after.
        let (report, _) = self.hearthkeep(&["restore", &backup, "--yes", "--patience", "1"])?;
        fs::remove_file(path)?;
        seconds(&report, "longest_hold_seconds")
    }

    /// Runs the program for this home; gives its report and its peak in KiB.
    fn hearthkeep(&self, words: &[&str]) -> anyhow::Result<(Value, f64)> {
        nix::unistd::sync();
        let report = self.scratch.path().join("report");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("measure").arg(&report).arg(env!("CARGO_BIN_EXE_hearthkeep"));
        command.args(["--json", "--quiet", "--home", &self.name]).args(words);
        command.env("HEARTHKEEP_STATE", self.scratch.path().join("state"));
        // 3 is: done, with warnings.
        let peak_kib = finish(&mut command, &[0, 3])?.parse()?;
        let report: Value = serde_json::from_slice(&fs::read(report)?)?;
        for warning in report["warnings"].as_array().into_iter().flatten() {
            eprintln!("  warning: {}", warning.as_str().unwrap_or_default());
        }
        Ok((report, peak_kib))
    }

    /// What peers do: stop, archive, start. Gives how long the home was down.
    pub(crate) fn stop_and_archive(&self, compressor: &str) -> anyhow::Result<f64> {
        nix::unistd::sync();
        let file = self.scratch.path().join("peer.tar.gz");
        let line = format!("tar -C \"$0\" --exclude=./backups -cf - . | {compressor} >\"$1\"");
        let begin = SystemTime::now();
        let (config, path) = (self.config.display().to_string(), file.display().to_string());
        let down = timed(|| {
            run(&["docker", "stop", "--time", "10", &self.name])?;
            run(&["bash", "-o", "pipefail", "-c", &line, &config, &path])?;
            run(&["docker", "start", &self.name])
        })?;
        fs::remove_file(file)?;
        self.wait_for_writer(begin + Duration::from_secs_f64(down))?;
        Ok(down)
    }

    /// Pauses and lets go, with nothing between.
    pub(crate) fn pause(&self) -> anyhow::Result<f64> {
        timed(|| {
            run(&["docker", "pause", &self.name])?;
            run(&["docker", "unpause", &self.name])
        })
    }
}

fn seconds(report: &Value, key: &str) -> anyhow::Result<f64> {
    report[key].as_f64().with_context(|| format!("the report has no {key}"))
}

impl Drop for Home {
    fn drop(&mut self) {
        _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output();
    }
}
