//! `hearthkeep serve`.

use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::Notify;

use super::args::{Args, Common};
use super::{Exit, runtime, words};
use crate::daemon::{self, Service};
use crate::log::Log;
use crate::program::Surroundings;
use crate::secret::{self, Secret};
use crate::{settings, signals, systemd};

/// Serves until a signal ends it.
pub(super) fn run(args: Args, log: &Log) -> anyhow::Result<Exit> {
    // First of all, since it changes the environment.
    let listener: Option<UnixListener> = systemd::listener()?;
    let reload = Arc::new(Notify::new());
    let on_hangup = reload.clone();
    let stop = signals::service(move || on_hangup.notify_one())?;
    let state = std::path::absolute(args.common.state_folder()?);
    let surroundings = Surroundings {
        state: state.context("finding the state folder")?,
        variables: variables(&args.common)?,
    };
    let password = std::env::var(secret::VARIABLE).ok().filter(|it| !it.is_empty());
    let service = Service {
        surroundings,
        password: password.map(Secret::new),
        listener,
        log: log.clone(),
        remarks: strange_variables(),
        load: Arc::new(move || words::settings(&args).map(|(settings, _)| settings)),
        stop,
        reload,
    };
    runtime()?.block_on(daemon::run(service))?;
    Ok(Exit::Done)
}

/// What looks like a setting in the environment and is none.
fn strange_variables() -> Vec<String> {
    let names: Vec<String> =
        std::env::vars_os().filter_map(|(key, _)| key.into_string().ok()).collect();
    let all = settings::unknown_variables(names.iter().map(String::as_str)).into_iter();
    all.map(|(name, meant)| match meant {
        Some(meant) => format!("variable {name} is no setting, probably {meant}"),
        None => format!("variable {name} is no setting: unset it"),
    })
    .collect()
}

/// What the words say for every job, as variables.
fn variables(common: &Common) -> anyhow::Result<Vec<(String, OsString)>> {
    let absolute = |path: &std::path::PathBuf| {
        std::path::absolute(path)
            .map(std::path::PathBuf::into_os_string)
            .context("finding a folder")
    };
    let text = |it: &String| Ok(OsString::from(it));
    let all = [
        (settings::FILE.to_owned(), common.config_file().as_ref().map(absolute)),
        (settings::variable("project"), common.project.as_ref().map(text)),
        (settings::variable("home"), common.home.as_ref().map(text)),
        (settings::variable("store"), common.store.as_ref().map(absolute)),
        (settings::variable("staging"), common.staging.as_ref().map(absolute)),
        (settings::variable("password-file"), common.password_file.as_ref().map(absolute)),
    ];
    all.into_iter().filter_map(|(key, value)| Some(value?.map(|it| (key, it)))).collect()
}
