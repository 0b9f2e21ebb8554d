//! The last resort for a container that the engine does not let go on: its freezer, by hand.
//!
//! A command that is begun in a container (`docker exec`, a health check) in the very moment in
//! which it is paused can lock Docker up: the command is frozen before it has begun, and the engine
//! waits for that before it unpauses, for ever (seen with Docker 20.10 and runc 1.1). Once the
//! processes run again the engine answers, but goes on to call the container paused; frozen again by
//! hand, it can be unpaused in the usual way.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where the usual engines keep the freezer of a container, `{}` being its identifier, with the
/// words that thaw and freeze it: both drivers, of both versions of control groups.
const FREEZERS: [(&str, &str, &str); 4] = [
    ("/sys/fs/cgroup/docker/{}/cgroup.freeze", "0", "1"),
    ("/sys/fs/cgroup/system.slice/docker-{}.scope/cgroup.freeze", "0", "1"),
    ("/sys/fs/cgroup/freezer/docker/{}/freezer.state", "THAWED", "FROZEN"),
    ("/sys/fs/cgroup/freezer/system.slice/docker-{}.scope/freezer.state", "THAWED", "FROZEN"),
];

/// Lets the processes of a container go on, whatever the engine thinks of it. From inside a
/// container nothing is done: the freezers of others cannot be seen there.
///
/// # Errors
/// Where a freezer is there, and cannot be written.
pub fn thaw(id: &str) -> io::Result<()> {
    FREEZERS.iter().try_for_each(|(path, thaw, _)| write(&path.replace("{}", id), thaw))
}

/// Freezes the processes of a container that the engine calls paused.
///
/// # Errors
/// As those of [`thaw`].
pub fn freeze(id: &str) -> io::Result<()> {
    FREEZERS.iter().try_for_each(|(path, _, freeze)| write(&path.replace("{}", id), freeze))
}

fn write(path: &str, word: &str) -> io::Result<()> {
    match Path::new(path).exists() {
        true => File::options().write(true).open(path)?.write_all(word.as_bytes()),
        false => Ok(()),
    }
}
