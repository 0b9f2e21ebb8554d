//! Memory that is free, given back to the system.
#![allow(unsafe_code)]

use nix::libc;

/// Gives back what was freed, after a step that took much of it in small pieces. Without, the C
/// library keeps it, and the next step adds to it.
pub fn give_back() {
    // SAFETY: it may be called at any time, by any thread; it looks at nothing but what is free.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
