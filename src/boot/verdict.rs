//! What a boot test says of the backup, noted beside it.

use std::path::Path;

use jiff::Timestamp;

use super::NotBooted;
use crate::archive::OpenError;
use crate::catalog::Booted;
use crate::island::island;
use crate::journal::Event;
use crate::recover::Desk;

/// What a boot test says of the backup.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Boots,
    /// And why not.
    DoesNot(String),
}

impl Verdict {
    /// The verdict of an outcome; none where what went wrong says nothing of the backup.
    pub(super) fn of<T>(tried: &anyhow::Result<T>) -> Option<Verdict> {
        let err = match tried {
            Ok(_) => return Some(Verdict::Boots),
            Err(err) => err,
        };
        match (err.downcast_ref::<NotBooted>(), err.downcast_ref::<OpenError>()) {
            // Without its log, which may say anything.
            (Some(not), _) => Some(Verdict::DoesNot(not.in_short())),
            (None, Some(OpenError::Damaged { reason, .. })) => {
                Some(Verdict::DoesNot(reason.clone()))
            }
            (None, _) => None,
        }
    }

    /// Notes it beside the backup.
    pub(super) async fn note(
        self,
        desk: &Desk,
        slug: &str,
        backup: &Path,
        seconds: f64,
    ) -> anyhow::Result<()> {
        desk.note(Event::DraftIntended { path: Booted::draft_path(backup).into() }).await?;
        let (passed, reason) = match self {
            Verdict::Boots => (true, None),
            Verdict::DoesNot(reason) => (false, Some(reason)),
        };
        let booted = Booted {
            slug: slug.to_owned(),
            when: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            passed,
            reason,
            seconds,
            hearthkeep: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let backup = backup.to_owned();
        island("noting the result", move || booted.write(&backup)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Cancelled;

    #[test]
    fn only_what_the_backup_is_to_blame_for_is_noted() {
        let verdict = |err: anyhow::Error| Verdict::of::<()>(&Err(err));
        let damaged = OpenError::Damaged { path: "/b.tar".into(), reason: "cut".to_owned() };
        let (container, log) = ("ha".to_owned(), "TOKEN=abc".to_owned());
        let not = NotBooted { container, reason: "it has stopped".to_owned(), log };
        let short = "the backup does not boot: ha: it has stopped";
        assert_eq!(verdict(damaged.into()), Some(Verdict::DoesNot("cut".to_owned())));
        let wrapped = anyhow::Error::from(not).context("something is left; before that");
        assert_eq!(verdict(wrapped), Some(Verdict::DoesNot(short.to_owned())));
        assert_eq!(verdict(Cancelled.into()), None);
        assert_eq!(verdict(OpenError::Other(Cancelled.into()).into()), None);
        assert_eq!(verdict(anyhow::anyhow!("no room")), None);
        assert_eq!(Verdict::of(&Ok(())), Some(Verdict::Boots));
    }
}
