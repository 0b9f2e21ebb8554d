//! Settings that mean nothing: one line, with the place and the cure.

use std::path::Path;

use serde_saphyr::{Error, Location};

use crate::nearest::nearest;

/// Settings that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct BadSettings {
    /// A file with line and column, or a variable.
    place: String,
    what: String,
}

impl BadSettings {
    pub(super) fn of_variable(name: &str, what: String) -> BadSettings {
        BadSettings { place: name.to_owned(), what }
    }

    /// What stands at a place of a file. Of variables the place is not known, nor needed.
    pub(super) fn at(file: &Path, location: Location, what: String) -> BadSettings {
        let place = match location.line() {
            0 => file.display().to_string(),
            line => format!("{}, line {line}, column {}", file.display(), location.column()),
        };
        BadSettings { place, what }
    }

    pub(super) fn of_yaml(file: &Path, error: &Error) -> BadSettings {
        let error = error.without_snippet();
        BadSettings::at(file, error.location().unwrap_or(Location::UNKNOWN), told(error))
    }
}

/// An error of the parser in the words of whoever wrote the file.
fn told(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("key {key} stands twice"),
        Error::DuplicateMappingKey { key: None, .. } => "a key stands twice".to_owned(),
        Error::Unexpected { expected, .. } if expected.starts_with("mapping") => {
            "keys belong here, each with a colon and a value".to_owned()
        }
        Error::Unexpected { expected, .. } if expected.starts_with("sequence") => {
            "a list belongs here".to_owned()
        }
        Error::Unexpected { expected: "string scalar", .. } => "one value belongs here".to_owned(),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | Error::UnexpectedValueForUnitEnumVariant { .. } => "one value belongs here".to_owned(),
        Error::SerdeInvalidType { expected, .. } => format!("{expected} belongs here"),
        Error::InvalidScalar { ty, .. } if ty.contains("bool") => {
            "must be true or false".to_owned()
        }
        Error::InvalidScalar { .. } => "must be a number".to_owned(),
        Error::UnknownAnchor { .. } => {
            "what begins with * must stand in quotes, such as \"*.mp4\"".to_owned()
        }
        Error::MultipleDocuments { .. } => "a second document begins: leave out the ---".to_owned(),
        other => match bare(&other.to_string()) {
            text if text.contains("found a tab") || text.contains("tabs") => {
                "a tab stands here, and YAML wants spaces".to_owned()
            }
            text => text,
        },
    }
}

fn unknown(what: &str, word: &str, expected: &[&'static str]) -> String {
    match nearest(word, expected.iter().copied()) {
        Some(meant) => format!("unknown {what} {word}, probably {meant}"),
        None => format!("unknown {what} {word}; there are {}", expected.join(", ")),
    }
}

/// Without the place, which the parser puts at the end.
fn bare(text: &str) -> String {
    let text = text.lines().next().unwrap_or_default();
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text).to_owned()
}
