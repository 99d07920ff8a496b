//! Decoding, to prove what an encoding holds.
//!
//! With `encode` the home of the compression crates. What comes out is bounded, and kept only
//! where somebody has to look at it, so a small file can't become a large memory. It must take nothing that a browser would not: a stream of another kind, or anything behind it.

use std::io::{self, BufRead, BufReader, Read};

use crate::model::digest::{Digest, Hasher};
use crate::model::encoding::Coding;

/// The low seven bits of a stream with a window beyond RFC 7932: this decoder takes it, and no browser does.
pub(crate) const LARGE_WINDOW_MARK: u8 = 0x11;

/// How much is read at once.
pub(crate) const BUFFER: usize = 64 << 10;

/// Why bytes are not one whole encoding.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes could not be read; they may be in order.
    #[error("it can't be read")]
    Read {
        /// What the reader said.
        source: io::Error,
    },
    /// The stream is damaged, cut off, or of another format.
    #[error("it is not a complete {coding} stream")]
    Damaged {
        /// The coding it was taken for.
        coding: Coding,
    },
    /// More bytes came out than there may be; the rest was not decoded.
    #[error("it decodes to more than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// Something follows the stream.
    #[error("bytes follow the end of the {coding} stream, which browsers drop")]
    Trailing {
        /// The coding.
        coding: Coding,
    },
}

/// Decodes a stream piece by piece: the digest and length of what comes out, which is nowhere kept.
///
/// # Errors
/// [`DecodeError`] where the bytes can't be read, are not one whole stream of the coding and nothing else, or
/// decode to more than `limit` bytes.
pub fn decodes_to(coding: Coding, reader: impl Read, limit: u64) -> Result<(Digest, u64), DecodeError> {
    let mut hasher = Hasher::new();
    decode_into(coding, reader, limit, &mut |piece| hasher.update(piece))?;
    Ok((hasher.finish(), hasher.length()))
}

/// Decodes a stream to bytes, for anyone who has to look at them.
///
/// # Errors
/// As [`decodes_to`].
pub fn decode(coding: Coding, reader: impl Read, limit: u64) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::new();
    decode_into(coding, reader, limit, &mut |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

fn decode_into(coding: Coding, reader: impl Read, limit: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
    let mut source = Source { reader, failed: None };
    let outcome = match coding {
        Coding::Brotli => decode_brotli(&mut source, limit, take),
        Coding::Gzip => decode_gzip(&mut source, limit, take),
    };
    match source.failed {
        // The decoder passes a reader's error on as its own: only here are the two told apart.
        Some(error) => Err(DecodeError::Read { source: error }),
        None => outcome,
    }
}

fn decode_gzip(source: &mut impl Read, limit: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
    let coding = Coding::Gzip;
    let mut decoder = flate2::bufread::GzDecoder::new(BufReader::with_capacity(BUFFER, source));
    drain(coding, &mut decoder, limit, take)?;
    match decoder.into_inner().fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err(DecodeError::Trailing { coding }),
        Err(_) => Err(DecodeError::Damaged { coding }),
    }
}

fn decode_brotli(source: &mut impl Read, limit: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
    let coding = Coding::Brotli;
    let mut reader = BufReader::with_capacity(BUFFER, source);
    match reader.fill_buf() {
        Ok([first, ..]) if first & 0x7f == LARGE_WINDOW_MARK => return Err(DecodeError::Damaged { coding }),
        Ok(_) => {}
        Err(_) => return Err(DecodeError::Damaged { coding }),
    }
    let mut decoder = brotli::Decompressor::new(reader, BUFFER);
    drain(coding, &mut decoder, limit, take)?;
    // The end has been seen once. Asked again, the decoder owns up to bytes left in its buffer; those that it never
    // fetched are still in the reader.
    let mut byte = [0];
    let left = decoder.read(&mut byte).is_err();
    match decoder.into_inner().fill_buf() {
        Ok([]) if !left => Ok(()),
        Ok(_) => Err(DecodeError::Trailing { coding }),
        Err(_) => Err(DecodeError::Damaged { coding }),
    }
}

/// Reads a decoder to its end, or until more than `limit` bytes have come out.
fn drain(coding: Coding, decoder: &mut impl Read, limit: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
    let mut length = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                length += count as u64;
                if length > limit {
                    return Err(DecodeError::TooLong { limit });
                }
                take(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(DecodeError::Damaged { coding }),
        }
    }
}

/// A reader that keeps its own error, so that it can be told from the decoder's.
struct Source<R> {
    reader: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.failed = Some(error);
                    return Err(kind.into());
                }
                read => return read,
            }
        }
    }
}
