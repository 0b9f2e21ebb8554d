//! What a key looks like, and the emergency kit that a person keeps of it: both as Home Assistant
//! has them, so that a key of either serves the other.

use crate::secret::Secret;

/// What Home Assistant makes its keys of.
const SYMBOLS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Bytes below this fall on all symbols equally often; those above would favour the first four.
const FAIR: usize = 256 / SYMBOLS.len() * SYMBOLS.len();

/// Symbols of a key: more than 144 bits.
const N_SYMBOLS: usize = 28;

/// Symbols between two dashes.
const GROUP: usize = 4;

/// More than the text of a kit is long, so that it never moves and leaves a copy behind.
const KIT_SIZE: usize = 2048;

/// The key that random bytes make; none where too few of them can be used.
pub fn key(random: &[u8]) -> Option<Secret> {
    let mut fair = random.iter().copied().map(usize::from).filter(|it| *it < FAIR);
    let mut key = String::with_capacity(N_SYMBOLS + N_SYMBOLS / GROUP - 1);
    for n in 0..N_SYMBOLS {
        if n > 0 && n % GROUP == 0 {
            key.push('-');
        }
        key.push(char::from(SYMBOLS[fair.next()? % SYMBOLS.len()]));
    }
    Some(Secret::new(key))
}

/// The name of a kit's file. The number keeps two kits of one day apart.
pub fn file_name(date: &str, number: u16) -> String {
    format!("home_assistant_backup_emergency_kit_{date}_{number:04x}.txt")
}

/// The emergency kit of a key that was made on a day on a machine.
pub fn text(key: &Secret, date: &str, host: &str) -> Secret {
    let mut text = String::with_capacity(KIT_SIZE);
    let lines = [
        "Home Assistant backup emergency kit\n",
        "\nThis key opens the encrypted backups of your home. Nobody can read them without it.\n",
        "Keep this file somewhere safe, and not on the machine that is backed up.\n",
        "\nDate:\n",
        date,
        "\n\nInstance:\n",
        host,
        "\n\nURL:\nhttp://",
        host,
        ":8123\n\nEncryption key:\n",
        key.expose(),
        "\n\nTo restore with hearthkeep, put the key into a file and say:\n",
        "hearthkeep restore BACKUP --password-file FILE\n",
        "\nHome Assistant's own restore asks for the same key.\n",
        "\nMore: https://www.home-assistant.io/more-info/backup-emergency-kit\n",
    ];
    for line in lines {
        text.push_str(line);
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(random: &[u8], wanted: Option<&str>) {
        assert_eq!(key(random).as_ref().map(Secret::expose), wanted);
    }

    #[test]
    fn a_key_is_made_of_seven_groups() {
        let counting: Vec<u8> = (0..28).collect();
        check(&counting, Some("ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ01"));
        check(&[251; 40], Some("9999-9999-9999-9999-9999-9999-9999"));
        check(&counting[..27], None);
        check(&[], None);
    }

    #[test]
    fn bytes_that_would_favour_a_symbol_are_passed_over() {
        let mut random: Vec<u8> = (252..=255).collect();
        random.extend([35; 28]);
        check(&random, Some("9999-9999-9999-9999-9999-9999-9999"));
        check(&[252; 1000], None);
        let n_of = |symbol: usize| (0..FAIR).filter(|it| it % SYMBOLS.len() == symbol).count();
        assert!((0..SYMBOLS.len()).all(|it| n_of(it) == 7));
    }

    #[test]
    fn a_kit_has_the_lines_of_home_assistants_own() {
        let key = Secret::new("ABCD-EFGH".to_owned());
        let long = "h".repeat(255);
        assert!(text(&key, "2026-03-01", &long).expose().len() < KIT_SIZE);
        let kit = text(&key, "2026-03-01", "attic");
        let lines: Vec<&str> = kit.expose().lines().collect();
        for (label, wanted) in [
            ("Date:", "2026-03-01"),
            ("Instance:", "attic"),
            ("URL:", "http://attic:8123"),
            ("Encryption key:", "ABCD-EFGH"),
        ] {
            let n = lines.iter().position(|it| *it == label);
            assert_eq!(n.and_then(|it| lines.get(it + 1)), Some(&wanted), "{label}");
        }
    }

    #[test]
    fn a_kit_is_found_by_its_name() {
        assert_eq!(
            file_name("2026-03-01", 0x0a1),
            "home_assistant_backup_emergency_kit_2026-03-01_00a1.txt"
        );
    }
}
