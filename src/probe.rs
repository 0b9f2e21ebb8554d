//! What `check` has to try on this machine, since no description of it tells.

use std::path::Path;

use anyhow::Context;
use jiff::tz::TimeZone;

use crate::findings::Zone;
use crate::fsx::Draft;

/// What lies in a folder for as long as it takes to see that it can be written.
const TRIAL: &str = ".hearthkeep-check";

/// The time zone of this process.
pub fn zone() -> Zone {
    let variable = std::env::var("TZ").ok().filter(|it| !it.is_empty());
    // A colon in front says that it is a name or a path, and no rule.
    let name = variable.as_deref().map(|it| it.trim_start_matches(':'));
    let is_zone = |it: &str| {
        Path::new(it).is_absolute() || TimeZone::get(it).is_ok() || TimeZone::posix(it).is_ok()
    };
    Zone {
        is_known: name.is_some_and(is_zone),
        name: TimeZone::system().iana_name().map(str::to_owned),
        has_localtime: Path::new("/etc/localtime").exists(),
        variable,
    }
}

/// Makes a file in a folder and removes it again; where the folder is yet to be made, in the one
/// that it will be in.
///
/// # Errors
/// Where that cannot be done.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    let there = folder.ancestors().find(|it| it.is_dir());
    let there = there.with_context(|| format!("no folder around {}", folder.display()))?;
    let draft = Draft::create(&there.join(TRIAL))?;
    drop(draft);
    Ok(())
}
