//! `hearthkeep check`.

use serde::Serialize;

use super::render::table;
use super::{Exit, Face};
use crate::check;
use crate::findings::{Finding, Level};
use crate::settings::{self, Profile};

#[derive(Debug, Serialize)]
struct View {
    findings: Vec<Finding>,
    n_errors: usize,
    n_warnings: usize,
}

pub(super) async fn run(face: &Face) -> anyhow::Result<Exit> {
    let jobs: Vec<&Profile> = match face.common.profile {
        Some(_) => vec![&face.profile],
        None => face.settings.jobs().collect(),
    };
    let mut findings = of_settings(face);
    findings.extend(check::run(&jobs, &face.common.state_folder()?, face.monitor()).await?);
    let n_of = |level| findings.iter().filter(|it| it.level == level).count();
    let (n_errors, n_warnings) = (n_of(Level::Error), n_of(Level::Warning));
    let view = View { findings, n_errors, n_warnings };
    face.out.print(&view, || text(&view));
    Ok(match (n_errors, n_warnings) {
        (0, 0) => Exit::Done,
        (0, _) => Exit::DoneWithWarnings,
        (_, _) => Exit::Failed,
    })
}

/// What can be said of the settings, which were read already.
fn of_settings(face: &Face) -> Vec<Finding> {
    let about = "settings";
    let what = match &face.settings.file {
        Some(file) => format!("{} can be read", file.display()),
        None => format!("no file; {} would be it", settings::USUAL),
    };
    let mut findings = vec![Finding::new(Level::Ok, about, what)];
    let names: Vec<String> =
        std::env::vars_os().filter_map(|(key, _)| key.into_string().ok()).collect();
    for (name, meant) in settings::unknown_variables(names.iter().map(String::as_str)) {
        let finding = Finding::new(Level::Warning, about, format!("variable {name} is no setting"));
        findings.push(finding.cured_by(match meant {
            Some(meant) => format!("probably {meant}"),
            None => "unset it".to_owned(),
        }));
    }
    let has_profiles = face.settings.jobs().any(|it| !it.profile.is_empty());
    let is_set =
        |key: &&&str| std::env::var_os(settings::variable(key)).is_some_and(|it| !it.is_empty());
    for key in settings::KEYS
        .iter()
        .filter(|it| **it != settings::LOG)
        .filter(is_set)
        .filter(|_| has_profiles)
    {
        let what = format!("{} goes before the {key} of every profile", settings::variable(key));
        let cure =
            format!("write {key} at the top of the file, for the profiles that say nothing else");
        findings.push(Finding::new(Level::Note, about, what).cured_by(cure));
    }
    findings
}

fn text(view: &View) -> String {
    let mut text = String::new();
    let rows = view.findings.iter().map(|it| {
        let level = match it.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let cure = it.cure.as_ref().map(|it| format!(" → {it}")).unwrap_or_default();
        vec![level.to_owned(), it.about.clone(), format!("{}{cure}", it.what)]
    });
    text += &table(&rows.collect::<Vec<_>>());
    text += &match (view.n_errors, view.n_warnings) {
        (0, 0) => "everything is in place".to_owned(),
        (errors, warnings) => format!("{errors} errors, {warnings} warnings"),
    };
    text
}
