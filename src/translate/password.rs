//! A password as Mosquitto keeps it: `$7$`, the rounds, the salt and PBKDF2 with HMAC-SHA-512 of it
//! (eclipse-mosquitto/mosquitto, `src/password_mosq.c` and `apps/mosquitto_passwd`; RFC 8018,
//! section 5.2).

use sha2::{Digest, Sha512};

/// As `mosquitto_passwd` makes them; Mosquitto 2.0 knows no other length.
pub(super) const SALT_BYTES: usize = 12;

/// Ten times what newer versions of `mosquitto_passwd` take: still some milliseconds a login.
const ROUNDS: u32 = 10_000;

/// The block of SHA-512, and what it makes.
const BLOCK_BYTES: usize = 128;
const HASH_BYTES: usize = 64;

/// A password in Mosquitto's words.
pub(super) fn hash(password: &str, salt: &[u8]) -> String {
    let key = pbkdf2(password.as_bytes(), salt, ROUNDS);
    format!("$7${ROUNDS}${}${}", base64(salt), base64(&key))
}

/// The first block of PBKDF2, which is all that is needed.
fn pbkdf2(password: &[u8], salt: &[u8], rounds: u32) -> [u8; HASH_BYTES] {
    let hmac = Hmac::new(password);
    let mut last = hmac.of(&[salt, &1u32.to_be_bytes()]);
    let mut sum = last;
    for _ in 1..rounds {
        last = hmac.of(&[&last]);
        sum.iter_mut().zip(last).for_each(|(sum, it)| *sum ^= it);
    }
    sum
}

/// HMAC with SHA-512 (RFC 2104), as far as the key goes.
struct Hmac {
    inner: Sha512,
    outer: Sha512,
}

impl Hmac {
    fn new(key: &[u8]) -> Hmac {
        let mut block = [0; BLOCK_BYTES];
        if key.len() > BLOCK_BYTES {
            block[..HASH_BYTES].copy_from_slice(&Sha512::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let with = |pad: u8| Sha512::new_with_prefix(block.map(|it| it ^ pad));
        Hmac { inner: with(0x36), outer: with(0x5c) }
    }

    fn of(&self, pieces: &[&[u8]]) -> [u8; HASH_BYTES] {
        let mut inner = self.inner.clone();
        pieces.iter().for_each(|it| inner.update(it));
        let mut outer = self.outer.clone();
        outer.update(inner.finalize());
        outer.finalize().into()
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for piece in bytes.chunks(3) {
        let three = piece.iter().fold(0u32, |all, it| all << 8 | u32::from(*it));
        let three = three << (8 * (3 - piece.len()));
        for n in 0..4 {
            let digit = DIGITS[(three >> (18 - 6 * n)) as usize & 63];
            text.push(if n > piece.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `hashlib.pbkdf2_hmac` of Python.
    #[test]
    fn it_is_pbkdf2() {
        let check = |password: &str, salt: &str, rounds, wanted: &str| {
            let key = base64(&pbkdf2(password.as_bytes(), salt.as_bytes(), rounds));
            assert_eq!(key, wanted, "{password} {salt} {rounds}");
        };
        check(
            "password",
            "salt",
            1,
            "hn9wzxreAs/zdSWZo6U9xK80x6ZpgVrl1RNVThyM8lLALUcKKFoFAbrZmb/pQ8CPBQI119aLHaVeY/c7YKV/zg==",
        );
        check(
            "password",
            "salt",
            2,
            "4dnBaqaBcIpF9cfE4hXOtm4BGi6fAEBxPxiu/bhm1Tz3bKsoaKObn3hA7c5P71qCvmczXHemBo4EESdU8nzPTg==",
        );
        check(
            &"long ".repeat(40),
            "",
            101,
            "fTRqexS2jR7G7wZhnNHcZGSamSLuPK3yAwMHJeTM0Akuu9yP7fvd+WYCI78MSi3GpDUYLeMpOMVlkxQtQkA6GQ==",
        );
    }

    #[test]
    fn base64_is_that_of_everybody() {
        for (bytes, wanted) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), wanted);
        }
    }
}
