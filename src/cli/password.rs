//! Where a password comes from: a file, the environment, or a person at the terminal. Never the
//! command line, which everybody on the machine can read.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Face;
use super::exit::Mistake;
use crate::island::island;
use crate::keyfile;
use crate::secret::{Secret, VARIABLE};
use crate::signals::Cancelled;

/// An encrypted backup, and nobody said the password.
#[derive(Debug, thiserror::Error)]
#[error("{path} is encrypted: give its password with --password-file or {VARIABLE}", path = path.display())]
pub(super) struct NoPassword {
    path: PathBuf,
}

impl Face {
    /// The password that was set, by file or variable. However often it is asked for, it is read
    /// once, since the file may be a pipe.
    pub(super) async fn password(&self) -> anyhow::Result<Option<Secret>> {
        let password = self.password.get_or_try_init(|| self.read_password()).await?;
        Ok(password.clone())
    }

    async fn read_password(&self) -> anyhow::Result<Option<Secret>> {
        let file = self.common.password_file.clone();
        match Source::of(file, std::env::var_os(VARIABLE))? {
            None => Ok(None),
            Some(Source::Variable(secret)) => Ok(Some(secret)),
            Some(Source::File(path)) => {
                let read = island("reading the password", move || keyfile::read(&path));
                let (secret, warning) = read.await?;
                self.out.warnings(warning.as_slice());
                Ok(Some(secret))
            }
        }
    }

    /// The password of an encrypted backup: the one that was set, else what a person types.
    ///
    /// # Errors
    /// [`NoPassword`] where there is neither.
    pub(super) async fn password_for(&self, backup: &Path) -> anyhow::Result<Secret> {
        if let Some(secret) = self.password().await? {
            return Ok(secret);
        }
        let prompt = format!("Password of {}: ", backup.display());
        let answer = ask(prompt, &self.cancel).await?;
        answer.ok_or_else(|| NoPassword { path: backup.to_owned() }.into())
    }
}

/// Where a password was set.
#[derive(Debug, PartialEq)]
enum Source {
    File(PathBuf),
    Variable(Secret),
}

impl Source {
    fn of(file: Option<PathBuf>, variable: Option<OsString>) -> anyhow::Result<Option<Source>> {
        match (file, variable) {
            (None, None) => Ok(None),
            (Some(file), None) => Ok(Some(Source::File(file))),
            (None, Some(variable)) => {
                // What is in it must not get into the error.
                let text = variable.into_string().ok();
                let text = text.with_context(|| format!("{VARIABLE} is not UTF-8"))?;
                anyhow::ensure!(!text.is_empty(), "{VARIABLE} is empty: set it or unset it");
                Ok(Some(Source::Variable(Secret::new(text))))
            }
            (Some(file), Some(_)) => Err(Mistake(format!(
                "two passwords, in {VARIABLE} and in {}: give one of them",
                file.display()
            ))
            .into()),
        }
    }
}

/// Asks the person at the terminal; nothing where there is none, or no answer.
async fn ask(prompt: String, cancel: &CancellationToken) -> anyhow::Result<Option<Secret>> {
    const ASKING: &str = "asking for the password";
    let stdin = std::io::stdin();
    if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    let was = tcgetattr(&stdin).context(ASKING)?;
    let (answer, answered) = oneshot::channel();
    // No island: the runtime would wait at its end for a thread that may wait for ever.
    thread::Builder::new()
        .name("prompt".to_owned())
        .spawn(move || answer.send(rpassword::prompt_password(prompt)))
        .context(ASKING)?;
    let Some(answer) = cancel.run_until_cancelled(answered).await else {
        // That thread may not come to it any more. A terminal that went away needs nothing.
        let _ = tcsetattr(&stdin, SetArg::TCSANOW, &was);
        let _ = writeln!(std::io::stderr());
        return Err(Cancelled.into());
    };
    match answer.context(ASKING)? {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(Secret::new(text))),
        // Ctrl-C, which is typed while the terminal makes no signal of it.
        Err(err) if err.kind() == ErrorKind::Interrupted => Err(Cancelled.into()),
        // Ctrl-D, or a terminal that went away.
        Err(err) if err.kind() == ErrorKind::UnexpectedEof => {
            let _ = writeln!(std::io::stderr());
            Ok(None)
        }
        Err(err) => Err(err).context(ASKING),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::super::Exit;
    use super::*;

    #[track_caller]
    fn check(file: Option<&str>, variable: Option<&[u8]>, wanted: Result<Option<Source>, &str>) {
        let variable = variable.map(|it| OsString::from_vec(it.to_vec()));
        match (Source::of(file.map(PathBuf::from), variable), wanted) {
            (Ok(source), Ok(wanted)) => assert_eq!(source, wanted),
            (Err(err), Err(wanted)) => {
                let said = format!("{err:?}");
                assert!(said.contains(wanted) && !said.contains("hunter2"), "{said}");
            }
            (source, wanted) => panic!("{source:?} instead of {wanted:?}"),
        }
    }

    #[test]
    fn a_password_is_set_in_one_place() {
        check(None, None, Ok(None));
        check(Some("/key"), None, Ok(Some(Source::File("/key".into()))));
        let secret = Secret::new("hunter2\n".to_owned());
        check(None, Some(b"hunter2\n"), Ok(Some(Source::Variable(secret))));
        check(None, Some(b""), Err("HEARTHKEEP_PASSWORD is empty"));
        check(None, Some(b"hunter2\xff"), Err("HEARTHKEEP_PASSWORD is not UTF-8"));
        check(Some("/key"), Some(b"hunter2"), Err("/key"));
        check(Some("/key"), Some(b""), Err("two passwords"));
    }

    #[test]
    fn each_refusal_has_its_code() {
        let twice = Source::of(Some("/key".into()), Some("hunter2".into()));
        assert_eq!(Exit::of(&twice.expect_err("there are two")), Exit::Usage);
        let err = anyhow::Error::from(NoPassword { path: "/b.tar".into() }).context("verifying");
        assert_eq!(Exit::of(&err), Exit::WrongPassword);
        assert!(format!("{err:#}").contains("/b.tar is encrypted: give its password with"));
    }
}
