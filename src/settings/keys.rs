//! What a key may be, wherever it is written.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::retention::Keep;

/// A day is more than any home can be held, or any restore waited for.
const MOST_SECONDS: f64 = 86_400.0;

/// The file is read by services whose working folder nobody knows.
pub(super) fn absolute(path: PathBuf) -> Result<PathBuf, String> {
    match path.is_absolute() {
        true => Ok(path),
        false => Err(format!("{} must be a whole path, from / on", path.display())),
    }
}

pub(super) fn level(level: u8) -> Result<u8, String> {
    match level {
        1..=9 => Ok(level),
        _ => Err("must be 1 (fastest) to 9 (smallest)".to_owned()),
    }
}

pub(super) fn format_version(version: u8) -> Result<u8, String> {
    match version {
        2 | 3 => Ok(version),
        _ => Err("must be 3, or 2 for a Home Assistant older than 2026.3".to_owned()),
    }
}

/// A number of seconds, for the file, a variable and the command line alike.
///
/// # Errors
/// Where it is no such number.
pub fn seconds(seconds: f64) -> Result<Duration, String> {
    match (0.0..=MOST_SECONDS).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("must be a number of seconds, at most 86400".to_owned()),
    }
}

pub(super) fn keep(keep: Keep) -> Result<Keep, String> {
    match keep.is_nothing() {
        true => Err("must keep something: last, daily, weekly, monthly or days".to_owned()),
        false => Ok(keep),
    }
}

/// `last=7,daily=7`, as a variable has it.
pub(super) fn keep_of(text: &str) -> Result<Keep, String> {
    let wanted = || format!("{text:?} must be like last=7,daily=7,weekly=4,monthly=12,days=30");
    let mut it = Keep::default();
    for rule in text.split(',') {
        let (rule, count) = rule.split_once('=').ok_or_else(wanted)?;
        let count = count.trim().parse().map_err(|_| wanted())?;
        match rule.trim() {
            "last" => it.last = count,
            "daily" => it.daily = count,
            "weekly" => it.weekly = count,
            "monthly" => it.monthly = count,
            "days" => it.days = count,
            _ => return Err(wanted()),
        }
    }
    keep(it)
}

/// A list, or the only word of one.
pub(super) struct Words(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of words")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Words, E> {
        Ok(Words(vec![word.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = seq.next_element()? {
            words.push(word);
        }
        Ok(Words(words))
    }
}
