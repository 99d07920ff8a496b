//! SFTP version 3 on the wire, with the extensions of OpenSSH that the store needs.
//!
//! Pure: requests become bytes, bytes become replies. What comes from the host is never trusted: a length, a count or a
//! text that can't be right is an error, never a panic and never a large allocation.

/// The longest packet that OpenSSH sends or takes.
pub(super) const LONGEST: usize = 256 * 1024;

/// The server's first answer isn't numbered.
const VERSION: u8 = 2;

/// Read and write limits of servers that don't tell theirs.
pub(super) const CAUTIOUS: usize = 32 * 1024;

/// Extensions by their names on the wire.
pub(super) const RENAME: &str = "posix-rename@openssh.com";
pub(super) const LINK: &str = "hardlink@openssh.com";
pub(super) const SYNC: &str = "fsync@openssh.com";
pub(super) const SPACE: &str = "statvfs@openssh.com";
const LIMITS: &str = "limits@openssh.com";

const ATTR_MODE: u32 = 4;
const ATTR_TIMES: u32 = 8;

/// The greeting, with which everything begins.
pub(super) fn greeting() -> Vec<u8> {
    Packet::new(1).number(3).done()
}

/// One request. Handles are what the server gave.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request<'a> {
    OpenToRead {
        path: &'a str,
    },
    /// Fails where something exists.
    OpenNew {
        path: &'a str,
        mode: u32,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        bytes: &'a [u8],
    },
    Lstat {
        path: &'a str,
    },
    Stat {
        path: &'a str,
    },
    SetMode {
        path: &'a str,
        mode: u32,
    },
    SetModeAndTime {
        handle: &'a [u8],
        mode: u32,
        time: u32,
    },
    OpenFolder {
        path: &'a str,
    },
    ReadFolder {
        handle: &'a [u8],
    },
    RemoveFile {
        path: &'a str,
    },
    MakeFolder {
        path: &'a str,
        mode: u32,
    },
    RemoveFolder {
        path: &'a str,
    },
    ReadLink {
        path: &'a str,
    },
    Symlink {
        text: &'a str,
        at: &'a str,
    },
    Rename {
        from: &'a str,
        to: &'a str,
    },
    Link {
        from: &'a str,
        to: &'a str,
    },
    Sync {
        handle: &'a [u8],
    },
    Space {
        path: &'a str,
    },
    Limits,
}

impl Request<'_> {
    /// The packet, numbered, so that its answer finds back.
    pub(super) fn encode(&self, id: u32) -> Vec<u8> {
        let plain = |kind: u8| Packet::new(kind).number(id);
        let extended = |name: &str| plain(200).text(name);
        match *self {
            // Flags: 1 read, 2 write, 8 create, 0x20 only if there's nothing.
            Self::OpenToRead { path } => plain(3).text(path).number(1).number(0),
            Self::OpenNew { path, mode } => plain(3).text(path).number(0x2a).number(ATTR_MODE).number(mode),
            Self::Close { handle } => plain(4).bytes(handle),
            Self::Read { handle, offset, length } => plain(5).bytes(handle).long(offset).number(length),
            Self::Write { handle, offset, bytes } => plain(6).bytes(handle).long(offset).bytes(bytes),
            Self::Lstat { path } => plain(7).text(path),
            Self::SetMode { path, mode } => plain(9).text(path).number(ATTR_MODE).number(mode),
            // Times are access and modification, always both.
            Self::SetModeAndTime { handle, mode, time } => plain(10)
                .bytes(handle)
                .number(ATTR_MODE | ATTR_TIMES)
                .number(mode)
                .number(time)
                .number(time),
            Self::OpenFolder { path } => plain(11).text(path),
            Self::ReadFolder { handle } => plain(12).bytes(handle),
            Self::RemoveFile { path } => plain(13).text(path),
            Self::MakeFolder { path, mode } => plain(14).text(path).number(ATTR_MODE).number(mode),
            Self::RemoveFolder { path } => plain(15).text(path),
            Self::Stat { path } => plain(17).text(path),
            Self::ReadLink { path } => plain(19).text(path),
            // OpenSSH takes them the other way round than the draft says, and so do all who follow it.
            Self::Symlink { text, at } => plain(20).text(text).text(at),
            Self::Rename { from, to } => extended(RENAME).text(from).text(to),
            Self::Link { from, to } => extended(LINK).text(from).text(to),
            Self::Sync { handle } => extended(SYNC).bytes(handle),
            Self::Space { path } => extended(SPACE).text(path),
            Self::Limits => extended(LIMITS),
        }
        .done()
    }
}

struct Packet(Vec<u8>);

impl Packet {
    fn new(kind: u8) -> Self {
        // Room for the length, which is known at the end.
        Self(vec![0, 0, 0, 0, kind])
    }

    fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn long(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut packet = self.number(length(bytes));
        packet.0.extend_from_slice(bytes);
        packet
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn done(mut self) -> Vec<u8> {
        let body = length(&self.0[4..]);
        self.0[..4].copy_from_slice(&body.to_be_bytes());
        self.0
    }
}

/// Lengths are of four bytes on the wire. Nothing that is sent comes near their end: content is cut into pieces, and
/// paths of gigabytes fit no memory; a packet cut short would be refused by the server.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Status { code: u32, message: String },
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(Vec<u8>, Attrs)>),
    Attrs(Attrs),
    Extended(Vec<u8>),
}

/// Status codes.
pub(super) const OK: u32 = 0;
pub(super) const END: u32 = 1;
pub(super) const NO_SUCH_FILE: u32 = 2;
pub(super) const PERMISSION_DENIED: u32 = 3;

/// What a server says of a file, as far as it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attrs {
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    /// With the bits of the kind.
    pub(super) mode: Option<u32>,
    pub(super) mtime: Option<u32>,
}

/// Bytes that are no SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what came is no SFTP of version 3")]
pub(super) struct Malformed;

/// The names of the extensions in the answer to the greeting.
pub(super) fn extensions(packet: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut rest = Rest(packet);
    if rest.byte()? != VERSION || rest.number()? != 3 {
        return Err(Malformed);
    }
    let mut names = Vec::new();
    while !rest.0.is_empty() {
        names.push(String::from_utf8_lossy(rest.bytes()?).into_owned());
        rest.bytes()?;
    }
    Ok(names)
}

/// A reply with the number of its request.
pub(super) fn reply(packet: &[u8]) -> Result<(u32, Reply), Malformed> {
    let mut rest = Rest(packet);
    let kind = rest.byte()?;
    let id = rest.number()?;
    let reply = match kind {
        101 => Reply::Status {
            code: rest.number()?,
            // Older servers leave it out.
            message: String::from_utf8_lossy(rest.bytes().unwrap_or_default()).into_owned(),
        },
        102 => Reply::Handle(rest.bytes()?.to_vec()),
        103 => Reply::Data(rest.bytes()?.to_vec()),
        104 => {
            let count = rest.number()?;
            // As they come: the count alone must not make room.
            let mut names = Vec::new();
            for _ in 0..count {
                let name = rest.bytes()?.to_vec();
                rest.bytes()?; // as `ls -l` would show it
                names.push((name, rest.attrs()?));
            }
            Reply::Names(names)
        }
        105 => Reply::Attrs(rest.attrs()?),
        201 => Reply::Extended(rest.0.to_vec()),
        _ => return Err(Malformed),
    };
    Ok((id, reply))
}

/// The most bytes of one read and of one write, from the answer to [`Request::Limits`].
pub(super) fn limits(payload: &[u8]) -> Result<(usize, usize), Malformed> {
    let mut rest = Rest(payload);
    rest.long()?; // the longest packet
    let mut next = || {
        Ok(match rest.long()? {
            0 => CAUTIOUS, // there's no limit, says the specification
            // Room for the rest of a packet, whatever the server believes it can do.
            most => usize::try_from(most).unwrap_or(usize::MAX).min(LONGEST - 1024),
        })
    };
    Ok((next()?, next()?))
}

/// Free bytes, and free files where they are counted.
pub(super) fn space(payload: &[u8]) -> Result<(u64, Option<u64>), Malformed> {
    let mut rest = Rest(payload);
    let mut fields = [0; 8];
    for field in &mut fields {
        *field = rest.long()?;
    }
    let [_, fragment, _, _, available, files, _, files_available] = fields;
    Ok((
        available.saturating_mul(fragment),
        (files > 0).then_some(files_available),
    ))
}

/// What hasn't been read yet of a packet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.take().map(u8::from_be_bytes)
    }

    fn number(&mut self) -> Result<u32, Malformed> {
        self.take().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_be_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        let (taken, rest) = usize::try_from(length)
            .ok()
            .and_then(|length| self.0.split_at_checked(length))
            .ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn attrs(&mut self) -> Result<Attrs, Malformed> {
        let flags = self.number()?;
        let has = |flag: u32| flags & flag != 0;
        let mut attrs = Attrs::default();
        if has(1) {
            attrs.size = Some(self.long()?);
        }
        if has(2) {
            attrs.uid = Some(self.number()?);
            self.number()?; // group
        }
        if has(ATTR_MODE) {
            attrs.mode = Some(self.number()?);
        }
        if has(ATTR_TIMES) {
            self.number()?; // of access
            attrs.mtime = Some(self.number()?);
        }
        if has(0x8000_0000) {
            for _ in 0..self.number()? {
                self.bytes()?;
                self.bytes()?;
            }
        }
        Ok(attrs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_framed_as_the_draft_says() {
        assert_eq!(greeting(), [0, 0, 0, 5, 1, 0, 0, 0, 3]);
        assert_eq!(
            Request::Lstat { path: "/a" }.encode(7),
            [0, 0, 0, 11, 7, 0, 0, 0, 7, 0, 0, 0, 2, b'/', b'a']
        );
        assert_eq!(
            Request::Read {
                handle: &[9],
                offset: 1,
                length: 2
            }
            .encode(0),
            [
                0, 0, 0, 22, 5, 0, 0, 0, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2
            ]
        );
    }

    #[test]
    fn a_folder_that_lies_about_its_names_makes_no_room_for_them() {
        let mut packet = vec![104, 0, 0, 0, 1];
        packet.extend(u32::MAX.to_be_bytes());
        assert_eq!(reply(&packet), Err(Malformed));
        let mut packet = vec![103, 0, 0, 0, 1];
        packet.extend(u32::MAX.to_be_bytes());
        assert_eq!(reply(&packet), Err(Malformed));
    }

    #[test]
    fn a_status_without_words_is_a_status() {
        let status = Reply::Status {
            code: 4,
            message: String::new(),
        };
        assert_eq!(reply(&[101, 0, 0, 0, 1, 0, 0, 0, 4]), Ok((1, status)));
    }

    #[test]
    fn limits_stay_below_the_longest_packet() {
        let told = |read: u64, write: u64| [0, read, write, 0].map(u64::to_be_bytes).concat();
        assert_eq!(limits(&told(261_120, 1000)), Ok((261_120, 1000)));
        assert_eq!(limits(&told(0, u64::MAX)), Ok((CAUTIOUS, LONGEST - 1024)));
        assert_eq!(limits(&[0; 15]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(packet in prop::collection::vec(any::<u8>(), 0..200), kind in 100u8..106) {
            let _ = (extensions(&packet), reply(&packet), limits(&packet), space(&packet));
            let mut packet = packet;
            if let Some(first) = packet.first_mut() {
                *first = kind;
            }
            let _ = reply(&packet);
        }
    }
}
