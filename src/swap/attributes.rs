//! What a folder has beside its content, read and set.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::journal::Attributes;

/// What a folder has now.
pub(super) fn attributes(folder: &Path) -> anyhow::Result<Attributes> {
    let status = fs::symlink_metadata(folder);
    let status = status.with_context(|| format!("reading {}", folder.display()))?;
    Ok(Attributes {
        user: status.uid(),
        group: status.gid(),
        mode: status.mode() & 0o7777,
        modified: status.mtime(),
        nanos: u32::try_from(status.mtime_nsec()).unwrap_or_default(),
    })
}

/// Gives them to a folder.
pub(super) fn stamp(folder: &Path, like: Attributes) -> anyhow::Result<()> {
    let setting = || format!("setting the attributes of {}", folder.display());
    match std::os::unix::fs::chown(folder, Some(like.user), Some(like.group)) {
        Err(err) if err.kind() != ErrorKind::PermissionDenied => {
            return Err(err).with_context(setting);
        }
        // Without the right to give files away they stay with whoever restores.
        _ => (),
    }
    fs::set_permissions(folder, Permissions::from_mode(like.mode)).with_context(setting)?;
    let times = fs::FileTimes::new().set_modified(time(like));
    File::open(folder).and_then(|it| it.set_times(times)).with_context(setting)
}

fn time(like: Attributes) -> SystemTime {
    let seconds = Duration::from_secs(like.modified.unsigned_abs());
    let second = if like.modified < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
    second + Duration::from_nanos(like.nanos.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gets_what_it_had() {
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, modified) in [(0o700, 1_700_000_000), (0o2755, -5), (0o1777, 0)] {
            let (user, group, nanos) = (1000, 1883, 123_456_789);
            let wanted = Attributes { user, group, mode, modified, nanos };
            stamp(folder.path(), wanted).expect("these tests need root");
            assert_eq!(attributes(folder.path()).expect("it is there"), wanted);
        }
    }
}
