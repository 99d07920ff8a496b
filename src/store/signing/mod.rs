//! Signatures over release documents: made when publishing, and judged before anything relies on them.
//!
//! A document contains the digest of its release's top folder. A signature over the document therefore covers every
//! byte of the site. Signatures are those of OpenSSH (SSHSIG), made and judged by the system's `ssh-keygen`, as with
//! `git`: keys, agents, hardware keys and the file of allowed signers mean exactly what they mean there. No key ever
//! passes through this process. This module must never ask for a passphrase. It must never accept a document as signed
//! unless it is, byte for byte, what was signed.

mod keygen;

use std::path::PathBuf;

use crate::model::layout;
use crate::model::release::{ReleaseDocument, ReleaseId};
use crate::store::session::Session;
use crate::store::{Error, SignError, open};

/// The purpose of the signatures. A signature that was made for anything else never counts.
pub const NAMESPACE: &str = "syntax-publish-release";

/// Longest document and longest signature that are judged, in bytes.
const LONGEST: usize = 1 << 20;

/// The file that lists the signers whose signatures count, in the format of `ssh-keygen` ("ALLOWED SIGNERS").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedSigners {
    /// The file.
    pub file: PathBuf,
}

/// The `[sign]` section of the site manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// The key to sign with: the file of a private key without a passphrase, or of a public key whose private key an
    /// agent has.
    pub key: Option<PathBuf>,
    /// The signers whose signatures count.
    pub allowed: Option<AllowedSigners>,
    /// Whether a release without a good signature is refused.
    pub require: bool,
}

/// A signature that counts. `--json` prints it, so fields may be added but must never be renamed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Signature {
    /// The signer's name in the file of allowed signers.
    pub signer: String,
    /// The type of the key and its fingerprint.
    pub key: String,
}

/// Result of judging a release's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureVerdict {
    /// The document is what an allowed signer signed.
    Good(Signature),
    /// There is no signature.
    Missing,
    /// There is a signature that does not count, for this reason.
    Bad(String),
}

impl SignatureVerdict {
    /// Returns what is wrong, in words that follow "the release"; `None` for a good signature.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Good(_) => None,
            Self::Missing => Some("is not signed".to_owned()),
            Self::Bad(reason) => Some(format!("has a signature that is not accepted: {reason}")),
        }
    }
}

impl Signing {
    /// Checks that there is a key to sign with if signatures are required.
    ///
    /// # Errors
    /// [`SignError::NoKey`] if there is none.
    pub fn check(&self) -> Result<(), SignError> {
        match (self.require, &self.key) {
            (true, None) => Err(SignError::NoKey),
            _ => Ok(()),
        }
    }

    /// Signs a document if there is a key. If allowed signers are configured, checks that the signature counts.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign(&self, document: &str) -> Result<Option<String>, SignError> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let signature = keygen::sign(key, document.as_bytes()).await?;
        if let Some(allowed) = &self.allowed {
            let verdict = allowed.verify(document.as_bytes(), signature.as_bytes()).await?;
            if let SignatureVerdict::Bad(detail) = verdict {
                return Err(SignError::NotAllowed {
                    key: key.clone(),
                    allowed: allowed.file.clone(),
                    detail,
                });
            }
        }
        Ok(Some(signature))
    }

    /// Whether a release may stay live. If signatures are not required, any release may.
    ///
    /// # Errors
    /// As [`AllowedSigners::verify_release`].
    pub async fn is_met(&self, session: &Session, release: &ReleaseId) -> Result<bool, Error> {
        match self.required()? {
            None => Ok(true),
            Some(allowed) => Ok(matches!(
                allowed.verify_release(session, release).await?,
                SignatureVerdict::Good(_)
            )),
        }
    }

    /// Returns the signers whose signatures count, or `None` if signatures are not required.
    ///
    /// # Errors
    /// [`SignError::NoAllowedSigners`] if signatures are required and no allowed signers are configured.
    pub fn required(&self) -> Result<Option<&AllowedSigners>, SignError> {
        match (self.require, &self.allowed) {
            (false, _) => Ok(None),
            (true, Some(allowed)) => Ok(Some(allowed)),
            (true, None) => Err(SignError::NoAllowedSigners),
        }
    }
}

impl AllowedSigners {
    /// Judges a signature over a document.
    ///
    /// # Errors
    /// [`SignError`] if it can't be judged.
    pub async fn verify(&self, document: &[u8], signature: &[u8]) -> Result<SignatureVerdict, SignError> {
        if document.len() > LONGEST || signature.len() > LONGEST {
            return Ok(SignatureVerdict::Bad("it is too long to be one".to_owned()));
        }
        keygen::verify(&self.file, document, signature).await
    }

    /// Judges the signature of a release on a host: it must be over this release's document, and the release's symlink
    /// must lead to the tree that the document names. The content of the tree is not checked.
    ///
    /// # Errors
    /// [`Error`] if the host can't be asked or the signature can't be judged.
    pub async fn verify_release(&self, session: &Session, release: &ReleaseId) -> Result<SignatureVerdict, Error> {
        Ok(self.judge(session, release).await?.0)
    }

    /// Judges as [`Self::verify_release`] does, and returns the document if its signature counts.
    async fn judge(
        &self,
        session: &Session,
        release: &ReleaseId,
    ) -> Result<(SignatureVerdict, Option<ReleaseDocument>), Error> {
        let paths = [layout::release_document(release), layout::release_signature(release)];
        let mut contents = open::read_files(session, &paths).await?.into_iter();
        let (document, signature) = (contents.next().flatten(), contents.next().flatten());
        let Some(document) = document else {
            return Ok((SignatureVerdict::Bad("its document is missing".to_owned()), None));
        };
        let Some(signature) = signature else {
            return Ok((SignatureVerdict::Missing, None));
        };
        let verdict = self.verify(&document, &signature).await?;
        let SignatureVerdict::Good(_) = &verdict else {
            return Ok((verdict, None));
        };
        let bad = |reason: &str| Ok((SignatureVerdict::Bad(reason.to_owned()), None));
        let Ok(document) = serde_json::from_slice::<ReleaseDocument>(&document) else {
            return bad("what was signed is no release document");
        };
        if document.id != *release {
            return bad("what was signed is the document of another release");
        }
        if open::root(session, release).await? != Some(document.root) {
            return bad("the release leads to another site than was signed");
        }
        Ok((verdict, Some(document)))
    }

    /// Accepts only a release whose signature counts, and returns its document as it was signed.
    ///
    /// # Errors
    /// [`Error::Unsigned`] if it does not count; otherwise as [`Self::verify_release`].
    pub async fn insist(&self, session: &Session, release: &ReleaseId) -> Result<ReleaseDocument, Error> {
        let (verdict, document) = self.judge(session, release).await?;
        document.ok_or_else(|| Error::Unsigned {
            release: release.clone(),
            problem: verdict.problem().unwrap_or_default(),
        })
    }
}
