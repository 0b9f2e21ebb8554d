//! What a job says, line by line, as entries: of a process of the daemon, and of a run of its own.

use super::{Entry, Kind, Log};
use crate::lines::Line;

/// A job that is under way.
#[derive(Debug)]
pub struct Story {
    log: Log,
    job: String,
    profile: Option<String>,
    /// The result, told once it is known how the job ends.
    printed: Option<Printed>,
    has_failed: bool,
}

#[derive(Debug)]
struct Printed {
    headline: String,
    slug: Option<String>,
}

impl Story {
    /// The story of the job with this identifier.
    pub fn new(log: Log, job: &str, profile: Option<&str>) -> Story {
        Story {
            log,
            job: job.to_owned(),
            profile: profile.map(str::to_owned),
            printed: None,
            has_failed: false,
        }
    }

    /// It begins; `words` are those of its command.
    pub fn begin(&self, words: &[String]) {
        self.say(Entry::new(Kind::JobBegan, &format!("began {}", words.join(" "))));
    }

    /// Tells what is worth an entry: steps, warnings, and how it ends. What moves bars is not.
    pub fn line(&mut self, line: &Line) {
        match line {
            Line::Step { step, .. } => self.say(Entry::new(Kind::JobStep, step)),
            Line::Moved { container } => {
                let text = format!("the work goes on in container {container}");
                self.say(Entry::new(Kind::JobStep, &text));
            }
            Line::Warning(warning) => self.say(Entry::new(Kind::JobWarning, warning)),
            Line::Printed { object, text } => {
                let slug = object["slug"].as_str().map(str::to_owned);
                let headline = text.lines().next().unwrap_or_default().to_owned();
                self.printed = Some(Printed { headline, slug });
            }
            Line::Failed { object, message } => {
                let exit_code = object["exit_code"].as_u64().and_then(|it| it.try_into().ok());
                self.say(Entry { exit_code, ..Entry::new(Kind::JobFailed, message) });
                self.has_failed = true;
            }
            Line::Ended(exit_code) => self.end(*exit_code),
            Line::Part(_) | Line::Done(_) | Line::Silence(_) => (),
        }
    }

    /// Done, with or without warnings; or not, and then it may have said so already, or its result
    /// is what is wrong.
    fn end(&mut self, exit_code: u8) {
        let kind = match exit_code {
            0 | 3 => Kind::JobDone,
            _ if self.has_failed => return,
            _ => Kind::JobFailed,
        };
        let Printed { headline, slug } = self.printed.take().unwrap_or_else(|| Printed {
            headline: format!("ended with exit code {exit_code}"),
            slug: None,
        });
        let exit_code = Some(exit_code);
        self.say(Entry { slug: slug.as_deref(), exit_code, ..Entry::new(kind, &headline) });
    }

    fn say(&self, entry: Entry<'_>) {
        let (job, profile) = (Some(self.job.as_str()), self.profile.as_deref());
        self.log.say(&Entry { job, profile, ..entry });
    }
}
