//! Encodings of files: selects the encodings of a file, makes them, and verifies them.
//!
//! Pure, but heavy on the processor. Only this module and `decode` use the `brotli` and `flate2` crates. Encoded bytes
//! must not leave this module unless they decode to the original, because a bug of an encoder must never be published.
//! The same bytes and level give the same encoding on every machine, so nothing here may depend on
//! a clock, a name or the features of a processor. `flate2` stays on its `miniz_oxide` backend for that reason.
//!
//! Decoding is as strict as the strictest reader: one gzip member, a brotli stream of the standard window, and nothing
//! after the end. Browsers show the first of several members and silently drop the rest.

use std::io::{self, Write};

use brotli::enc::BrotliEncoderParams;
use flate2::{Compression, GzBuilder};

use crate::config::Encode;
use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Encodings, Recipe};
use crate::model::media;
use crate::model::path::SitePath;
use crate::site::decode::decodes_to;
use crate::site::source::SourceError;

/// Files below this many bytes get no encodings.
///
/// A response that fits one packet with its headers arrives no sooner if it is smaller. In an export of Next.js 16 this
/// leaves out the `__next._tree.txt` of every page: 220 to 480 bytes, of which brotli saves 50 to 240. Each of them
/// would cost two more objects on the host.
pub const MIN_SIZE: u64 = 512;

/// Files above this many bytes get no encodings, because the encoders keep the complete file, its encoding and their
/// own tables in memory, on every core at the same time.
pub const MAX_SIZE: u64 = 32 << 20;

/// The window sizes of brotli, as powers of two. A window is no larger than the file needs, because a larger one saves
/// no bytes and costs time and memory on both sides. The largest window of the format is only for files that are longer
/// than the window that every reader of `br` has memory for.
const SMALLEST_WINDOW_BITS: i32 = 16;
/// At levels 5 to 8 the crate has no hash table for a window of 16 bits. It takes one of 32 MiB instead and clears it for
/// each file, which takes ten times as long, and finds less. Of the larger windows, 18 bits have the shortest header.
const SMALLEST_MIDDLE_WINDOW_BITS: i32 = 18;
const WINDOW_BITS: i32 = 22;
const LARGE_WINDOW_BITS: i32 = 24;

/// A window is this many bytes shorter than its power of two (RFC 7932, 9.1).
const WINDOW_GAP: usize = 16;

/// "Unknown" in RFC 1952: the header does not name the operating system.
const GZIP_OS: u8 = 255;

/// Why an encoding could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The coding has no such level.
    #[error("{coding} has no level {level}")]
    Level {
        /// The coding.
        coding: Coding,
        /// The requested level.
        level: u8,
    },
    /// The encoder reported an error.
    #[error("the {coding} encoder failed")]
    Encoder {
        /// The coding.
        coding: Coding,
        /// The encoder's error.
        source: io::Error,
    },
    /// The encoded bytes do not decode to the original.
    #[error("the {0} encoder wrote bytes that don't decode to the original; nothing of it is published")]
    Faulty(Coding),
}

/// Returns the recipes of the encodings for a file of this type and size.
#[must_use]
pub fn encodings_for(media_type: &str, size: u64, levels: Encode) -> Encodings {
    if !(MIN_SIZE..=MAX_SIZE).contains(&size) || !media::compressible(media_type) {
        return Encodings::default();
    }
    Encodings {
        br: levels.brotli.map(Recipe::made),
        gz: levels.gzip.map(Recipe::made),
    }
}

/// Encodes the content of a file, as [`encode`] does.
///
/// # Errors
/// [`SourceError::Encoder`].
pub fn encode_file(path: &SitePath, coding: Coding, level: u8, bytes: &[u8]) -> Result<Option<Vec<u8>>, SourceError> {
    encode(coding, level, bytes).map_err(|error| SourceError::Encoder {
        path: path.clone(),
        coding,
        detail: error.to_string(),
    })
}

/// Encodes bytes at a level, and decodes the result again to compare it with the original. Returns `None` if the bytes
/// do not get smaller.
///
/// # Errors
/// [`EncodeError`] if there is no such level or the encoder fails.
pub fn encode(coding: Coding, level: u8, bytes: &[u8]) -> Result<Option<Vec<u8>>, EncodeError> {
    let failed = |source| EncodeError::Encoder { coding, source };
    let encoded = match (coding, level) {
        (Coding::Brotli, 1..=11) => brotli(level, bytes).map_err(failed)?,
        (Coding::Gzip, 1..=9) => gzip(level, bytes).map_err(failed)?,
        _ => return Err(EncodeError::Level { coding, level }),
    };
    if encoded.len() >= bytes.len() {
        return Ok(None);
    }
    verify(coding, encoded, bytes).map(Some)
}

/// Returns the encoded bytes if they decode to the original.
fn verify(coding: Coding, encoded: Vec<u8>, original: &[u8]) -> Result<Vec<u8>, EncodeError> {
    match decodes_to(coding, &encoded[..], original.len() as u64) {
        Ok((digest, _)) if digest == Digest::of(original) => Ok(encoded),
        _ => Err(EncodeError::Faulty(coding)),
    }
}

fn brotli(level: u8, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let params = BrotliEncoderParams {
        quality: level.into(),
        lgwin: window_bits(level, bytes.len()),
        // The mode stays generic: on HTML, flight payloads, JS and CSS the text mode gives the same bytes.
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut encoded, &params)?;
    Ok(encoded)
}

fn window_bits(level: u8, length: usize) -> i32 {
    let smallest = match level {
        5..=8 => SMALLEST_MIDDLE_WINDOW_BITS,
        _ => SMALLEST_WINDOW_BITS,
    };
    (smallest..=WINDOW_BITS)
        .find(|bits| length + WINDOW_GAP <= 1 << bits)
        .unwrap_or(LARGE_WINDOW_BITS)
}

fn gzip(level: u8, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let builder = GzBuilder::new().mtime(0).operating_system(GZIP_OS);
    let mut encoder = builder.write(Vec::new(), Compression::new(level.into()));
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use std::io::Read;

    use crate::site::decode::{BUFFER, DecodeError, LARGE_WINDOW_MARK};

    /// Returns text with repetitions, the same in every run and on every machine.
    fn prose(length: usize) -> Vec<u8> {
        let words = [
            "orderbook",
            " the",
            " matching",
            " engine",
            "<p>",
            "</p>\n",
            " settles",
            " fee",
        ];
        let mut state = 7_u32;
        let mut text = Vec::new();
        while text.len() < length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(words[(state >> 29) as usize].as_bytes());
        }
        text.truncate(length);
        text
    }

    fn noise(length: usize) -> Vec<u8> {
        let blocks = (0_u64..).flat_map(|n| *Digest::of(&n.to_le_bytes()).as_bytes());
        blocks.take(length).collect()
    }

    fn best(coding: Coding) -> u8 {
        match coding {
            Coding::Brotli => 11,
            Coding::Gzip => 9,
        }
    }

    fn encoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        encode(coding, best(coding), bytes).unwrap().unwrap()
    }

    #[test]
    fn every_level_decodes_to_the_original() {
        let text = prose(20_000);
        for (coding, levels) in [(Coding::Brotli, 1..=11), (Coding::Gzip, 1..=9)] {
            for level in levels {
                let made = encode(coding, level, &text).unwrap().unwrap();
                assert!(made.len() < text.len() / 2, "{coding} {level}");
                let decoded = decodes_to(coding, &made[..], u64::MAX).unwrap();
                assert_eq!(decoded, (Digest::of(&text), text.len() as u64), "{coding} {level}");
            }
        }
    }

    #[test]
    fn levels_that_do_not_exist_are_refused() {
        for (coding, level) in [
            (Coding::Brotli, 0),
            (Coding::Brotli, 12),
            (Coding::Gzip, 0),
            (Coding::Gzip, 10),
        ] {
            let refused = encode(coding, level, b"x").unwrap_err();
            assert!(matches!(refused, EncodeError::Level { .. }), "{refused}");
        }
    }

    // A change here reaches sites only as their files change, unless `model::encoding::MAKER` is raised too.
    #[test]
    fn encoded_bytes_stay_the_same_from_run_to_run() {
        let text = prose(50_000);
        for (coding, golden) in [(Coding::Brotli, GOLDEN_BROTLI), (Coding::Gzip, GOLDEN_GZIP)] {
            let made = encoded(coding, &text);
            assert_eq!(made, encoded(coding, &text));
            assert_eq!(Digest::of(&made).short(16), golden, "{coding}");
        }
    }

    const GOLDEN_BROTLI: &str = "8010df908f31c6e7";
    const GOLDEN_GZIP: &str = "fb70722629a302eb";

    #[test]
    fn windows_fit_files_and_the_hash_tables_of_the_encoder() {
        for (level, length, bits) in [
            (11, 600, 16),
            (11, (1 << 16) - 16, 16),
            (11, (1 << 16) - 15, 17),
            (4, 600, 16),
            (5, 600, 18),
            (8, 1 << 16, 18),
            (8, 1 << 18, 19),
            (9, 600, 16),
            (11, (1 << 22) - 16, 22),
            (5, 1 << 22, 24),
        ] {
            assert_eq!(window_bits(level, length), bits, "level {level}, {length} bytes");
        }
    }

    #[test]
    fn gzip_header_names_no_file_time_or_system() {
        let made = encoded(Coding::Gzip, &prose(5_000));
        assert_eq!(made[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn what_does_not_get_smaller_has_no_encoding() {
        for coding in Coding::ALL {
            for bytes in [&b""[..], b"x", &noise(5_000)] {
                assert_eq!(encode(coding, best(coding), bytes).unwrap(), None, "{coding}");
            }
        }
    }

    #[test]
    fn decoding_stops_once_more_came_out_than_may() {
        let zeros = vec![0; 50 << 20];
        for coding in Coding::ALL {
            let bomb = encode(coding, 1, &zeros).unwrap().unwrap();
            let stopped = decodes_to(coding, &bomb[..], 1000).unwrap_err();
            assert!(matches!(stopped, DecodeError::TooLong(1000)), "{stopped}");
        }
    }

    #[test]
    fn cut_off_streams_are_damaged_wherever_the_cut() {
        for coding in Coding::ALL {
            let made = encoded(coding, &prose(3_000));
            for end in 0..made.len() {
                let cut = decodes_to(coding, &made[..end], u64::MAX).unwrap_err();
                assert!(matches!(cut, DecodeError::Damaged(_)), "{coding} at {end}: {cut}");
            }
        }
    }

    #[test]
    fn bytes_after_the_end_are_noticed() {
        for coding in Coding::ALL {
            let made = encoded(coding, &prose(3_000));
            for tail in [&b"\0"[..], b"x", &made, &vec![0; 3 * BUFFER]] {
                let whole = [&made[..], tail].concat();
                let trailing = decodes_to(coding, &whole[..], u64::MAX).unwrap_err();
                assert!(matches!(trailing, DecodeError::Trailing(_)), "{coding}: {trailing}");
                // With one byte per read, the data after the end never gets into the decoder's buffer.
                let slow = decodes_to(coding, Drops(&whole), u64::MAX).unwrap_err();
                assert!(matches!(slow, DecodeError::Trailing(_)), "{coding}: {slow}");
            }
        }
    }

    #[test]
    fn brotli_with_a_window_that_no_browser_takes_is_damaged() {
        let params = BrotliEncoderParams {
            large_window: true,
            lgwin: 26,
            ..BrotliEncoderParams::default()
        };
        let mut large = Vec::new();
        brotli::BrotliCompress(&mut &prose(100_000)[..], &mut large, &params).unwrap();
        assert_eq!(large[0] & 0x7f, LARGE_WINDOW_MARK);
        let refused = decodes_to(Coding::Brotli, &large[..], u64::MAX).unwrap_err();
        assert!(matches!(refused, DecodeError::Damaged(_)), "{refused}");
    }

    #[test]
    fn a_reader_that_fails_is_not_taken_for_a_damaged_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        for coding in Coding::ALL {
            let made = encoded(coding, &prose(3_000));
            let failed = decodes_to(coding, made[..20].chain(Broken), u64::MAX).unwrap_err();
            assert!(matches!(failed, DecodeError::Read(_)), "{coding}: {failed}");
        }
    }

    #[test]
    fn an_encoder_at_fault_is_found_out() {
        let text = prose(1_000);
        let other = encoded(Coding::Gzip, &prose(999));
        let found = verify(Coding::Gzip, other, &text).unwrap_err();
        assert!(matches!(found, EncodeError::Faulty(_)), "{found}");
    }

    #[test]
    fn recipes_follow_type_size_and_options() {
        let levels = Encode {
            brotli: Some(11),
            gzip: Some(9),
        };
        let both = Encodings {
            br: Some(Recipe::made(11)),
            gz: Some(Recipe::made(9)),
        };
        let none = Encodings::default();
        for (media_type, size, wanted) in [
            ("text/html", MIN_SIZE, both),
            ("text/html", MIN_SIZE - 1, none),
            ("text/html", MAX_SIZE, both),
            ("text/html", MAX_SIZE + 1, none),
            ("image/png", 10_000, none),
        ] {
            assert_eq!(encodings_for(media_type, size, levels), wanted, "{media_type} {size}");
        }
        let off = Encode {
            brotli: None,
            gzip: Some(6),
        };
        let wanted = Encodings {
            br: None,
            gz: Some(Recipe::made(6)),
        };
        assert_eq!(encodings_for("text/css", 10_000, off), wanted);
    }

    /// A reader that returns one byte per read.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_to_themselves_or_stay_as_they_are(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            times in 1_usize..6,
            fast in any::<bool>(),
        ) {
            let bytes = bytes.repeat(times);
            for coding in Coding::ALL {
                let level = if fast { 1 } else { 9 };
                if let Some(made) = encode(coding, level, &bytes).unwrap() {
                    prop_assert!(made.len() < bytes.len());
                    let decoded = decodes_to(coding, &made[..], bytes.len() as u64).unwrap();
                    prop_assert_eq!(decoded, (Digest::of(&bytes), bytes.len() as u64));
                }
            }
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            for coding in Coding::ALL {
                let _ = decodes_to(coding, &bytes[..], 1 << 20);
            }
        }
    }
}
