//! Which files are being written: what a process has open for writing, or mapped to be written.
//!
//! Only processes that this one may see: all of them on the host, none of the other containers'
//! from inside a container. Whoever is not seen is told by the times of the files.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// In the permissions of a link below `/proc/*/fd`: the file is open for writing.
const FOR_WRITING: u32 = 0o200;

/// The inodes that some process can write now. Of which file system is not told: btrfs numbers
/// them in two ways, and one that is taken for another is only copied without need.
pub(super) fn inodes() -> HashSet<u64> {
    let mut inodes = HashSet::new();
    let Ok(processes) = fs::read_dir("/proc") else { return inodes };
    for process in processes.flatten() {
        let is_process = process.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if is_process {
            // It may end while it is looked at, or be none of our business.
            add_open(&process.path(), &mut inodes);
            add_mapped(&process.path(), &mut inodes);
        }
    }
    inodes
}

fn add_open(process: &Path, inodes: &mut HashSet<u64>) {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return };
    for descriptor in descriptors.flatten() {
        let link = descriptor.metadata();
        if link.is_ok_and(|it| it.permissions().mode() & FOR_WRITING != 0)
            && let Ok(file) = fs::metadata(descriptor.path())
            && file.is_file()
        {
            inodes.insert(file.ino());
        }
    }
}

fn add_mapped(process: &Path, inodes: &mut HashSet<u64>) {
    let Ok(maps) = fs::read_to_string(process.join("maps")) else { return };
    inodes.extend(maps.lines().filter_map(written_mapping));
}

/// The inode of a line such as `7f…-7f… rw-s 00000000 fe:00 1234  /data/x`.
fn written_mapping(line: &str) -> Option<u64> {
    let mut words = line.split_ascii_whitespace();
    let permissions = words.nth(1)?;
    let inode = words.nth(2)?.parse().ok()?;
    (permissions.starts_with("rw") && permissions.ends_with('s') && inode != 0).then_some(inode)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn reads_mappings_as_the_kernel_writes_them() {
        let check = |line: &str, wanted: Option<u64>| {
            assert_eq!(written_mapping(line), wanted, "{line}");
        };
        check("7f00-7f01 rw-s 00000000 fe:00 1234                       /data/x y", Some(1234));
        check("7f00-7f01 r--s 00000000 fe:00 1234                       /data/x", None);
        check("7f00-7f01 rw-p 00000000 fe:00 1234                       /data/x", None);
        check("7f00-7f01 rw-s 00000000 00:01 0", None);
    }

    #[test]
    fn sees_what_this_process_writes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x");
        let file = File::create(&path).expect("a file");
        let inode = file.metadata().expect("it is there").ino();
        assert!(inodes().contains(&inode));
        drop(file);
        let file = File::open(&path).expect("it is there");
        assert!(!inodes().contains(&inode));
        drop(file);
    }
}
