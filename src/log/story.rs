//! What a job says, line by line, as entries: of a process of the daemon, and of a run of its own.

use std::sync::{Mutex, PoisonError};

use super::{Entry, Kind, Log};
use crate::lines::Line;

/// A job that is under way.
#[derive(Debug)]
pub struct Story {
    log: Log,
    job: String,
    profile: Option<String>,
    ending: Mutex<Ending>,
}

/// What is known of its end.
#[derive(Debug, Default)]
struct Ending {
    /// The first line of what it printed, told once it is known how the job ends.
    headline: Option<String>,
    slug: Option<String>,
    /// Whether it has said why it failed.
    has_failed: bool,
}

impl Story {
    /// The story of the job with this identifier.
    pub fn new(log: Log, job: &str, profile: Option<&str>) -> Story {
        Story {
            log,
            job: job.to_owned(),
            profile: profile.map(str::to_owned),
            ending: Mutex::default(),
        }
    }

    /// It begins; `words` are those of its command.
    pub fn begin(&self, words: &[String]) {
        self.say(Entry::new(Kind::JobBegan, &format!("began {}", words.join(" "))));
    }

    /// Tells what is worth an entry: steps, warnings, and how it ends. What moves bars is not.
    pub fn line(&self, line: &Line) {
        match line {
            Line::Step { step, .. } => self.say(Entry::new(Kind::JobStep, step)),
            Line::Moved { container } => {
                let text = format!("the work goes on in container {container}");
                self.say(Entry::new(Kind::JobStep, &text));
            }
            Line::Warning(warning) => self.say(Entry::new(Kind::JobWarning, warning)),
            Line::Printed { object, text } => {
                let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
                ending.headline = text.lines().next().map(str::to_owned);
                ending.slug = object["slug"].as_str().map(str::to_owned);
            }
            Line::Failed { object, message } => {
                let exit_code = object["exit_code"].as_u64().and_then(|it| it.try_into().ok());
                self.say(Entry { exit_code, ..Entry::new(Kind::JobFailed, message) });
                self.ending.lock().unwrap_or_else(PoisonError::into_inner).has_failed = true;
            }
            Line::Ended(exit_code) => self.end(*exit_code),
            Line::Part(_) | Line::Done(_) | Line::Silence(_) => (),
        }
    }

    /// Done, with or without warnings; or not, and then it may have said so already, or its result
    /// is what is wrong.
    fn end(&self, exit_code: u8) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        let Ending { headline, slug, has_failed } = std::mem::take(&mut *ending);
        let kind = match exit_code {
            0 | 3 => Kind::JobDone,
            _ if has_failed => return,
            _ => Kind::JobFailed,
        };
        let headline = headline.unwrap_or_else(|| format!("ended with exit code {exit_code}"));
        let exit_code = Some(exit_code);
        self.say(Entry { slug: slug.as_deref(), exit_code, ..Entry::new(kind, &headline) });
    }

    /// Tells something else of this job.
    pub fn say(&self, entry: Entry<'_>) {
        let (job, profile) = (Some(self.job.as_str()), self.profile.as_deref());
        self.log.say(&Entry { job, profile, ..entry });
    }
}
