//! Which Home Assistant can read what another one wrote.
//!
//! Home Assistant brings older data up to date when it starts, and cannot go back: the database of a
//! newer one may not open, and files of `.storage` with a newer layout are refused. Its own restore
//! refuses a newer backup as well (home-assistant/core, `homeassistant/backup_restore.py`).

use crate::companions;
use crate::model::Contents;
use crate::plan::Home;

/// Where the official image is.
const OFFICIAL: &str = "ghcr.io/home-assistant/home-assistant";

/// What comparing the two versions says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Why it should not be restored.
    pub(super) problem: Option<String>,
    /// What is good to know.
    pub(super) note: Option<String>,
}

/// Compares the Home Assistant that made the backup with the one that gets it.
pub(super) fn compare(home: &Home, contents: &Contents, allow_newer: bool) -> Verdict {
    let (Some(backup), Some(ours)) = (&contents.homeassistant_version, &home.version) else {
        return Verdict::default();
    };
    let differ = format!("the backup was made by Home Assistant {backup}, this home has {ours}");
    let is_newer = match (Version::parse(backup), Version::parse(ours)) {
        (Some(backup), Some(ours)) => backup > ours,
        // Nobody knows, which is no reason.
        _ => false,
    };
    match (is_newer, allow_newer) {
        (false, _) if backup == ours => Verdict::default(),
        (false, _) => Verdict { problem: None, note: Some(differ) },
        (true, true) => {
            let note = format!("{differ}, which may not be able to read it");
            Verdict { problem: None, note: Some(note) }
        }
        (true, false) => {
            let problem = format!(
                "{differ}, which may not be able to read it: run it with the image {} first, or insist with --allow-newer",
                fitting_image(&home.homeassistant.image, backup)
            );
            Verdict { problem: Some(problem), note: None }
        }
    }
}

/// The image of that version, from where the home has its own.
fn fitting_image(image: &str, version: &str) -> String {
    let repository = match companions::is_home_assistant(image) {
        true => companions::repository(image),
        // An identifier, or something that a person has built.
        false => OFFICIAL,
    };
    format!("{repository}:{version}")
}

/// A version of Home Assistant: numbers, and what comes before the release of these numbers.
/// Versions that hearthkeep writes where it knows none (`0.0.0`) are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: [u64; 3],
    stage: Stage,
}

/// In the order of their making. `2026.3.0b1` is older than `2026.3.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Dev(u64),
    Alpha(u64),
    Beta(u64),
    Candidate(u64),
    Release,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        // Other publishers add their own number: `2026.3.0-ls12`.
        let text = text.split(['-', '+']).next()?;
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, stage) = text.split_at(end);
        let numbers: Vec<u64> = numbers
            .trim_end_matches('.')
            .split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let numbers = match *numbers.as_slice() {
            [major, minor] => [major, minor, 0],
            [major, minor, patch] => [major, minor, patch],
            _ => return None,
        };
        let stage = Stage::parse(stage)?;
        (numbers != [0; 3]).then_some(Version { numbers, stage })
    }
}

impl Stage {
    fn parse(text: &str) -> Option<Stage> {
        let begin = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (word, number) = text.split_at(begin);
        let number = match number {
            "" => 0,
            number => number.parse().ok()?,
        };
        match word {
            "" => Some(Stage::Release),
            "dev" => Some(Stage::Dev(number)),
            "a" => Some(Stage::Alpha(number)),
            "b" => Some(Stage::Beta(number)),
            "rc" => Some(Stage::Candidate(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_they_were_made() {
        let in_order = [
            "0.118.5",
            "2021.12.10",
            "2022.2.0",
            "2026.2.3",
            "2026.3.0.dev20260101",
            "2026.3.0.dev20260201",
            "2026.3.0a1",
            "2026.3.0b1",
            "2026.3.0b10",
            "2026.3.0rc1",
            "2026.3.0",
            "2026.3.1",
            "2026.10.0",
            "2026.11.0b0",
            "2026.11.0",
        ];
        let parsed = in_order.map(|it| Version::parse(it).unwrap_or_else(|| panic!("{it}")));
        assert!(parsed.is_sorted() && parsed.windows(2).all(|it| it[0] != it[1]), "{parsed:?}");
        for (one, other) in [("2026.3", "2026.3.0"), ("2026.3.0-ls12", "2026.3.0")] {
            assert_eq!(Version::parse(one), Version::parse(other), "{one}");
        }
    }

    #[test]
    fn what_tells_nothing_is_no_version() {
        for text in ["", "0.0.0", "0", "2026", "stable", "2026.x", "2026.3.0zz", "1.2.3.4", "-"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_fitting_image_comes_from_where_the_home_has_its_own() {
        let official = "ghcr.io/home-assistant/home-assistant:2026.11.0";
        for (image, wanted) in [
            ("ghcr.io/home-assistant/home-assistant:stable", official),
            ("ghcr.io/home-assistant/home-assistant@sha256:00ff", official),
            ("homeassistant/home-assistant", "homeassistant/home-assistant:2026.11.0"),
            (
                "registry:5000/linuxserver/homeassistant:latest",
                "registry:5000/linuxserver/homeassistant:2026.11.0",
            ),
            ("sha256:0123", official),
            ("acme/house:1", official),
        ] {
            assert_eq!(fitting_image(image, "2026.11.0"), wanted, "{image}");
        }
    }
}
