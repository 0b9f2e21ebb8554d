//! The files that passwords lie in: one is read; a new key is put into one, its kit beside it.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use zeroize::Zeroizing;

use crate::fsx::{self, Draft};
use crate::kit;
use crate::secret::Secret;

/// No password is longer; a file that is was named by mistake.
const LIMIT: usize = 16 * 1024;

/// Random bytes for one key: all but never are so many of them passed over that it takes more.
const RANDOM: usize = 64;

/// What the kernel calls this machine.
const HOST: &str = "/proc/sys/kernel/hostname";

/// Where a new key lies.
#[derive(Debug)]
pub struct Made {
    /// The file with nothing but the key.
    pub key_file: PathBuf,
    /// The emergency kit, for a person to keep elsewhere.
    pub kit: PathBuf,
}

/// A file that was named and holds no password. It never tells what the file holds instead.
#[derive(Debug, thiserror::Error)]
#[error("reading the password in {path}: {what}", path = path.display())]
pub struct NoSecret {
    path: PathBuf,
    what: &'static str,
}

/// Reads the password in a file. With it comes a warning where others may read the file too.
///
/// # Errors
/// [`NoSecret`] where the file is missing, or what is in it can be no password; others where it
/// cannot be read.
pub fn read(path: &Path) -> anyhow::Result<(Secret, Option<String>)> {
    let refused = |what| NoSecret { path: path.to_owned(), what };
    let told = |err: io::Error| match err.kind() {
        io::ErrorKind::NotFound => refused(MISSING).into(),
        io::ErrorKind::IsADirectory => refused(FOLDER).into(),
        _ => {
            anyhow::Error::from(err).context(format!("reading the password in {}", path.display()))
        }
    };
    let file = File::open(path).map_err(told)?;
    let status = file.metadata().map_err(told)?;
    // With room for all of it the bytes never move and leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LIMIT));
    file.take(LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    let secret = parse(&bytes).map_err(refused)?;
    Ok((secret, exposed(path, &status)))
}

const MISSING: &str = "there is no such file: `hearthkeep key generate` makes one";
const FOLDER: &str = "it is a folder: name the file, or make it before it is mounted";
const LONG: &str = "it is longer than 16 KiB: name a file with nothing but the password in it";
const NO_TEXT: &str = "it is not UTF-8: name a file with nothing but the password in it";
const EMPTY: &str = "it is empty: put the password into it";

/// The password in the bytes of a file: all of them but one newline at the end.
fn parse(bytes: &[u8]) -> Result<Secret, &'static str> {
    if bytes.len() > LIMIT {
        return Err(LONG);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NO_TEXT)?;
    let password = text.strip_suffix('\n').map_or(text, |it| it.strip_suffix('\r').unwrap_or(it));
    if password.is_empty() {
        return Err(EMPTY);
    }
    Ok(Secret::new(password.to_owned()))
}

/// Where others may read the file: that, and what to do.
fn exposed(path: &Path, status: &Metadata) -> Option<String> {
    let mode = status.permissions().mode() & 0o777;
    // What is not a file (a pipe of the shell, a terminal) has a mode that says nothing.
    if !status.is_file() || mode & 0o077 == 0 || is_kept(path, status) {
        return None;
    }
    let shown = path.display();
    let cure = match path.starts_with(SECRETS) {
        // In there nobody can change it.
        true => format!("chmod 600 the file on the host that is mounted there ({shown})"),
        false => format!("chmod 600 {shown}"),
    };
    Some(format!("{shown} is open to others ({mode:o}): {cure}"))
}

/// Whether others are kept away by something else than the file's mode: a credential by the folder
/// that systemd made for one service, which it may open by a list of rights that shows as the
/// group's; and a secret of Docker that lies in memory or in this very container, where the engine
/// puts it with 444. A file of the host that Compose mounts there is none of these.
fn is_kept(path: &Path, status: &Metadata) -> bool {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|it| !it.is_empty());
    if credentials.is_some_and(|it| path.starts_with(it)) {
        return status.permissions().mode() & 0o007 == 0;
    }
    path.starts_with(SECRETS) && (fsx::is_in_memory(path) || !fsx::is_mounted(path))
}

/// Where Docker puts secrets.
const SECRETS: &str = "/run/secrets";

/// Makes a key, puts it into a new file and its kit beside it. Both are there when it returns, on
/// the disk and for their owner alone, or neither is. Nothing is ever replaced.
pub fn generate(path: &Path, date: &str) -> anyhow::Result<Made> {
    let path = std::path::absolute(path).context("finding the key's file")?;
    // Only for its advice: naming the draft would fail too.
    anyhow::ensure!(
        fs::symlink_metadata(&path).is_err(),
        "{} is already there, and backups may need it: name another file",
        path.display()
    );
    let folder = path.parent().context("finding the folder of the key's file")?;
    make_folder(folder)?;
    let mut number = [0; 2];
    getrandom::fill(&mut number).context("asking for random bytes")?;
    let kit = folder.join(kit::file_name(date, u16::from_ne_bytes(number)));
    let key = new_key()?;
    let key_draft = draft(&path, &[key.expose(), "\n"])?;
    let kit_draft = draft(&kit, &[kit::text(&key, date, &host()).expose()])?;
    let kit = kit_draft.name()?;
    match key_draft.name() {
        Ok(key_file) => Ok(Made { key_file, kit }),
        Err(err) => {
            // A kit of a key that is nowhere would only be taken for another's.
            fsx::remove_if_there(&kit)?;
            Err(err)
        }
    }
}

fn new_key() -> anyhow::Result<Secret> {
    let mut random = Zeroizing::new([0; RANDOM]);
    loop {
        getrandom::fill(&mut *random).context("asking for random bytes")?;
        if let Some(key) = kit::key(&*random) {
            return Ok(key);
        }
    }
}

/// Makes a folder for secrets where it is missing but its parent is there.
fn make_folder(folder: &Path) -> anyhow::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => fsx::sync_folder(folder.parent().unwrap_or(folder)),
        Err(err) if err.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(err) => Err(err).with_context(|| format!("making the folder {}", folder.display())),
    }
}

fn draft(path: &Path, texts: &[&str]) -> anyhow::Result<Draft> {
    let draft = Draft::create_secret(path)?;
    for text in texts {
        draft
            .file()
            .write_all(text.as_bytes())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(draft)
}

/// The machine's name, for a person who looks at several kits.
fn host() -> String {
    let name = fs::read_to_string(HOST).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "homeassistant".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], wanted: Result<&str, &str>) {
        let parsed = parse(bytes);
        match (parsed, wanted) {
            (Ok(secret), Ok(wanted)) => assert_eq!(secret.expose(), wanted),
            (Err(err), Err(wanted)) => assert!(err.contains(wanted), "{err}"),
            (parsed, _) => panic!("{parsed:?} instead of {wanted:?}"),
        }
    }

    #[test]
    fn one_newline_at_the_end_is_no_part_of_a_password() {
        check(b"hunter2", Ok("hunter2"));
        check(b"hunter2\n", Ok("hunter2"));
        check(b"hunter2\r\n", Ok("hunter2"));
        check(b"hunter2\n\n", Ok("hunter2\n"));
        check(b"hunter2\r", Ok("hunter2\r"));
        check(b" hunter 2\t\n", Ok(" hunter 2\t"));
        check("pässwörd\n".as_bytes(), Ok("pässwörd"));
    }

    #[test]
    fn what_can_be_no_password_is_refused() {
        check(b"", Err("empty"));
        check(b"\n", Err("empty"));
        check(b"\r\n", Err("empty"));
        check(b"hunter2\xff\n", Err("not UTF-8"));
        let mut long = vec![b'x'; LIMIT];
        assert!(parse(&long).is_ok());
        long.push(b'\n');
        check(&long, Err("16 KiB"));
    }
}
