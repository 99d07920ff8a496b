//! The command `verify`: checks a release and its signature, and repairs what is damaged.

use syntax_publish::model::layout;
use syntax_publish::model::path::printable;
use syntax_publish::model::release::ReleaseId;
use syntax_publish::store::repair::Repair;
use syntax_publish::store::session::Session;
use syntax_publish::store::signing::SignatureVerdict;
use syntax_publish::store::verify::{self, Depth, Verified};
use syntax_publish::store::{Error, SignError, open};

use super::ask::chosen;
use super::change::TOOL;
use super::{Run, Workplace};
use crate::cli::args::Verify;
use crate::cli::failure::Failure;
use crate::cli::{json, report};

impl Run {
    pub(super) async fn verify(&self, options: Verify) -> Result<u8, Failure> {
        let (workplace, session) = self.open("verify")?;
        let signers = match workplace.signing()?.allowed {
            None if options.signature => return Err(Error::from(SignError::NoAllowedSigners).into()),
            signers => signers.filter(|_| options.signature),
        };
        let release = chosen(session, options.release.as_deref()).await?;
        // A signature covers only the files. Whether the encodings match them can only be checked by decoding.
        let deep = options.deep || options.signature || options.repair;
        let depth = if deep { Depth::Deep } else { Depth::Shallow };
        let found = verify::verify(session, &release, depth).await?;
        let left = if options.repair && !found.faults.is_empty() {
            self.repair(workplace, session, &found).await?
        } else {
            found.clone()
        };
        let verdict = match &signers {
            Some(signers) => Some(signers.verify_release(session, &release).await?),
            None => None,
        };
        self.finish();
        let value = told(&release, &found, &left, verdict, options.repair);
        self.screen.result(&value, || report::verified(&value))?;
        Ok(u8::from(!value.ok))
    }

    /// Repairs from the export first, if it can be used, and then from other copies on the target.
    async fn repair(&self, workplace: &Workplace, session: &Session, found: &Verified) -> Result<Verified, Failure> {
        open::inspect(session, []).await?;
        let signing = workplace.signing()?;
        let repair = Repair {
            session,
            wait: None,
            tool: TOOL,
            signing: &signing,
        };
        let mut left = found.clone();
        match self.prepare(workplace).await {
            Ok(prepared) => {
                left = repair.from_export(&left, &prepared.site, &prepared.source).await?.left;
            }
            Err(failure) => {
                let text = format!("the export can't be used for repair: {failure}; using other copies on the target");
                self.progress.say("note", &text);
            }
        }
        if !left.faults.is_empty() {
            left = repair.from_host(&left).await?.left;
        }
        Ok(left)
    }
}

fn told(
    release: &ReleaseId,
    found: &Verified,
    left: &Verified,
    verdict: Option<SignatureVerdict>,
    repair: bool,
) -> json::Verify {
    let broken = |problems: &[(String, String)]| -> Vec<json::Broken> {
        let problems = problems.iter().map(|(path, problem)| json::Broken {
            path: printable(path),
            problem: printable(problem),
        });
        problems.collect()
    };
    let mut problems = left.problems();
    let mut repaired = found.problems();
    repaired.retain(|problem| !problems.contains(problem));
    let unsigned = verdict.as_ref().and_then(SignatureVerdict::problem);
    problems.extend(unsigned.map(|problem| (layout::release_signature(release), format!("the release {problem}"))));
    json::Verify {
        release: release.clone(),
        ok: problems.is_empty(),
        checked: left.checked,
        problems: broken(&problems),
        mended: repair.then(|| broken(&repaired)),
        delivery: None,
        signature: match verdict {
            Some(SignatureVerdict::Good(signature)) => Some(signature),
            _ => None,
        },
    }
}
