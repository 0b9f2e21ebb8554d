//! The words of the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum, value_parser};

/// Backs up and restores a Home Assistant Container home, companions included.
#[derive(Debug, Parser)]
#[command(name = "hearthkeep", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "What most options say can be said by a variable (HEARTHKEEP_MAX_HOLD for --max-hold) or in \
/etc/hearthkeep/config.yaml, too: the option goes before the variable, the variable before the file."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Common {
    /// The file of settings [variable: HEARTHKEEP_CONFIG] [default: /etc/hearthkeep/config.yaml,
    /// where it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A job of the settings
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// The Compose project of the home; needed where several Home Assistants run
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) project: Option<String>,
    /// The container of Home Assistant, by name or identifier
    #[arg(long, global = true, value_name = "CONTAINER")]
    pub(super) home: Option<String>,
    /// The folder of backups [default: `backups` in Home Assistant's configuration]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) store: Option<PathBuf>,
    /// The file that holds the password of encrypted backups, and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print no progress
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// The folder for copies: of what changes, during a backup [default: where there is room]; of
    /// databases, while a backup is verified [default: that for temporary files]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(super) staging: Option<PathBuf>,
    /// The folder of hearthkeep's own state
    #[arg(long, global = true, hide = true, value_name = "FOLDER")]
    state: Option<PathBuf>,
}

impl Common {
    /// The file of settings that was named.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| variable("HEARTHKEEP_CONFIG"))
    }

    /// The state folder: as set, as systemd gives it, or the usual one of root or of the user.
    pub(super) fn state_folder(&self) -> anyhow::Result<PathBuf> {
        let set = self.state.clone().or_else(|| variable("HEARTHKEEP_STATE"));
        if let Some(state) = set.or_else(|| variable("STATE_DIRECTORY")) {
            return Ok(state);
        }
        if nix::unistd::Uid::effective().is_root() {
            return Ok("/var/lib/hearthkeep".into());
        }
        let base = variable("XDG_STATE_HOME");
        let base = base.or_else(|| Some(variable("HOME")?.join(".local/state")));
        Ok(base.context("no place for the state: set HEARTHKEEP_STATE")?.join("hearthkeep"))
    }
}

/// A path in the environment. One that is empty counts as not set, as Compose files often leave
/// them.
fn variable(key: &str) -> Option<PathBuf> {
    std::env::var_os(key).filter(|it| !it.is_empty()).map(PathBuf::from)
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show what a backup would hold, who is held for it, and what is left out
    Plan(Selection),
    /// Back up the home
    Backup(Backup),
    /// List the backups
    List,
    /// Show what a backup holds
    Show(OneBackup),
    /// Read a backup to its end, look into its databases, and name what is damaged
    Verify(Verify),
    /// List the files in a backup
    Ls(Ls),
    /// Print a file of a backup
    Cat(Cat),
    /// Take files and folders out of a backup
    Extract(Extract),
    /// Tell what is different in another backup, or in the home as it is now
    Diff(Diff),
    /// Copy a backup out of the store
    Export(Export),
    /// Copy a file into the store, once it is known to be whole
    Import(Import),
    /// Remove a backup for good
    Remove(OneBackup),
    /// Restore a backup: stop, put the data back, start, and wait for Home Assistant
    Restore(Restore),
    /// Make the key that encrypts backups
    #[command(subcommand)]
    Key(Key),
    /// Remove what the settings do not keep
    Prune(Prune),
    /// Keep a backup until it is unpinned, whatever the settings say
    Pin(OneBackup),
    /// Let the settings decide on a backup again
    Unpin(OneBackup),
    /// Look whether everything is in place, and say what to do where it is not
    Check,
    /// Tell how things stand: what runs, how the last runs ended, what comes next, what needs a look
    Status(Status),
    /// Close what an interrupted run left open: release what it held, take back its restore, remove
    /// its unfinished files
    Resume(Resume),
    /// Serve: do what is asked for on a socket and what is due, one thing at a time
    #[command(
        after_help = "SIGTERM ends it in good order, a second one at once; SIGHUP has it read the settings again. It \
listens on the socket that systemd hands to it, on HEARTHKEEP_SOCKET, or on /run/hearthkeep/hearthkeep.sock; who \
is not root, on hearthkeep/hearthkeep.sock in XDG_RUNTIME_DIR."
    )]
    Serve,
    /// Print what makes a shell complete the words of hearthkeep
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual, a page for each command
    Man {
        /// A folder that exists, such as /usr/local/share/man/man1
        folder: PathBuf,
    },
    /// Relay a job that goes on in a container of its own
    #[command(hide = true)]
    Follow {
        /// The container, by name or identifier
        container: String,
    },
    /// Watch over a run that started it
    #[command(name = crate::guardian::COMMAND, hide = true)]
    Guardian,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Selection {
    /// The backup's name
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Only these: homeassistant, share, ssl, media, addons/local, or a companion
    #[arg(long, value_name = "ITEM", num_args = 1..)]
    pub(super) only: Vec<String>,
    /// Leave out files: *.mp4 by name, www/** below a mount, /config/www/** in the container
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    pub(super) exclude: Vec<String>,
    /// Leave out Home Assistant's database
    #[arg(long)]
    pub(super) no_database: bool,
    /// Do not compress
    #[arg(long)]
    pub(super) uncompressed: bool,
    /// How long the containers may be held, once all of them stand still [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) max_hold: Option<Duration>,
    /// What to do then: give up, or read the rest while they run [default: fail]
    #[arg(long, value_enum)]
    pub(super) on_max_hold: Option<OnMaxHold>,
}

/// What to do when containers were held for as long as they may be.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OnMaxHold {
    Fail,
    Continue,
}

fn seconds(text: &str) -> Result<Duration, String> {
    crate::settings::seconds(text.parse().unwrap_or(f64::NAN))
}

#[derive(Debug, ClapArgs)]
pub(super) struct Backup {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// How hard to compress: 1 (fastest) to 9 (smallest) [default: 2]
    #[arg(long, value_name = "1-9", value_parser = value_parser!(u8).range(1..=9))]
    pub(super) level: Option<u8>,
    /// How to encrypt: 3, or 2 for a Home Assistant older than 2026.3 [default: 3]
    #[arg(long, value_name = "2|3", value_parser = value_parser!(u8).range(2..=3))]
    pub(super) format_version: Option<u8>,
    /// Only show the plan
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Verify {
    /// A slug or file name from `hearthkeep list`, `newest`, or the path of a file
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// Compare every file with its checksum, too
    #[arg(long)]
    pub(super) deep: bool,
    /// Start copies of the containers on what is in the backup, out of everybody's sight, and wait
    /// for Home Assistant
    #[arg(long)]
    pub(super) boot: bool,
    /// How long the copies may take to come up [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "boot")]
    pub(super) patience: Option<Duration>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Ls {
    /// A slug or file name from `hearthkeep list`, `newest`, or the path of a file
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// Only what is at or below this, such as homeassistant/data/.storage
    pub(super) path: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Cat {
    /// A slug or file name from `hearthkeep list`, `newest`, or the path of a file
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// A file, as `hearthkeep ls` names it
    pub(super) path: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Extract {
    /// A slug or file name from `hearthkeep list`, `newest`, or the path of a file
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// Files and folders, as `hearthkeep ls` names them
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<String>,
    /// The folder that gets them, each with its whole path
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) to: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Diff {
    /// A slug or file name from `hearthkeep list`, `newest`, or the path of a file
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// Another one, or `live` for the home as it is now
    #[arg(value_name = "SLUG|FILE|live")]
    pub(super) other: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct OneBackup {
    /// A slug or file name from `hearthkeep list`, or the path of a file
    #[arg(value_name = "SLUG|FILE")]
    pub(super) backup: String,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Export {
    /// A slug or file name from `hearthkeep list`, or `newest`
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// A folder, or the path of the new file
    pub(super) to: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Import {
    /// The file
    pub(super) file: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Restore {
    /// A slug or file name from `hearthkeep list`, `newest`, or the path of a file
    #[arg(value_name = "SLUG|FILE|newest")]
    pub(super) backup: String,
    /// Only these: homeassistant, share, ssl, media, addons/local, or a companion
    #[arg(long, value_name = "ITEM", num_args = 1..)]
    pub(super) only: Vec<String>,
    /// The Compose file of the home; where it is missing it is written from the backup, and where
    /// its containers are, Compose makes them
    #[arg(long, value_name = "FILE")]
    pub(super) onto: Option<PathBuf>,
    /// A file that says which add-on of the Supervisor a container is, and where its content goes
    #[arg(long, value_name = "FILE")]
    pub(super) map: Option<PathBuf>,
    /// Of Home Assistant only its database; without --only nothing else either
    #[arg(long, conflicts_with = "no_database")]
    pub(super) database_only: bool,
    /// Leave Home Assistant's database as it is
    #[arg(long)]
    pub(super) no_database: bool,
    /// Restore it even if a newer Home Assistant made it
    #[arg(long)]
    pub(super) allow_newer: bool,
    /// Only show what would be done, and what speaks against it
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask
    #[arg(long, short, overrides_with = "yes")]
    pub(super) yes: bool,
    /// Do what a move from a Supervisor needs, where that is without doubt: host names of add-ons,
    /// logins of the broker, keys
    #[arg(long)]
    pub(super) translate: bool,
    /// How long the restored home may take to come up before it is rolled back [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) patience: Option<Duration>,
    /// How long everything has to stay up then [default: 2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) settle: Option<Duration>,
    /// Leave a restored home that does not come up as it is, to be looked at
    #[arg(long)]
    pub(super) no_rollback: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Prune {
    /// Only show what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Status {
    /// Only tell, by the exit code, whether the service answers
    #[arg(long)]
    pub(super) health: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Resume {
    /// Keep a restored home that was left to be looked at, and remove the old one, instead of putting
    /// the old one back
    #[arg(long)]
    pub(super) keep_restored: bool,
    /// Do nothing to such a home, since nobody asked for it: as the system does it at boot
    #[arg(long, conflicts_with = "keep_restored")]
    pub(super) automatic: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a key, and the emergency kit to keep elsewhere
    Generate(Generate),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Generate {
    /// The new file [default: that of --password-file, or /etc/hearthkeep/password]
    pub(super) file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_words_are_sound() {
        super::Args::command().debug_assert();
    }
}
