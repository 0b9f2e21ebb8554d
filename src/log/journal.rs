//! Entries for systemd's journal, in its own protocol, so that they keep their fields.

use std::fmt;
use std::io;

use log_facade as facade;
use systemd_journal_logger::JournalLog;

use super::{Entry, Level};

/// Whether standard error goes to the journal, as that of a unit does.
pub(super) use systemd_journal_logger::connected_to_journal as is_standard_error;

/// What its entries are found by: `journalctl -t hearthkeep`.
const IDENTIFIER: &str = "hearthkeep";

/// A connection to the journal.
pub(super) struct Journal(JournalLog);

impl Journal {
    pub(super) fn connect() -> io::Result<Journal> {
        Ok(Journal(JournalLog::empty()?.with_syslog_identifier(IDENTIFIER.to_owned())))
    }

    pub(super) fn say(&self, entry: &Entry<'_>) -> io::Result<()> {
        let exit_code = entry.exit_code.map(|it| it.to_string());
        let fields = [
            ("MESSAGE_ID", Some(entry.kind.id())),
            ("HEARTHKEEP_KIND", Some(entry.kind.word())),
            ("HEARTHKEEP_JOB", entry.job),
            ("HEARTHKEEP_PROFILE", entry.profile),
            ("HEARTHKEEP_SLUG", entry.slug),
            ("HEARTHKEEP_EXIT_CODE", exit_code.as_deref()),
        ];
        let known = fields.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let fields: Vec<(&str, &str)> = known.collect();
        self.0.journal_send(
            &facade::Record::builder()
                .args(format_args!("{}", entry.text))
                .level(priority(entry.level))
                .target(IDENTIFIER)
                .key_values(&fields)
                .build(),
        )
    }
}

/// The word that the library makes the right priority of: its `Info` is the journal's notice, 5.
fn priority(level: Level) -> facade::Level {
    match level {
        Level::Info => facade::Level::Debug,
        Level::Warning => facade::Level::Warn,
        Level::Error => facade::Level::Error,
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Journal")
    }
}
