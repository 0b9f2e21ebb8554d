//! The exit codes, which are part of what this program promises.

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// It failed; nothing has changed, or everything was put back, unless the error says otherwise.
    Failed = 1,
    /// The words on the command line make no request.
    Usage = 2,
    /// Done, and there is something to look at.
    DoneWithWarnings = 3,
    /// No backup goes by that name.
    NoSuchBackup = 10,
    /// Another run has the lock.
    Busy = 11,
    /// A backup is encrypted, and its password was not given.
    WrongPassword = 12,
    /// The restored home did not come up, and the old one is back.
    RolledBack = 13,
    /// The file is not a backup, or damaged.
    Damaged = 14,
    /// A label or a setting says nothing that is known.
    Configuration = 78,
    /// Stopped by a signal.
    Cancelled = 130,
}
