//! The last resort for a container that the engine does not let go on: its freezer, by hand.
//!
//! A command that is begun in a container (`docker exec`, a health check) in the very moment in
//! which it is paused can lock Docker up: the pause waits for nobody, but the command freezes before
//! it has begun, and the engine waits for that before it unpauses (seen with Docker 20.10 and runc
//! 1.1). Once the processes run again, so does the engine.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Where the usual engines keep the freezer of a container, `{}` being its identifier, and what
/// thaws it: both drivers, of both versions of control groups.
const FREEZERS: [(&str, &str); 4] = [
    ("/sys/fs/cgroup/docker/{}/cgroup.freeze", "0"),
    ("/sys/fs/cgroup/system.slice/docker-{}.scope/cgroup.freeze", "0"),
    ("/sys/fs/cgroup/freezer/docker/{}/freezer.state", "THAWED"),
    ("/sys/fs/cgroup/freezer/system.slice/docker-{}.scope/freezer.state", "THAWED"),
];

/// Lets the processes of a container go on, whatever the engine thinks of it; gives whether there
/// was anything to thaw. From inside a container there never is.
///
/// # Errors
/// Where a freezer is there, and cannot be written.
pub fn thaw(id: &str) -> io::Result<bool> {
    let mut thawed = false;
    for (path, word) in FREEZERS {
        let path = path.replace("{}", id);
        if Path::new(&path).exists() {
            File::options().write(true).open(&path)?.write_all(word.as_bytes())?;
            thawed = true;
        }
    }
    Ok(thawed)
}
