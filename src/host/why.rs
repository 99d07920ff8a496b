//! The causes why SFTP could not be started, more specific than the error's kind, and how to fix each of them. Pure.

/// The cause of a failed connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Why {
    /// No specific cause is known.
    #[default]
    Unknown,
    /// The file of the private key is missing.
    KeyMissing,
    /// The key has a passphrase, and no agent has the key.
    KeyPassphrase,
    /// The lines of the key file end with carriage returns.
    KeyCarriageReturns,
    /// The last line of the key file has no newline.
    KeyNoLastNewline,
    /// The file is the public half of a key.
    KeyPublicHalf,
    /// Other users can read the file, so ssh ignores it.
    KeyMode,
    /// The file is not a readable private key.
    KeyUnreadable,
    /// ssh had no key to offer.
    NoKeyOffered,
    /// The user who runs this program has no entry in `/etc/passwd`.
    NoUser,
    /// The host name can't be resolved.
    NoAddress,
    /// Nothing listens on the port.
    NobodyListens,
    /// The server ended the connection before authentication.
    Dropped,
    /// A jump host or another proxy did not connect to the host.
    Jump,
    /// Something printed text before SFTP started.
    Text,
    /// The command that the host ran instead of SFTP ended.
    Ended,
    /// The SFTP server is read-only.
    ReadOnly,
    /// The SFTP server is configured to deny requests.
    Denies,
}

impl Why {
    /// Whether the cause is a key that this machine can't use, so the host never refused it.
    pub const fn is_local_key(&self) -> bool {
        matches!(
            self,
            Self::KeyMissing
                | Self::KeyPassphrase
                | Self::KeyCarriageReturns
                | Self::KeyNoLastNewline
                | Self::KeyPublicHalf
                | Self::KeyMode
                | Self::KeyUnreadable
                | Self::NoKeyOffered
        )
    }

    /// Whether the problem may be temporary: the server had too many connections or was restarting.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Dropped | Self::NobodyListens)
    }

    /// The problem with a key, in words that follow the name of its file.
    pub const fn of_key(&self) -> &'static str {
        match self {
            Self::KeyMissing => "the file does not exist",
            Self::KeyPassphrase => "it has a passphrase, and no agent holds it",
            Self::KeyCarriageReturns => "its lines end with carriage returns (CRLF)",
            Self::KeyNoLastNewline => "the newline at the end of its last line is missing",
            Self::KeyPublicHalf => "it is the public half of a key",
            Self::KeyMode => "other users may read it, so ssh ignores it",
            _ => "it is not a private key that ssh can read",
        }
    }

    /// How to fix the problem, and on which machine; `None` if the error already says everything that is known.
    pub const fn fix(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => return None,
            Self::KeyMissing => "on this machine: correct `identity` of the target, or put the private key there",
            Self::KeyPassphrase => {
                "on this machine: load the key into an agent (`ssh-add FILE`), or use a key without a passphrase that may do nothing but publish"
            }
            Self::KeyCarriageReturns => "on this machine: convert the file: `sed -i 's/\\r$//' FILE`",
            Self::KeyNoLastNewline => {
                "on this machine: end the file with a newline: `echo >> FILE`; in CI, write a secret with `printf '%s\\n' \"$KEY\" > FILE`"
            }
            Self::KeyPublicHalf => "on this machine: name the private key in `identity`, the file without `.pub`",
            Self::KeyMode => "on this machine: `chmod 600 FILE`",
            Self::KeyUnreadable => {
                "on this machine: see what `ssh-keygen -y -f FILE` says, and make the key again where the file is damaged"
            }
            Self::NoKeyOffered => {
                "on this machine: name the private key in `identity` of the target, or load it into an agent (`ssh-add`)"
            }
            Self::NoUser => {
                "on this machine: run it as a user of /etc/passwd; in a container, add a line for this uid or run as another user"
            }
            Self::NoAddress => {
                "on this machine: correct `host` of the target, and see that the DNS and your network know the name"
            }
            Self::NobodyListens => "on the host: see that sshd runs; in the target: that `host` and `port` are right",
            Self::Dropped => {
                "on the host: sshd may have too many connections that have not authenticated (`MaxStartups`), block this address (fail2ban), or be starting; its log says which. Then try again"
            }
            Self::Jump => {
                "try the jump by itself (`ssh JUMPHOST`), and see `ProxyJump` or `ProxyCommand` for this host in ~/.ssh/config"
            }
            Self::Text => {
                "on the host: nothing may print before SFTP begins: move `echo` and the like in ~/.bashrc of the user behind `[[ $- == *i* ]] || return`, or use `internal-sftp`, which runs no shell"
            }
            Self::Ended => {
                "on the host: see `ForceCommand` in sshd_config and `command=` of the key in authorized_keys: it must be `internal-sftp`; and that the user's shell is no command that ends at once"
            }
            Self::ReadOnly => "on the host: take `-R` away from `internal-sftp` in sshd_config (or authorized_keys)",
            Self::Denies => {
                "on the host: let `internal-sftp` serve everything: without `-P` and `-p` in sshd_config (or authorized_keys)"
            }
        })
    }
}
