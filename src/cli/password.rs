//! Where a password comes from: what the settings name, or a person at the terminal. Never the
//! command line, which everybody on the machine can read.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Face;
use crate::island::island;
use crate::keyfile;
use crate::secret::{Secret, VARIABLE};
use crate::settings::Password;
use crate::signals::Cancelled;

/// An encrypted backup, and nobody said the password.
#[derive(Debug, thiserror::Error)]
#[error("{path} is encrypted: give its password with --password-file or {VARIABLE}", path = path.display())]
pub(super) struct NoPassword {
    path: PathBuf,
}

impl Face {
    /// The password that was set, by file, variable or credential. However often it is asked for,
    /// it is read once, since the file may be a pipe.
    pub(super) async fn password(&self) -> anyhow::Result<Option<Secret>> {
        let password = self.password.get_or_try_init(|| self.read_password()).await?;
        Ok(password.clone())
    }

    async fn read_password(&self) -> anyhow::Result<Option<Secret>> {
        match self.profile.password.clone() {
            None => Ok(None),
            Some(Password::Known(secret)) => Ok(Some(secret)),
            Some(Password::File(path)) => {
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

/// Whether a person is at the terminal.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks the person at the terminal; nothing where there is none, or no answer.
async fn ask(prompt: String, cancel: &CancellationToken) -> anyhow::Result<Option<Secret>> {
    const ASKING: &str = "asking for the password";
    if !can_ask() {
        return Ok(None);
    }
    let stdin = std::io::stdin();
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
    use super::super::Exit;
    use super::*;

    #[test]
    fn a_missing_password_has_its_code() {
        let err = anyhow::Error::from(NoPassword { path: "/b.tar".into() }).context("verifying");
        assert_eq!(Exit::of(&err), Exit::WrongPassword);
        assert!(format!("{err:#}").contains("/b.tar is encrypted: give its password with"));
    }
}
