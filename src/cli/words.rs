//! The words of the command line as settings, to go before those of variables and of the file.

use super::args::{Args, Backup, Command, OnMaxHold, Selection};
use crate::log::Form;
use crate::plan;
use crate::settings::{self, Password, Profile, Settings, Variables, Written};

/// The settings of this run, and the job that is meant. What closes an earlier run needs none, and
/// no mistake in them may keep it from that.
pub(super) fn settings(args: &Args) -> anyhow::Result<(Settings, Profile)> {
    if let Command::Resume(_) | Command::Follow { .. } | Command::Guardian = args.command {
        return Ok((Settings::default(), Profile::default()));
    }
    let variables = Variables(&|it| std::env::var_os(it));
    let settings = Settings::load(args.common.config_file().as_deref(), &variables, written(args))?;
    let profile = settings.profile(args.common.profile.as_deref())?.clone();
    Ok((settings, profile))
}

/// Whether the words say what a backup holds or is called.
pub(super) fn chooses(args: &Args) -> bool {
    written(args).chooses()
}

/// The form of the log as its variable says it, for what is told before the settings are read. What
/// is no form is refused when they are.
pub(super) fn log() -> Option<Form> {
    let variable = std::env::var(settings::variable(settings::LOG)).ok()?;
    Form::parse(&variable)
}

fn written(args: &Args) -> Written {
    let common = &args.common;
    let all = Written {
        project: common.project.clone(),
        home: common.home.clone(),
        store: common.store.clone(),
        staging: common.staging.clone(),
        password: common.password_file.clone().map(Password::File),
        ..Written::default()
    };
    match &args.command {
        Command::Plan(selection) => selected(selection, all),
        Command::Backup(Backup { selection, level, format_version, .. }) => {
            Written { level: *level, format_version: *format_version, ..selected(selection, all) }
        }
        Command::Restore(restore) => {
            Written { patience: restore.patience, settle: restore.settle, ..all }
        }
        Command::Verify(verify) => Written { patience: verify.patience, ..all },
        _ => all,
    }
}

fn selected(selection: &Selection, all: Written) -> Written {
    let list = |it: &Vec<String>| (!it.is_empty()).then(|| it.clone());
    Written {
        name: selection.name.clone(),
        only: list(&selection.only),
        exclude: list(&selection.exclude),
        // A flag can only say yes.
        no_database: selection.no_database.then_some(true),
        uncompressed: selection.uncompressed.then_some(true),
        max_hold: selection.max_hold,
        on_max_hold: selection.on_max_hold.map(|it| match it {
            OnMaxHold::Fail => plan::OnMaxHold::Fail,
            OnMaxHold::Continue => plan::OnMaxHold::Continue,
        }),
        ..all
    }
}
