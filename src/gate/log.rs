//! What Home Assistant says of itself while it starts, and what a container said last.

use crate::engine::Engine;

/// Lines of a log in a report.
const LAST_LINES: usize = 20;

/// The last lines that a container printed, in one; empty where there are none.
pub async fn last_words(engine: &Engine, container: &str) -> String {
    let log = engine.log_tail(container, LAST_LINES).await.unwrap_or_default();
    log.trim().replace('\n', " | ")
}

/// The last words at the end of an error.
pub fn and_its_log(last_words: &str) -> String {
    match last_words {
        "" => String::new(),
        said => format!("; its log ends: {said}"),
    }
}

/// What it says when it does not run as it should, and what that means. It answers on its port all
/// the same (home-assistant/core, `homeassistant/bootstrap.py`, `homeassistant/helpers/storage.py` and
/// `homeassistant/components/recorder/util.py`; 2026.2 and 2026.11 say the same).
const COMPLAINTS: [(&str, &str); 3] = [
    ("activating recovery mode", "runs in recovery mode"),
    ("unrecoverable error decoding storage", "has put a file of its own aside as unreadable"),
    ("the system will rename the corrupt database file", "has put its database aside as corrupt"),
];

/// No line that matters is longer.
const LONGEST: usize = 300;

/// Why Home Assistant does not run as it should, with the line of its log that says so, to be read
/// after its name; nothing where it has nothing to complain of.
pub(super) fn complaint(log: &str) -> Option<String> {
    // A message may go on in further lines, and what counts may stand in the last.
    let mut first = "";
    for line in log.lines() {
        if is_message(line) {
            first = line;
        }
        let lower = line.to_lowercase();
        if let Some((_, what)) = COMPLAINTS.iter().find(|(said, _)| lower.contains(said)) {
            let said = if first.is_empty() || first == line {
                line.trim().to_owned()
            } else {
                format!("{} {}", first.trim(), line.trim())
            };
            let said: String = said.chars().take(LONGEST).collect();
            return Some(format!("{what}: {said}"));
        }
    }
    None
}

/// Whether a line begins a message: with its time.
fn is_message(line: &str) -> bool {
    line.starts_with(|it: char| it.is_ascii_digit()) || line.starts_with("\u{1b}[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_home_assistant_complains_of() {
        let check = |log: &str, wanted: Option<&str>| {
            assert_eq!(complaint(log).as_deref(), wanted, "{log}");
        };
        check("", None);
        check("2026-11-25 11:11:12 ERROR (x) [metno] Access to https://x returned error\n", None);
        check(
            "2026-11-25 11:12:51 WARNING (MainThread) [homeassistant.bootstrap] Unable to set up core integrations. Activating recovery mode\n",
            Some(
                "runs in recovery mode: 2026-11-25 11:12:51 WARNING (MainThread) [homeassistant.bootstrap] Unable to set up core integrations. Activating recovery mode",
            ),
        );
        check(
            "2026-11-25 11:11:06 ERROR (x) [homeassistant.bootstrap] Failed to parse configuration.yaml: while parsing\n  in \"/config/configuration.yaml\", line 3, column 5. Activating recovery mode\n2026-11-25 11:11:07 INFO",
            Some(
                "runs in recovery mode: 2026-11-25 11:11:06 ERROR (x) [homeassistant.bootstrap] Failed to parse configuration.yaml: while parsing in \"/config/configuration.yaml\", line 3, column 5. Activating recovery mode",
            ),
        );
        for (line, what) in [
            ("storage version 99 > 1); activating recovery mode", "runs in recovery mode"),
            ("Unrecoverable error decoding storage auth at /config", "has put a file"),
            ("The system will rename the corrupt database file //config", "has put its database"),
        ] {
            let found = complaint(line).expect(line);
            assert!(found.starts_with(what) && found.ends_with(line), "{found}");
        }
    }
}
