//! The exit code of each error.

use std::process::ExitCode;

use super::daemon::Refused;
use super::password::NoPassword;
use crate::archive::OpenError;
use crate::catalog::NoSuchBackup;
use crate::exit::Exit;
use crate::keyfile::NoSecret;
use crate::lock::{Busy, Served};
use crate::mapfile::BadMap;
use crate::plan;
use crate::restore::RolledBack;
use crate::settings::{BadSettings, NoSuchProfile};
use crate::signals::Cancelled;

impl Exit {
    /// All of them.
    const ALL: [Exit; 11] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::DoneWithWarnings,
        Exit::NoSuchBackup,
        Exit::Busy,
        Exit::WrongPassword,
        Exit::RolledBack,
        Exit::Damaged,
        Exit::Configuration,
        Exit::Cancelled,
    ];

    /// How another process of ours ended.
    pub fn of_code(code: u8) -> Exit {
        Exit::ALL.into_iter().find(|it| *it as u8 == code).unwrap_or(Exit::Failed)
    }

    /// The code for an error, whatever context is around it.
    pub fn of(err: &anyhow::Error) -> Exit {
        if let Some(refused) = err.downcast_ref::<plan::Refused>() {
            return match refused {
                plan::Refused::BadLabel { .. } | plan::Refused::UnknownMapped { .. } => {
                    Exit::Configuration
                }
                plan::Refused::NoHome { .. }
                | plan::Refused::Nothing(_)
                | plan::Refused::Silent { .. } => Exit::Failed,
                plan::Refused::SeveralHomes { .. }
                | plan::Refused::UnknownHome { .. }
                | plan::Refused::UnknownItem { .. }
                | plan::Refused::BadName { .. }
                | plan::Refused::NotWanted { .. }
                | plan::Refused::BadGlob { .. } => Exit::Usage,
            };
        }
        match err.downcast_ref::<OpenError>() {
            Some(OpenError::NotABackup { .. } | OpenError::Damaged { .. }) => return Exit::Damaged,
            Some(OpenError::Other(inner)) => return Exit::of(inner),
            Some(OpenError::Encrypted { .. } | OpenError::WrongPassword { .. }) => {
                return Exit::WrongPassword;
            }
            None => (),
        }
        if let Some(refused) = err.downcast_ref::<Refused>() {
            return refused.exit();
        }
        match err {
            _ if err.is::<Cancelled>() => Exit::Cancelled,
            _ if err.is::<NoSuchBackup>() => Exit::NoSuchBackup,
            _ if err.is::<Busy>() || err.is::<Served>() => Exit::Busy,
            _ if err.is::<NoPassword>() => Exit::WrongPassword,
            _ if err.is::<RolledBack>() => Exit::RolledBack,
            _ if err.is::<BadSettings>() || err.is::<BadMap>() || err.is::<NoSecret>() => {
                Exit::Configuration
            }
            _ if err.is::<NoSuchProfile>() || err.is::<Mistake>() => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A request that only a person at a terminal, or another word, could complete.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Mistake(pub(super) String);
