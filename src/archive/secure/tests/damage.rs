//! What is not as it was written is noticed.

use super::*;

#[test]
fn each_byte_of_v3_counts() {
    let member = sealed(Format::V3, b"text of a small file");
    let opener = Opener::new(password());
    assert!(opened(&opener, &member).is_ok());
    for n in 0..member.len() {
        // The root salt makes a new key each time, which one opener refuses to do for long.
        let other;
        let opener = match n {
            32..48 => {
                other = Opener::new(password());
                &other
            }
            _ => &opener,
        };
        for bit in [0x01, 0x80] {
            let mut member = member.clone();
            member[n] ^= bit;
            assert!(opened(opener, &member).is_err(), "byte {n}");
        }
    }
}

#[test]
fn bytes_of_all_chunks_count() {
    let mut member = sealed(Format::V3, &content(MIB + 50));
    let opener = Opener::new(password());
    let last = member.len() - 1;
    for (n, chunk) in [(136, 0), (137, 0), (MIB, 0), (MIB + 152, 0), (MIB + 153, 1), (last, 1)] {
        member[n] ^= 0x10;
        let err = opened(&opener, &member).unwrap_err();
        assert_eq!(err, Broken::Chunk(chunk).to_string(), "byte {n}");
        member[n] ^= 0x10;
    }
    assert!(opened(&opener, &member).is_ok());
}

#[test]
fn each_length_but_its_own_is_noticed() {
    let opener = Opener::new(password());
    for format in [Format::V2, Format::V3] {
        // So that v2, too, is found to fit.
        let plain = [&[0x1f, 0x8b, 8], &content(40)[..]].concat();
        let member = sealed(format, &plain);
        assert_eq!(opened(&opener, &member), Ok(plain));
        for n in 0..member.len() {
            assert!(opened(&opener, &member[..n]).is_err(), "{format:?} of {n} bytes");
        }
        let longer = [&member[..], &[0]].concat();
        assert!(opened(&opener, &longer).is_err());
    }
}

/// The outer tar may promise a size and have less, or its reader give more.
#[test]
fn bodies_of_another_length_than_promised_are_noticed() {
    let opener = Opener::new(password());
    for format in [Format::V2, Format::V3] {
        let member = sealed(format, &content(40));
        let envelope = Envelope::parse(&member).unwrap().unwrap();
        let body = &member[envelope.len() as usize..];
        for n in 0..body.len() {
            let err = decrypted(&opener, &envelope, &body[..n], member.len()).unwrap_err();
            assert_eq!(err, "it is cut short", "{format:?} of {n} bytes");
        }
        let longer = [body, &[0]].concat();
        let err = decrypted(&opener, &envelope, &longer, member.len()).unwrap_err();
        assert_eq!(err, "there is more behind its end");
    }
}

/// Nothing protects the size: it is changed so that true chunks fit it.
#[test]
fn chunks_taken_away_or_moved_are_noticed() {
    let opener = Opener::new(password());
    let member = sealed(Format::V3, &content(3 * MIB));
    let (head, body) = member.split_at(136);
    let chunks: Vec<&[u8]> = body.chunks(MIB + 17).collect();
    let of = |chunks: &[&[u8]]| {
        let mut member = [&[head], chunks].concat().concat();
        member[16..24].copy_from_slice(&((chunks.len() * MIB) as u64).to_be_bytes());
        opened(&opener, &member)
    };
    assert!(of(&chunks).is_ok());
    assert_eq!(of(&chunks[..2]).unwrap_err(), "it is cut short");
    let more = [&chunks[..], &chunks[..1]].concat();
    assert_eq!(of(&more).unwrap_err(), "there is more behind its end");
    let swapped = [chunks[1], chunks[0], chunks[2]];
    assert_eq!(of(&swapped).unwrap_err(), Broken::Chunk(0).to_string());
    let twice = [chunks[0], chunks[0], chunks[2]];
    assert_eq!(of(&twice).unwrap_err(), Broken::Chunk(1).to_string());
}

#[test]
fn padding_that_is_none_is_noticed() {
    // A flipped bit in a block of CBC flips that bit in the next one, too.
    let mut member = sealed(Format::V2, &content(20));
    member[48 + 14] ^= 1;
    let envelope = Envelope::parse(&member).unwrap().unwrap();
    let opener = Opener::new(password());
    let err = decrypted(&opener, &envelope, &member[48..], member.len()).unwrap_err();
    assert_eq!(err, "its padding is wrong");
}

#[test]
fn envelopes_that_nobody_wrote_are_refused() {
    let member = sealed(Format::V3, b"text");
    let parsed = |n: usize, byte: u8| {
        let mut member = member.clone();
        member[n] = byte;
        Envelope::parse(&member)
    };
    assert_eq!(parsed(9, 9), Err(Broken::Version(9)));
    assert_eq!(parsed(9, 1), Err(Broken::Version(1)));
    assert_eq!(parsed(0, b's'), Ok(None));
    for n in 10..16 {
        assert_eq!(parsed(n, 1), Err(Broken::NotZero));
    }
    for size in [u64::MAX, u64::MAX - 16, u64::from(u32::MAX) << 20, 5, 3] {
        for format in [2, 3] {
            let mut member = member.clone();
            member[9] = format;
            member[16..24].copy_from_slice(&size.to_be_bytes());
            let envelope = Envelope::parse(&member).unwrap().unwrap();
            assert!(envelope.plain_size(member.len() as u64).is_err(), "{size}");
        }
    }
    assert_eq!(Envelope::v1(&[0; 15]), Err(Broken::CutShort));
    assert_eq!(Envelope::v1(&[0; 16]).unwrap().plain_size(16 + 40), Err(Broken::Ragged));
}

#[test]
fn another_password_does_not_fit() {
    let right = Opener::new(password());
    let wrong = Opener::new(Secret::new("hunter3".to_owned()));
    let gzip = [&[0x1f, 0x8b, 8], &content(40)[..]].concat();
    let mut tar = content(10_240);
    tar[257..262].copy_from_slice(b"ustar");
    let v2 = sealed(Format::V2, &gzip);
    // v1 is v2 without its first 32 bytes, but for the end.
    let v1 = v2[32..].to_vec();
    let v3 = sealed(Format::V3, b"whatever it is");
    for member in [v1, v2, sealed(Format::V2, &tar), v3] {
        let envelope = Envelope::parse(&member).unwrap();
        let envelope = envelope.unwrap_or_else(|| Envelope::v1(&member).unwrap());
        let body = &member[envelope.len() as usize..];
        assert_eq!(right.fits(&envelope, body), Ok(true));
        assert_eq!(wrong.fits(&envelope, body), Ok(false));
        assert_eq!(wrong.fits(&envelope, &[]), Ok(false));
    }
}

#[test]
fn a_file_cannot_ask_for_keys_for_ever() {
    let member = sealed(Format::V3, b"text");
    let opener = Opener::new(password());
    let fits = |salt: u8| {
        let mut member = member.clone();
        member[32..48].fill(salt);
        opener.fits(&Envelope::parse(&member).unwrap().unwrap(), &[])
    };
    for salt in 0..16 {
        assert_eq!(fits(salt), Ok(false));
    }
    assert_eq!(fits(16), Err(Broken::Keys(16)));
    assert_eq!(fits(3), Ok(false), "what was made is kept");
}
