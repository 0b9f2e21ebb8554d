//! The exit code of each error.

use std::process::ExitCode;

use super::password::NoPassword;
use crate::archive::OpenError;
use crate::catalog::NoSuchBackup;
use crate::exit::Exit;
use crate::lock::{Busy, Served};
use crate::mapfile::BadMap;
use crate::plan::Refused;
use crate::restore::RolledBack;
use crate::settings::{BadSettings, NoSuchProfile};
use crate::signals::Cancelled;

impl Exit {
    /// The code for an error, whatever context is around it.
    pub fn of(err: &anyhow::Error) -> Exit {
        if let Some(refused) = err.downcast_ref::<Refused>() {
            return match refused {
                Refused::BadLabel { .. } | Refused::UnknownMapped { .. } => Exit::Configuration,
                Refused::NoHome { .. } | Refused::Nothing(_) | Refused::Silent { .. } => {
                    Exit::Failed
                }
                Refused::SeveralHomes { .. }
                | Refused::UnknownHome { .. }
                | Refused::UnknownItem { .. }
                | Refused::BadName { .. }
                | Refused::NotWanted { .. }
                | Refused::BadGlob { .. } => Exit::Usage,
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
        match err {
            _ if err.is::<Cancelled>() => Exit::Cancelled,
            _ if err.is::<NoSuchBackup>() => Exit::NoSuchBackup,
            _ if err.is::<Busy>() || err.is::<Served>() => Exit::Busy,
            _ if err.is::<NoPassword>() => Exit::WrongPassword,
            _ if err.is::<RolledBack>() => Exit::RolledBack,
            _ if err.is::<BadSettings>() || err.is::<BadMap>() => Exit::Configuration,
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
