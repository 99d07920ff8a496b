//! Signatures over release documents: made when publishing, judged before anything relies on them.
//!
//! A document names the digest of its release's top folder, and so every byte of the site: anyone who signs it signs all of
//! that. Signatures are those of OpenSSH (SSHSIG), made and judged by the system's `ssh-keygen`, as `git` does it: keys,
//! agents, hardware keys and the file of allowed signers mean exactly what they mean there, and no key ever passes
//! through this process. It must never ask for a passphrase, and never take a document for signed that is not, byte for
//! byte, what was signed.

mod keygen;

use std::path::PathBuf;

use crate::model::layout;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::store::open;
use crate::store::session::Session;
use crate::store::{Error, SignError};

/// What a signature is for: one that was made for anything else never counts.
pub const NAMESPACE: &str = "syntax-publish-release";

/// Longest document and signature that are looked at, in bytes.
const LONGEST: usize = 1 << 20;

/// The key to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The file of a private key without a passphrase, or of a public key whose private one an agent has.
    pub key: PathBuf,
}

/// The file that lists whose signatures count, as `ssh-keygen` has it ("ALLOWED SIGNERS").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedSigners {
    /// The file.
    pub file: PathBuf,
}

/// What `[sign]` of the site manifest says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// The key to sign with.
    pub signer: Option<Signer>,
    /// Whose signatures count.
    pub allowed: Option<AllowedSigners>,
    /// Whether a release without a good signature is refused.
    pub require: bool,
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who signed, as the file of allowed signers calls them.
    pub signer: String,
    /// The type of the key and its fingerprint.
    pub key: String,
}

/// What is to be thought of a release's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// The document is what an allowed signer signed.
    Good(Signature),
    /// There's no signature.
    Missing,
    /// There's one that does not count, and why.
    Bad(String),
}

impl SignatureVerdict {
    /// What is wrong, in words that follow "the release"; none for a good one.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Good(_) => None,
            Self::Missing => Some("is not signed".to_owned()),
            Self::Bad(reason) => Some(format!("has a signature that is not accepted: {reason}")),
        }
    }
}

impl Signing {
    /// Refuses to go on where what must be signed can't be.
    ///
    /// # Errors
    /// [`SignError::NoKey`].
    pub fn check(&self) -> Result<(), SignError> {
        match (self.require, &self.signer) {
            (true, None) => Err(SignError::NoKey),
            _ => Ok(()),
        }
    }

    /// Signs a document, if there's a key, and makes sure that the signature counts, if anything says whose do.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(&self, document: &str) -> Result<Option<String>, SignError> {
        let Some(signer) = &self.signer else {
            return Ok(None);
        };
        let signature = keygen::sign(&signer.key, document.as_bytes()).await?;
        if let Some(allowed) = &self.allowed {
            let verdict = allowed.judge(document.as_bytes(), signature.as_bytes()).await?;
            if let SignatureVerdict::Bad(detail) = verdict {
                return Err(SignError::NotAllowed {
                    key: signer.key.clone(),
                    allowed: allowed.file.clone(),
                    detail,
                });
            }
        }
        Ok(Some(signature))
    }

    /// Whether a release may stay live: any may, where no signatures are required.
    ///
    /// # Errors
    /// As [`AllowedSigners::look`].
    pub async fn is_met(&self, session: &Session, release: &ReleaseId) -> Result<bool, Error> {
        match self.required()? {
            None => Ok(true),
            Some(allowed) => Ok(matches!(
                allowed.look(session, release).await?,
                SignatureVerdict::Good(_)
            )),
        }
    }

    /// Whose signatures count, where a release without a good one is refused.
    ///
    /// # Errors
    /// [`SignError::NoAllowedSigners`].
    pub fn required(&self) -> Result<Option<&AllowedSigners>, SignError> {
        match (self.require, &self.allowed) {
            (false, _) => Ok(None),
            (true, Some(allowed)) => Ok(Some(allowed)),
            (true, None) => Err(SignError::NoAllowedSigners),
        }
    }
}

impl AllowedSigners {
    /// Whether a signature over a document counts.
    ///
    /// # Errors
    /// [`SignError`] where that can't be found out.
    pub async fn judge(&self, document: &[u8], signature: &[u8]) -> Result<SignatureVerdict, SignError> {
        if document.len() > LONGEST || signature.len() > LONGEST {
            return Ok(SignatureVerdict::Bad("it is too long to be one".to_owned()));
        }
        keygen::verify(&self.file, document, signature).await
    }

    /// Looks at the signature of a release on a host: that it is over this release's document, and that the release's
    /// symlink leads to the tree which that names. What the tree holds is not looked at.
    ///
    /// # Errors
    /// [`Error`] where the host can't be asked, or the signature not be judged.
    pub async fn look(&self, session: &Session, release: &ReleaseId) -> Result<SignatureVerdict, Error> {
        let paths = [layout::release_document(release), layout::release_signature(release)];
        let mut contents = open::read_files(session, &paths).await?.into_iter();
        let (document, signature) = (contents.next().flatten(), contents.next().flatten());
        let Some(document) = document else {
            return Ok(SignatureVerdict::Bad("its document is missing".to_owned()));
        };
        let Some(signature) = signature else {
            return Ok(SignatureVerdict::Missing);
        };
        let verdict = self.judge(&document, &signature).await?;
        let SignatureVerdict::Good(_) = &verdict else {
            return Ok(verdict);
        };
        let bad = |reason: &str| Ok(SignatureVerdict::Bad(reason.to_owned()));
        let Ok(document) = serde_json::from_slice::<ReleaseDocument>(&document) else {
            return bad("what was signed is no release document");
        };
        if document.id != *release {
            return bad("what was signed is the document of another release");
        }
        let root = open::roots(session, std::slice::from_ref(release)).await?;
        if root.first() != Some(&Some(document.root)) {
            return bad("the release leads to another site than was signed");
        }
        Ok(verdict)
    }

    /// Lets only a release pass whose signature counts.
    ///
    /// # Errors
    /// [`Error::Unsigned`] where it does not; else as [`Self::look`].
    pub async fn insist(&self, session: &Session, release: &ReleaseId) -> Result<(), Error> {
        match self.look(session, release).await?.problem() {
            None => Ok(()),
            Some(problem) => Err(Error::Unsigned {
                release: release.clone(),
                problem,
            }),
        }
    }
}
