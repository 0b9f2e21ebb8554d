//! A file system in a file; gone with its guard.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::run;

/// A mounted file system in a file.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Nothing takes its `bytes` before they are used.
    pub(crate) fn new(below: &Path, file_system: &str, bytes: u64) -> anyhow::Result<Disk> {
        let disk = Disk { folder: tempfile::tempdir_in(below)? };
        let image = disk.folder.path().join("image");
        File::create(&image)?.set_len(bytes)?;
        fs::create_dir(disk.path())?;
        let quiet: &[&str] = if file_system == "ext4" { &["-q", "-F"] } else { &["-q"] };
        let (program, image) = (format!("mkfs.{file_system}"), image.display().to_string());
        run(&[&[program.as_str()], quiet, &[&image]].concat())?;
        run(&["mount", "-o", "loop", &image, &disk.path().display().to_string()])?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The loop device goes with the mount. Lazily, as the system may still be busy with it.
        _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}
