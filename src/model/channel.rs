//! Channels: previews beside the live site, each with a name of its own. Pure.
//!
//! A channel's name becomes a label of a host name and a name in the store. So what can't be both is not a name, and the
//! vhost needs no other rule to stay inside the store.

use std::fmt;
use std::str::FromStr;

/// The longest name: that of a DNS label, in bytes.
const LONGEST: usize = 63;

/// What names a channel, for nginx: the same names that [`ChannelName`] accepts.
pub const PATTERN: &str = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?";

/// The name of a channel: lower-case letters, digits and inner hyphens, at most 63 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(String);

/// The text can't be the name of a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a channel is named by lower-case letters, digits and hyphens between them, 63 at most, as in \"pr-12\"")]
pub struct NotAChannel;

impl ChannelName {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ChannelName {
    type Err = NotAChannel;

    fn from_str(text: &str) -> Result<Self, NotAChannel> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(is_plain)
            && !text.starts_with('-')
            && !text.ends_with('-');
        is_name.then(|| Self(text.to_owned())).ok_or(NotAChannel)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The symlink of a store that leads to a release: what a publish moves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Slot {
    /// The live site.
    #[default]
    Live,
    /// A preview.
    Channel(ChannelName),
}

impl Slot {
    /// Whether it is the live site.
    #[must_use]
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }

    /// The channel, if it is one.
    #[must_use]
    pub fn channel(&self) -> Option<&ChannelName> {
        match self {
            Self::Live => None,
            Self::Channel(name) => Some(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_a_host_name() {
        let longest = "a".repeat(LONGEST);
        let pattern = regex::Regex::new(&format!("^(?:{PATTERN})$")).unwrap();
        for name in ["a", "7", "pr-12", "a--b", "2026", &longest] {
            assert_eq!(name.parse::<ChannelName>().unwrap().as_str(), name);
            assert!(pattern.is_match(name), "{name}");
        }
        let too_long = "a".repeat(LONGEST + 1);
        for other in [
            "", "-a", "a-", "-", "PR-12", "pr_12", "pr.12", "pr/12", "..", "a b", "ä", "a\n", &too_long,
        ] {
            assert_eq!(other.parse::<ChannelName>(), Err(NotAChannel), "{other:?}");
            assert!(!pattern.is_match(other), "{other:?}");
        }
    }
}
