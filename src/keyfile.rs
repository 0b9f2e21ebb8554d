//! The files that passwords lie in.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// No password is longer; a file that is was named by mistake.
const LIMIT: usize = 16 * 1024;

/// Reads the password in a file. With it comes a warning where others may read the file too.
///
/// # Errors
/// Where the file cannot be read, or what is in it can be no password. None tells the content.
pub fn read(path: &Path) -> anyhow::Result<(Secret, Option<String>)> {
    let reading = || format!("reading the password in {}", path.display());
    let file = File::open(path).with_context(reading)?;
    let status = file.metadata().with_context(reading)?;
    // With room for all of it the bytes never move and leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * LIMIT));
    file.take(LIMIT as u64 + 1).read_to_end(&mut bytes).with_context(reading)?;
    let secret = parse(&bytes).with_context(reading)?;
    let mode = status.permissions().mode() & 0o777;
    // What is not a file (a pipe of the shell, a terminal) has a mode that says nothing.
    let is_open = status.is_file() && mode & 0o077 != 0;
    let warning = || format!("{0} is open to others ({mode:o}): chmod 600 {0}", path.display());
    Ok((secret, is_open.then(warning)))
}

/// The password in the bytes of a file: all of them but one newline at the end.
fn parse(bytes: &[u8]) -> anyhow::Result<Secret> {
    anyhow::ensure!(
        bytes.len() <= LIMIT,
        "it is longer than 16 KiB: name a file with nothing but the password in it"
    );
    let text = std::str::from_utf8(bytes).ok();
    let text = text.context("it is not UTF-8: name a file with nothing but the password in it")?;
    let password = text.strip_suffix('\n').map_or(text, |it| it.strip_suffix('\r').unwrap_or(it));
    anyhow::ensure!(!password.is_empty(), "it is empty: put the password into it");
    Ok(Secret::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], wanted: Result<&str, &str>) {
        let parsed = parse(bytes).map_err(|err| format!("{err:#}"));
        match (parsed, wanted) {
            (Ok(secret), Ok(wanted)) => assert_eq!(secret.expose(), wanted),
            (Err(err), Err(wanted)) => assert!(err.contains(wanted), "{err}"),
            (parsed, _) => panic!("{parsed:?} instead of {wanted:?}"),
        }
    }

    #[test]
    fn one_newline_at_the_end_is_no_part_of_a_password() {
        check(b"hunter2", Ok("hunter2"));
        check(b"hunter2\n", Ok("hunter2"));
        check(b"hunter2\r\n", Ok("hunter2"));
        check(b"hunter2\n\n", Ok("hunter2\n"));
        check(b"hunter2\r", Ok("hunter2\r"));
        check(b" hunter 2\t\n", Ok(" hunter 2\t"));
        check("pässwörd\n".as_bytes(), Ok("pässwörd"));
    }

    #[test]
    fn what_can_be_no_password_is_refused() {
        check(b"", Err("empty"));
        check(b"\n", Err("empty"));
        check(b"\r\n", Err("empty"));
        check(b"hunter2\xff\n", Err("not UTF-8"));
        let mut long = vec![b'x'; LIMIT];
        assert!(parse(&long).is_ok());
        long.push(b'\n');
        check(&long, Err("16 KiB"));
    }

    #[test]
    fn no_error_tells_what_is_in_the_file() {
        let err = parse(b"hunter2\xff").expect_err("it is not UTF-8");
        assert!(!format!("{err:?}").contains("hunter2"));
    }
}
