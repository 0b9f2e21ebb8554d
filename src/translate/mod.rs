//! What was extracted, made ready for life without a Supervisor: host names, logins, keys.
//!
//! Blocking. It changes only what lies in the staging folders, before anything is put in place, so
//! that a restore that is rolled back leaves nothing of it.

mod password;

use std::path::{Path, PathBuf};

use crate::archive;
use crate::companions::handover::{
    self, Change, Clues, Login, MOSQUITTO, PASSWORD_FILE, ToDo, ZWAVE, ZWAVE_SETTINGS,
};
use crate::model::Item;
use crate::swap::Moves;

/// Only whom it is for may read a file of passwords.
const OWN: u32 = 0o600;

/// As whom the broker's image runs it, and that of Z-Wave JS UI.
const BROKER: (u32, u32) = (1883, 1883);
const ROOT: (u32, u32) = (0, 0);

/// Makes the changes; gives what became of each, as a sentence: done, or left to be done.
///
/// # Errors
/// Where what was changed cannot be brought to the disk.
pub fn translate(
    moves: &Moves,
    changes: &[ToDo],
    clues: &Clues,
) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for to_do in changes {
        let Some(change) = &to_do.change else { continue };
        match make(moves, change, clues) {
            Ok(what) => done.push(what),
            Err(err) => left.push(format!("not translated, {err:#}: {to_do}")),
        }
    }
    moves.sync()?;
    Ok((done, left))
}

fn make(moves: &Moves, change: &Change, clues: &Clues) -> anyhow::Result<String> {
    match change {
        Change::Host { item, path, from, to } => {
            let is_json = handover::is_json(path);
            edit(moves, item, path, |it| handover::rename_hosts(it, is_json, from, to))?;
            Ok(format!("{item}: {path}: {from} is {to} now"))
        }
        Change::WithoutAddons { item, path } => {
            edit(moves, item, path, handover::without_addons)?;
            Ok(format!("{item}: {path}: no integration asks for an add-on now"))
        }
        Change::Logins => {
            let lines: Vec<String> =
                clues.logins().iter().map(line).collect::<anyhow::Result<_>>()?;
            add(moves, MOSQUITTO, BROKER, PASSWORD_FILE, lines.concat().as_bytes())?;
            Ok(format!(
                "{}: {} logins are in {}/{PASSWORD_FILE}",
                MOSQUITTO.0,
                lines.len(),
                MOSQUITTO.1
            ))
        }
        Change::ZwaveKeys => {
            let settings = serde_json::to_vec_pretty(&clues.zwave_settings())?;
            add(moves, ZWAVE, ROOT, ZWAVE_SETTINGS, &settings)?;
            Ok(format!("{}: the keys are in {}/{ZWAVE_SETTINGS}", ZWAVE.0, ZWAVE.1))
        }
    }
}

fn edit(
    moves: &Moves,
    item: &Item,
    path: &str,
    change: impl Fn(&str) -> String,
) -> anyhow::Result<()> {
    let place = moves.place_of(item, Path::new(path));
    let (folder, path) = place.ok_or_else(|| anyhow::anyhow!("it goes nowhere"))?;
    archive::edit(&folder, &path, |old| Some(change(old)).filter(|new| new != old))
}

/// Adds a file to the data of an add-on's container.
fn add(
    moves: &Moves,
    (id, data): (&str, &str),
    program: (u32, u32),
    name: &str,
    content: &[u8],
) -> anyhow::Result<()> {
    let place = moves.place_at(&Item::Companion(id.to_owned()), Path::new(data));
    let (folder, root): (PathBuf, PathBuf) =
        place.ok_or_else(|| anyhow::anyhow!("nothing goes to {data}"))?;
    archive::add(&folder, &root.join(name), content, OWN, program)
}

/// A login as a line of Mosquitto's own file.
fn line(login: &Login) -> anyhow::Result<String> {
    let mut salt = [0; password::SALT_BYTES];
    getrandom::fill(&mut salt)?;
    Ok(format!("{}:{}\n", login.name, password::hash(login.password.expose(), &salt)))
}
