//! Which files are being written: what a process has open for writing, or mapped to be written.
//!
//! Only processes that this one may see: all of them on the host, none of the other containers'
//! from inside a container. Whoever is not seen is told by the times of the files.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;

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
    let Ok(descriptors) = fs::read_dir(process.join("fdinfo")) else { return };
    for descriptor in descriptors.flatten() {
        let Ok(text) = fs::read_to_string(descriptor.path()) else { continue };
        let Some(inode) = open_for_writing(&text) else { continue };
        // Before Linux 5.14 it does not tell which file.
        let file = || fs::metadata(process.join("fd").join(descriptor.file_name()));
        inodes.extend(inode.or_else(|| file().ok().filter(Metadata::is_file).map(|it| it.ino())));
    }
}

/// What the kernel tells of a descriptor that is open for writing: its inode, where it tells that.
fn open_for_writing(fdinfo: &str) -> Option<Option<u64>> {
    let value = |key: &str| fdinfo.lines().find_map(|it| it.strip_prefix(key)).map(str::trim);
    let flags = i32::from_str_radix(value("flags:")?, 8).ok()?;
    let is_reader = flags & libc::O_ACCMODE == libc::O_RDONLY;
    (!is_reader).then(|| value("ino:").and_then(|it| it.parse().ok()))
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
    fn reads_descriptors_as_the_kernel_writes_them() {
        let check = |text: &str, wanted: Option<Option<u64>>| {
            assert_eq!(open_for_writing(text), wanted, "{text}");
        };
        check("pos:\t0\nflags:\t0100002\nmnt_id:\t29\nino:\t77\n", Some(Some(77)));
        check("pos:\t0\nflags:\t0100001\nmnt_id:\t29\n", Some(None));
        check("pos:\t0\nflags:\t0100000\nmnt_id:\t29\nino:\t77\n", None);
        check("", None);
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
