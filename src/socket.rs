//! The socket of the daemon: where it lies, and how it is made.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The environment variable that says where the socket lies.
pub const VARIABLE: &str = "HEARTHKEEP_SOCKET";

/// Its name.
const NAME: &str = "hearthkeep.sock";

/// Where root's lies.
const USUAL: &str = "/run/hearthkeep";

/// Whoever may use it may back up and restore: its owner and its group.
const MODE: u32 = 0o660;

/// Where a command asks: where this user would listen, or else at the socket of the machine's
/// service, whose group may ask it. Nothing where there is no such place.
pub fn path() -> Option<PathBuf> {
    let (own, usual) = (own(), Path::new(USUAL).join(NAME));
    let is_set = std::env::var_os(VARIABLE).is_some_and(|it| !it.is_empty());
    let is_missing = own.as_deref().is_none_or(|it| !it.exists());
    if !is_set && is_missing && usual.exists() { Some(usual) } else { own }
}

/// Where this user listens: as set, where systemd says, or the usual place of root or of the user.
/// Nothing where there is no such place.
pub fn own() -> Option<PathBuf> {
    let variable = |key: &str| std::env::var_os(key).filter(|it| !it.is_empty()).map(PathBuf::from);
    if let Some(path) = variable(VARIABLE) {
        return Some(path);
    }
    if let Some(folder) = variable("RUNTIME_DIRECTORY") {
        return Some(folder.join(NAME));
    }
    if nix::unistd::Uid::effective().is_root() {
        return Some(Path::new(USUAL).join(NAME));
    }
    Some(variable("XDG_RUNTIME_DIR")?.join("hearthkeep").join(NAME))
}

/// Listens. What a daemon has left that is gone makes way.
///
/// # Errors
/// Where another daemon listens there.
pub fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let listening = || format!("listening on {}", path.display());
    anyhow::ensure!(
        UnixStream::connect(path).is_err(),
        "another hearthkeep listens on {}: stop it, or set {VARIABLE} for this one",
        path.display()
    );
    if let Some(folder) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o755).create(folder);
        made.with_context(|| format!("making the folder {}", folder.display()))?;
    }
    // Under another name first, so that nobody ever finds it with other rights, or finds none.
    let draft = path.with_added_extension("new");
    remove(&draft);
    let listener = UnixListener::bind(&draft).with_context(listening)?;
    fs::set_permissions(&draft, Permissions::from_mode(MODE)).with_context(listening)?;
    fs::rename(&draft, path).with_context(listening)?;
    Ok(listener)
}

/// Takes the socket away, so that nobody asks in vain.
pub fn remove(path: &Path) {
    // Where it is gone already, all the better.
    let _ = fs::remove_file(path);
}
